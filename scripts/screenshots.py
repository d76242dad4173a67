"""Take the pictures of the docs from a running lab: `python scripts/screenshots.py`, about two minutes.

Needs Chromium (`apt-get install chromium`, or `playwright install chromium`). What has no web page here is left out,
and logged: Debian's Prometheus 3 and Alertmanager, or a Grafana that is not installed. Official releases have theirs.
"""

import html
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import httpx2
from playwright.sync_api import Page, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as NotShownError

from chaosapi import assets
from chaosapi.lab import demo, stack
from chaosapi.lab.ports import Ports, url
from chaosapi.lab.stack import Lab
from chaosapi.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
SIZE: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 390, "height": 844}
Theme = Literal["light", "dark"]
CONSOLE: tuple[tuple[str, ViewportSize, Theme], ...] = (
    ("console-light", SIZE, "light"),
    ("console-dark", SIZE, "dark"),
    ("console-phone", PHONE, "light"),
    ("console-phone-dark", PHONE, "dark"),
)
"""The console's pictures."""
PORTS = Ports(
    service=18000, admin=18001, prometheus=19090, alertmanager=19093, grafana=13000, loadtest=19646, console=18080
)
LOCUST = 18089
FAULT = {"name": "checkout-errors", "effect": {"type": "error", "status": 503}, "rate": 0.2, "reason": "a screenshot"}
RAW_QUERY = 'sum by (handler) (rate(http_requests_total{job="chaosapi", status=~"5.."}[20s]))'
WAIT = 60.0
"""Time-out in seconds for a part of the lab to start."""
PAINT = 15.0
"""Time-out in seconds for a page to show the picture's subject."""

_UNDERLINED = """() => {
  const tab = document.querySelector(".q-tab--active")
  const [line, box] = [tab.querySelector(".q-tab__indicator"), tab].map((each) => each.getBoundingClientRect())
  return tab.innerText.trim() === "Alerts" && Math.abs(line.left - box.left) < 1
}"""
"""JavaScript: whether the tab's underline has finished its animation."""

_told = Terminal(soft_wrap=True)


class Camera:
    """Takes pictures of one browser page into a folder."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = folder

    def take(
        self, name: str, address: str, ready: str, then: Callable[[Page], None] = lambda _: None, of: str = ""
    ) -> bool:
        """Open a URL, wait until `ready` shows and `then` is done, and take the picture, of one element if named.

        Returns whether the page exists; a missing page is logged.
        """
        answer = self._page.goto(address)
        if answer and not answer.ok:
            return self._left_out(name, f"{address} answers {answer.status}")
        try:
            self._page.wait_for_selector(ready)
        except NotShownError:
            return self._left_out(name, f"{address} does not show {ready}")
        then(self._page)
        picture = self._folder / f"{name}.png"
        (self._page.locator(of) if of else self._page).screenshot(path=picture, animations="disabled")
        _told.print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")
        return True

    @contextmanager
    def seen(self, size: ViewportSize, theme: Theme) -> Iterator[None]:
        """Take pictures of this size and theme until the block ends."""
        self._page.set_viewport_size(size)
        self._page.emulate_media(color_scheme=theme)
        yield
        self._page.set_viewport_size(SIZE)
        self._page.emulate_media(color_scheme="light")

    def _left_out(self, name: str, reason: str) -> bool:
        _told.print(f"no picture {name}: {reason}")
        return False


@contextmanager
def camera(folder: Path) -> Iterator[Camera]:
    """Yield a camera in a new browser."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium has none for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=sandbox)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(1000 * PAINT)
        yield Camera(page, folder)
        browser.close()


def terminal(lab: Lab, shots: Camera, scratch: Path) -> None:
    """Run the demo, and take a picture of its output."""
    console = Terminal(record=True, file=io.StringIO(), width=84)
    demo.run(lab, console)
    drawing = scratch / "demo.svg"
    console.save_svg(str(drawing), title="chaosapi demo")
    shots.take("demo", drawing.as_uri(), "svg", of="svg")


def alerts(lab: Lab, shots: Camera) -> None:
    """Inject a fault, and take a picture of the firing page in each UI."""
    name = lab.admin.create_fault(FAULT)["name"]
    burning = 'slo:sli_error:ratio_rate5s{sloth_slo="availability"} > 0.18'
    firing = f'ALERTS{{slo="availability", severity="page", alertstate="firing"}} and on () {burning}'
    lab.parts.wait_until(lambda: lab.prometheus.value(firing) is not None, "the page", timeout=WAIT, every=0.5)
    prometheus = url(lab.ports.prometheus)
    alertmanager = url(lab.ports.alertmanager)
    shots.take("prometheus-alerts", f"{prometheus}/alerts", "text=ErrorBudgetBurn") or shots.take(
        "prometheus-alerts", f"{prometheus}/classic/alerts", "text=ErrorBudgetBurn", _unfolded
    )
    shots.take("alertmanager", f"{alertmanager}/#/alerts", "text=ErrorBudgetBurn")
    if lab.with_grafana:
        grafana = url(lab.ports.grafana)
        for board in sorted(path.stem for path in assets.path("dashboards").glob("*.json")):
            shots.take(f"grafana-{board}", f"{grafana}/d/chaosapi-{board}?from=now-5m&to=now&kiosk", "canvas")
    else:
        _told.print("no Grafana: it is not installed")
    shots.take("openapi", f"{url(lab.ports.admin)}/admin/docs", ".opblock")
    lab.admin.end_fault(name)


