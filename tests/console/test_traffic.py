"""The Traffic panel in a real browser, with a Locust web page and no other source."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.loadtests import shop
from tests.loadtests.ids import SCENARIO
from tests.loadtests.processes import answers, free_port, wait_for, web_ui
from tests.patience import patience

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the dev group")

pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE = 20_000  # milliseconds
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def target() -> Iterator[shop.Shop]:
    """Yield a shop as the target of the traffic."""
    with shop.opened() as opened:
        yield opened


@pytest.fixture
def page(target: shop.Shop) -> Iterator[Any]:
    """Yield the console's page with the Traffic panel open."""
    if not (program := shutil.which("chromium")):
        pytest.skip("needs chromium on PATH: apt-get install chromium")
    with web_ui("-H", target.url) as locust, console(locust) as address, playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=FLAGS)
        made = browser.new_page(viewport={"width": 1280, "height": 720})
        made.set_default_timeout(patience(PATIENCE))
        playwright.expect.set_options(timeout=patience(PATIENCE))
        made.goto(address)
        made.get_by_text("Locust: up", exact=True).wait_for()
        made.get_by_role("tab", name="Traffic").click()
        yield made
        browser.close()


@contextmanager
def console(locust: str, port: int = 0) -> Iterator[str]:
    """Run a console with Locust as its only source, on this port or any other; yield its URL."""
    port = port or free_port()
    others = [word for name in ("service", "prometheus", "alertmanager") for word in (f"--{name}", NOWHERE)]
    sources = ["--locust", locust, *others, "--port", str(port)]
    with subprocess.Popen([sys.executable, "-m", "chaosapi", "console", *sources]) as process:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}"), "the console")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_run_is_started_changed_and_stopped(page: Any, target: shop.Shop) -> None:
    """A value that Locust would refuse is shown with Locust's message, and the run goes on."""
    start = page.get_by_role("button", name="Start or change")
    choose(page, "steady")
    page.get_by_label("Rate, requests/s").fill("5")
    start.click()
    page.get_by_text("Locust starts.").wait_for()
    wait_for(lambda: scenarios(target) == {"steady"}, "requests of the steady run")

    page.get_by_label("Rate, requests/s").fill("many")
    start.click()
    page.get_by_role("alert").get_by_text("the rate 'many'").wait_for()
    sent = len(target.headers)
    wait_for(lambda: len(target.headers) > sent + 5, "more requests of the steady run")
    assert scenarios(target) == {"steady"}

    page.get_by_label("Rate, requests/s").fill("5")
    choose(page, "spike")
    start.click()
    page.get_by_text("The run is replaced.").wait_for()
    wait_for(lambda: "spike" in scenarios(target), "requests of the spike")

    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Locust stops.").wait_for()
    page.get_by_text("stopped: ").wait_for()


def choose(page: Any, scenario: str) -> None:
    """Choose a scenario in the form."""
    page.get_by_role("combobox", name="scenario").click()
    page.get_by_role("option", name=scenario, exact=True).click()


def scenarios(target: shop.Shop) -> set[str]:
    """Return the scenarios whose requests have arrived."""
    ids = [headers["x-request-id"] for headers in list(target.headers)]
    return {SCENARIO[name] for name in ids if name in SCENARIO}
