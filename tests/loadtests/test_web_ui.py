import shutil
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.loadtests import shop
from tests.loadtests.ids import SCENARIO
from tests.loadtests.processes import wait_for, web_ui
from tests.loadtests.pure import module

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the dev group")

pytestmark = pytest.mark.slow

SCENARIOS: dict[str, Any] = module("_scenarios").SCENARIOS


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Yield a real Chromium, the system's."""
    if not (program := shutil.which("chromium")):
        pytest.skip("needs chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as running:
        made = running.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


def test_a_scenario_is_chosen_started_and_stopped_by_clicks(browser: object) -> None:
    """The page offers all scenarios with rate, duration and scale, says what is wrong, runs one, stops it, another."""
    with web_ui() as url, shop.opened() as target:
        page = browser.new_page()  # type: ignore[attr-defined]  # Playwright may be absent
        page.goto(url)
        page.locator("input[name=host]").fill(target.url)
        page.get_by_text("Custom parameters").click()
        offered = page.locator("select[name=scenario] option").evaluate_all("found => found.map(each => each.value)")
        assert offered == ["none", *SCENARIOS]
        page.locator("select[name=scenario]").select_option("spike")
        page.locator("input[name=rate]").fill("12")
        page.locator("input[name=peak]").fill("12")
        page.locator("input[name=duration]").fill("2m")
        page.locator("input[name=scale]").fill("2")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("the peak is 12 requests/s; it must be above the rate, 12").wait_for()
        page.locator("input[name=peak]").fill("60")
        page.get_by_role("button", name="Start").click()
        wait_for(lambda: len(sent(target, "spike")) > 24, "requests of the spike")
        page.get_by_role("button", name="Stop").click()
        wait_for(lambda: state(url) == "stopped", "the end")
        after = len(sent(target, "spike"))
        page.reload()  # Locust's page stops asking when it hears "cleanup", and then shows no button
        page.get_by_role("button", name="New").click()
        page.get_by_text("Custom parameters").click()
        page.locator("select[name=scenario]").select_option("steady")
        page.get_by_role("button", name="Start").click()
        wait_for(lambda: len(sent(target, "steady")) > 5, "requests of the second run")
        assert len(sent(target, "spike")) == after


def sent(target: shop.Shop, scenario: str) -> list[str]:
    """Return the ids of a scenario's requests that have come."""
    ids = [headers["x-request-id"] for headers in list(target.headers)]
    return [name for name in ids if SCENARIO.get(name) == scenario]


def state(url: str) -> str:
    """Ask the web UI what it is doing."""
    return str(httpx2.get(f"{url}/stats/requests").json()["state"])