def targets(lab: Lab, shots: Camera, scratch: Path) -> None:
    """Take a picture of Prometheus' targets: of its page, or else of a table of what its API says of them."""
    address = url(lab.ports.prometheus)
    answer = httpx2.get(f"{address}/api/v1/targets", params={"state": "active"}).raise_for_status()
    drawn = scratch / "targets.html"
    drawn.write_text(_table(answer.json()["data"]["activeTargets"]))
    pages = ((f"{address}/targets", ""), (f"{address}/classic/targets", ""), (drawn.as_uri(), "body"))
    any(shots.take("prometheus-targets", page, "text=http://127.0.0.1 >> nth=0", of=part) for page, part in pages)


def _table(found: list[dict[str, Any]]) -> str:
    titles = ("Job", "Endpoint", "State", "Labels", "Scrape duration", "Error")
    rows = [
        (
            each["scrapePool"],
            each["scrapeUrl"],
            each["health"].upper(),
            ", ".join(f'{name}="{value}"' for name, value in each["labels"].items()),
            f"{1000 * each['lastScrapeDuration']:.1f} ms",
            each["lastError"],
        )
        for each in sorted(found, key=lambda each: str(each["scrapePool"]))
    ]
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    style = (
        "body{font:15px sans-serif;margin:24px} td,th{padding:8px 14px;text-align:left;border-bottom:1px solid #ccc}"
    )
    head = "".join(f"<th>{title}</th>" for title in titles)
    return (
        f"<meta charset=utf-8><style>{style} table{{border-collapse:collapse}}</style><h2>Targets</h2>"
        f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
        "<p>Drawn from Prometheus' /api/v1/targets: this Prometheus has no web page.</p>"
    )


def _unfolded(page: Page) -> None:
    """Open the first firing alert, and cut the picture below its annotations."""
    page.get_by_text("Show annotations").click()
    page.locator("tr.alert_header.alert-danger").first.click()
    alert = page.locator("tr.alert_details:visible table").first
    alert.evaluate("alert => window.scrollBy(0, alert.getBoundingClientRect().bottom - innerHeight)")


def traffic(lab: Lab, shots: Camera) -> None:
    """Take a picture of Locust's page in the middle of a spike."""
    here = ["--web-host", "127.0.0.1", "--web-port", str(LOCUST), "--host", url(lab.ports.service)]
    scenario = ["--autostart", "--autoquit", "0", "--scenario", "spike", "--duration", "60s", "--reports", "none"]
    lab.parts.start("locust-ui", [sys.executable, "-m", "locust", "-f", assets.path("loadtests"), *here, *scenario])
    lab.parts.wait_until(lambda: _answers(url(LOCUST)), "Locust's page", timeout=WAIT)
    shots.take("locust", f"{url(LOCUST)}/?tab=charts", "canvas", lambda page: page.wait_for_timeout(45_000))


def chart(shots: Camera, scratch: Path) -> None:
    """Take a picture of the forecast of the tutorial's slow burn."""
    drawn = scratch / "forecast.html"
    words = f"--file {ROOT}/docs/incidents/4.yml --rps 20 --profile lab --prometheus none --html {drawn}"
    command = [sys.executable, "-m", "chaosapi", "forecast", *words.split()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shots.take("forecast", drawn.as_uri(), ".main-svg")


def console(lab: Lab, shots: Camera) -> None:
    """Take pictures of the console during a fault: light and dark, desktop and phone, and its form."""
    name = lab.admin.create_fault(FAULT)["name"]
    firing = 'ALERTS{slo="availability", severity="ticket", alertstate="firing"}'
    lab.parts.wait_until(
        lambda: lab.prometheus.value(f"max({firing})") is not None, "the ticket", timeout=WAIT, every=0.5
    )
    address = url(lab.ports.console)
    lab.parts.wait_until(lambda: _answers(address), "the console", timeout=WAIT)
    for picture, size, theme in CONSOLE:
        with shots.seen(size, theme):
            shots.take(picture, address, f"text={name}", _drawn)
    asked = urlencode({"expr": RAW_QUERY, "span": "5 m"})
    shots.take(
        "query",
        f"{address}/query?{asked}",
        "td:has-text('/api/checkout') >> nth=0",
        lambda page: page.wait_for_timeout(2_000),
    )
    shots.take("console-form", address, f"text={name}", _filled)
    lab.admin.end_fault(name)


def _drawn(page: Page) -> None:
    """Wait until the charts have lines, and open the tab of alerts, without a tooltip."""
    page.get_by_text("Prometheus: up", exact=True).wait_for()
    tab = page.get_by_role("tab", name="Alerts")
    tab.click()
    tab.blur()
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")  # on a phone the click has scrolled to the tab
    page.wait_for_function(_UNDERLINED)
    page.locator(".side .chip", has_text="firing").first.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.charts .big.live')].every(each => /\\d/.test(each.innerText))"
    )


def _filled(page: Page) -> None:
    """Fill in the form, and wait for its forecast."""
    page.get_by_role("button", name="Add a fault").click()
    page.get_by_label("Share of requests hit").fill("0.3")
    page.get_by_label("Lasts for", exact=True).fill("5m")
    page.get_by_role("cell", name="page availability 1m/5s").wait_for()


def _answers(address: str) -> bool:
    try:
        return httpx2.get(address).is_success
    except httpx2.HTTPError:
        return False


def main() -> None:
    """Take every picture for which the tools are installed."""
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as text, camera(folder) as shots:
        scratch = Path(text)
        chart(shots, scratch)
        options = stack.Options(scratch / "lab", ports=PORTS, rate=demo.RATE, traffic=True, console=True)
        with stack.running(options, _told.print) as lab:
            targets(lab, shots, scratch)
            terminal(lab, shots, scratch)
            console(lab, shots)
            alerts(lab, shots)
            traffic(lab, shots)


if __name__ == "__main__":
    main()
