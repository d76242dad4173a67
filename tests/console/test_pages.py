"""What every page of the console promises, in a real browser: headings, labels, focus, contrast, and its connection."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.console.test_traffic import FLAGS, NOWHERE, PATIENCE, console
from tests.patience import patience

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the dev group")

pytestmark = pytest.mark.slow

_HEADINGS = "() => [...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))"
_UNNAMED = """() => [...document.querySelectorAll("input, textarea, button, [role=combobox]")].filter((each) => {
  const named = each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")
  const label = each.labels?.[0]?.innerText || each.closest("label")?.innerText
  return !named && !label?.trim() && !each.innerText?.trim()
}).map((each) => each.outerHTML.slice(0, 200))"""
_FOCUS = """() => {
  const focused = document.activeElement
  return focused.matches("input, body") ? "that of its field" : getComputedStyle(focused).outlineStyle
}"""
_FAINT = """() => {
  const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number)
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0)
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = parse(getComputedStyle(each).backgroundColor)
      if (color.length && color[3] !== 0) return color
    }
    return [255, 255, 255]
  }
  return [...document.querySelectorAll("body *")].filter((each) => {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    const disabled = each.closest("[disabled], .disabled, .visually-hidden, script, style, canvas")
    return own && !disabled && each.offsetParent && getComputedStyle(each).visibility === "visible"
  }).map((each) => {
    const [one, two] = [parse(getComputedStyle(each).color), behind(each)].map(light).sort((a, b) => b - a)
    return [(one + 0.05) / (two + 0.05), each.textContent.trim().slice(0, 40)]
  }).filter(([ratio]) => ratio < 4.5)
}"""
"""JavaScript: the texts with a contrast below that of WCAG AA."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a browser."""
    if not (program := shutil.which("chromium")):
        pytest.skip("needs chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=FLAGS)
        playwright.expect.set_options(timeout=patience(PATIENCE))
        yield started
        started.close()


def opened(browser: Any, address: str, theme: str) -> Any:
    """Return a page in a browser with this theme, when it has had its first update."""
    page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=theme)
    page.set_default_timeout(patience(PATIENCE))
    page.goto(address)
    page.get_by_text("Service: down").wait_for()
    page.wait_for_function(f"() => document.body.classList.contains('body--{theme}')")
    return page


def test_a_page_can_be_read_and_used_by_everybody_and_says_when_it_is_disconnected(browser: Any) -> None:
    """Both pages, in both themes; after the end of the console nothing on them looks like the present."""
    with console(NOWHERE) as address:
        pages = []
        for path, theme in (("/", "light"), ("/", "dark"), ("/query", "light"), ("/query", "dark")):
            page = opened(browser, address + path, theme)
            pages.append(page)
            assert page.locator("html").get_attribute("lang") == "en-US"
            levels = page.evaluate(_HEADINGS)
            assert (levels[0], levels.count(1)) == (1, 1)
            assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), levels
            assert page.evaluate(_UNNAMED) == []
            assert page.evaluate(_FAINT) == []
            for _ in range(10):
                page.keyboard.press("Tab")
                assert page.evaluate(_FOCUS) != "none"
        playwright.expect(pages[0].get_by_text("no data", exact=True)).to_have_count(6)
        pages[0].get_by_text("Unknown, or only a part is known: no data from Prometheus and Alertmanager.").wait_for()
    for page in pages:
        page.get_by_text("Disconnected since").wait_for()
        playwright.expect(page.get_by_text("Service: unknown")).to_be_visible()
        playwright.expect(page.get_by_text("Service: down")).to_be_hidden()
    playwright.expect(pages[0].get_by_text("unknown", exact=True).first).to_be_visible()
    playwright.expect(pages[0].get_by_text("no data", exact=True).first).to_be_hidden()


def test_a_page_connects_to_a_console_that_was_started_again(browser: Any) -> None:
    """It is a new page there, with a new session."""
    with console(NOWHERE) as address:
        page = opened(browser, address, "light")
    page.get_by_text("Disconnected since").wait_for()
    port = int(address.rpartition(":")[2])
    with console(NOWHERE, port):
        playwright.expect(page.get_by_text("Service: down")).to_be_visible(timeout=patience(60_000))
        playwright.expect(page.get_by_text("Disconnected since")).to_be_hidden()
