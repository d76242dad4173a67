"""The console in a real browser with a real lab: from the first fault to a dead Prometheus."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from chaosapi.lab import stack
from chaosapi.lab.ports import Ports
from chaosapi.terminal import Terminal
from tests.lab.conftest import free_ports
from tests.patience import patience

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the dev group")

pytestmark = pytest.mark.slow

SHOTS = Path(__file__).parents[2] / ".lab" / "console"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE = 20_000  # milliseconds
RATE = "Share of requests hit"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, tools: dict[str, Path]) -> Iterator[stack.Lab]:
    """Yield a lab with traffic and a console."""
    options = stack.Options(
        tmp_path_factory.mktemp("lab"), "lab", Ports(*free_ports()), rate=40, traffic=True, console=True
    )
    with stack.running(options, Terminal(quiet=True).print) as running:
        flowing = 'sum(rate(http_requests_total{job="chaosapi"}[10s])) > 30'
        running.parts.wait_until(lambda: running.prometheus.value(flowing) is not None, "traffic", every=0.2)
        yield running


@pytest.fixture(scope="module")
def page(lab: stack.Lab) -> Iterator[Any]:
    """Yield the console's page in Chromium; fail afterwards if it used other hosts or had an error."""
    if not (program := shutil.which("chromium")):
        pytest.skip("needs chromium on PATH: apt-get install chromium")
    SHOTS.mkdir(parents=True, exist_ok=True)
    elsewhere: list[str] = []
    broken: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=FLAGS)
        made = browser.new_page(
            viewport={"width": 1280, "height": 720}, accept_downloads=True, timezone_id="Asia/Kolkata"
        )
        made.set_default_timeout(patience(PATIENCE))
        playwright.expect.set_options(timeout=patience(PATIENCE))
        made.on("request", lambda sent: elsewhere.append(sent.url) if is_elsewhere(sent.url) else None)
        made.on("pageerror", lambda error: broken.append(str(error)))
        lab.parts.wait_until(lambda: reachable(lab), "the console")
        made.goto(lab.links["console"])
        yield made
        browser.close()
    assert (elsewhere, broken) == ([], [])


def reachable(lab: stack.Lab) -> bool:
    """Return whether the console's port is open."""
    try:
        return httpx2.get(lab.links["console"]).is_success
    except httpx2.HTTPError:
        return False


def is_elsewhere(url: str) -> bool:
    """Return whether a request leaves this machine."""
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def number(page: Any, chart: str) -> Any:
    """Return the value above a chart."""
    return page.locator(".charts .card", has_text=chart).locator(".big.live")


def tab(page: Any, name: str) -> None:
    """Open a panel."""
    page.get_by_role("tab", name=name).click()


def shot(page: Any, name: str) -> None:
    """Keep a screenshot of this step."""
    page.screenshot(path=SHOTS / f"{name}.png")


def test_the_state_of_every_source_is_shown(page: Any) -> None:
    """The lab's three sources are up; Locust runs without a web page, which is no fault."""
    for source in ("Service: up", "Prometheus: up", "Alertmanager: up", "Traffic without a page"):
        page.get_by_text(source, exact=True).wait_for()
    playwright.expect(number(page, "Success")).to_have_text("100 %")
    tab(page, "Traffic")
    page.get_by_text("requests/s reach the service. There is no page of Locust").wait_for()
    page.locator(".situation").get_by_text("checkout-availability (/api/checkout): ok").wait_for()
    shot(page, "1-up")


def test_an_invalid_field_has_its_error_and_disables_injection(page: Any) -> None:
    """The message is the service's."""
    tab(page, "Faults")
    page.get_by_role("button", name="Add a fault").click()
    page.get_by_label(RATE).fill("5")
    page.get_by_text("did you mean 0.05?").wait_for()
    playwright.expect(page.get_by_role("button", name="Inject")).to_be_disabled()
    shot(page, "2-wrong")


def test_a_fault_is_injected_from_the_form_after_its_forecast(page: Any) -> None:
    """The forecast has the page that fires later, the chart moves, and the receipt counts."""
    page.get_by_label("Clear").click()  # the form proposes one route
    page.get_by_label(RATE).fill("0.3")
    page.get_by_label("Name", exact=True).fill("errors")
    page.get_by_label("Lasts for", exact=True).fill("5m")
    page.get_by_role("cell", name="page availability 1m/5s").wait_for()
    shot(page, "3-forecast")
    page.get_by_role("button", name="Inject").click()
    page.get_by_text("errors", exact=True).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.charts .card')].some(card => card.innerText.includes('Success')"
        " && parseFloat(card.querySelector('.big').innerText) < 90)"
    )
    playwright.expect(page.get_by_text(" of 1 replica")).to_be_visible()
    tab(page, "Alerts")
    card = page.locator(".side .item", has=page.get_by_role("heading", name="availability", exact=True))
    card.get_by_text("page 1m/5s", exact=True).wait_for()
    page.locator(".situation").get_by_text("A page fires for availability").wait_for()
    page.get_by_text("page availability 1m/5s: firing, notified after").wait_for()
    shot(page, "4-firing")


def test_the_runbook_of_an_alert_opens(page: Any) -> None:
    """The alert names it."""
    page.get_by_role("button", name="Runbook").first.click()
    page.get_by_role("heading", name="ErrorBudgetBurn").wait_for()
    shot(page, "5-runbook")
    page.get_by_role("button", name="Close").click()


def test_an_external_runbook_is_a_link(page: Any, lab: stack.Lab) -> None:
    """Only http and https URLs: any other value is shown as text."""
    books = {"Elsewhere": "https://wiki.example/page", "Script": "javascript:alert(1)"}
    alerts = f"{lab.links['Alertmanager']}/api/v2/alerts"
    told = [{"labels": {"alertname": name}, "annotations": {"runbook_url": url}} for name, url in books.items()]
    httpx2.post(alerts, json=told).raise_for_status()
    link = page.locator(".item", has_text="Elsewhere").get_by_role("link", name="Runbook")
    playwright.expect(link).to_have_attribute("href", books["Elsewhere"])
    script = page.locator(".item", has_text="Script")
    script.get_by_text("runbook: javascript:alert(1)").wait_for()
    playwright.expect(script.get_by_role("link")).to_have_count(0)
    playwright.expect(script.get_by_role("button", name="Runbook")).to_have_count(0)
    begun = "2026-01-01T00:00:00Z"
    over = "2026-01-01T00:00:01Z"
    httpx2.post(alerts, json=[alert | {"startsAt": begun, "endsAt": over} for alert in told]).raise_for_status()
    playwright.expect(script).to_have_count(0)


def test_an_alert_is_silenced_with_a_comment(page: Any) -> None:
    """Alertmanager has the silence with its author, until it is ended."""
    page.get_by_role("button", name="Silence…").first.click()
    page.get_by_role("button", name="Silence", exact=True).click()
    page.get_by_text("a comment is required").wait_for()
    page.get_by_label("Comment").fill("I look after it")
    page.get_by_role("button", name="Silence", exact=True).click()
    page.get_by_text(": I look after it (console, until").wait_for()
    silenced = page.locator(".side .chip", has_text="silenced")
    silenced.first.wait_for()
    shot(page, "6-silenced")
    page.locator(".item", has_text="I look after it").get_by_role("button", name="End").click()
    playwright.expect(silenced).to_have_count(0)


def test_a_fault_is_edited(page: Any) -> None:
    """The form has its values, and the change acts."""
    tab(page, "Faults")
    page.get_by_role("button", name="Edit").click()
    playwright.expect(page.get_by_label(RATE)).to_have_value("0.3")
    page.get_by_label(RATE).fill("0.6")
    page.get_by_role("button", name="Change it").click()
    page.wait_for_function("() => parseFloat(document.body.innerText.split('actual ')[1]) > 30")


def test_a_limit_makes_an_alert_pending_before_it_fires(page: Any) -> None:
    """A second effect of the catalogue with nested parameters; both states of the alert are drawn."""
    page.get_by_role("button", name="Add a fault").click()
    page.get_by_role("combobox", name="Effect").click()
    page.get_by_role("option", name="capacity").click()
    page.get_by_label("concurrency").fill("1")
    page.get_by_label("Queue", exact=True).fill("1")
    page.get_by_role("combobox", name="service time").click()
    page.get_by_role("option", name="constant").click()
    page.get_by_label("service time value").fill("300ms")
    page.get_by_label(RATE).fill("1")
    page.get_by_role("button", name="Inject").dblclick()  # still one fault, as the kill switch then counts
    tab(page, "Budget")
    row = page.locator(".item", has_text="other alerts").locator(".list > div", has_text="CapacityExhausted")
    row.locator(".strip .pending").first.wait_for()
    row.locator(".strip .firing").first.wait_for()
    row.locator(".chip", has_text="firing").wait_for()
    shot(page, "7-states")


def test_the_kill_switch_ends_everything_and_alerts_resolve(page: Any) -> None:
    """With one click from any panel; the alerts resolve soon after."""
    page.get_by_role("button", name="End all faults").click()
    page.get_by_text("2 faults ended on 1 of 1 replica").wait_for()
    page.get_by_text("0 faults · 1 replica").wait_for()
    tab(page, "Timeline")
    page.get_by_text("console (unverified): end_all: kill switch of the console").wait_for()
    page.get_by_text(re.compile("page availability .*1m/5s.* resolves")).first.wait_for()
    page.get_by_text("ticket CapacityExhausted resolves").wait_for()
    shot(page, "8-resolved")


def test_a_halt_is_shown_with_its_reason(page: Any) -> None:
    """Until it is lifted, nothing can be injected. The kill switch is reachable by keyboard in an open dialog."""
    page.get_by_role("button", name="Halt…").click()
    page.get_by_label("Reason").press("Alt+k")
    page.get_by_text("0 faults ended on 1 of 1 replica").wait_for()
    page.get_by_label("Reason").fill("a real incident")
    page.get_by_role("button", name="Halt", exact=True).click()
    page.get_by_text("UTC: a real incident").wait_for()
    tab(page, "Faults")
    page.get_by_role("button", name="Add a fault").click()
    page.get_by_text("Chaos is halted since").nth(1).wait_for()
    playwright.expect(page.get_by_role("button", name="Inject")).to_be_disabled()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Allow faults again").click()
    page.get_by_text("UTC: a real incident").wait_for(state="hidden")


def test_the_timeline_is_exported(page: Any, tmp_path: Path) -> None:
    """As a debrief: what was injected, which alerts fired, what users lost; for people and for programs."""
    tab(page, "Timeline")
    kept = {}
    for kind in ("JSON", "HTML", "Text"):
        with page.expect_download() as downloading:
            page.get_by_role("button", name=kind, exact=True).click()
        file = tmp_path / kind
        downloading.value.save_as(file)
        kept[kind] = file.read_text()
    texts = [entry["text"] for entry in json.loads(kept["JSON"])["entries"]]
    assert "errors begins" in texts
    assert "errors begins" in kept["HTML"]
    assert "a real incident" in kept["HTML"]
    loss = re.search(r"([\d,]+) of [\d,]+ requests failed", kept["Text"])
    assert loss
    assert int(loss[1].replace(",", "")) > 0
    assert "| page availability 1m/5s |" in kept["Text"]


def test_a_link_opens_a_panel(page: Any, lab: stack.Lab) -> None:
    """And the address follows the panel, so that a reload keeps it; an unknown one opens faults."""
    page.goto(f"{lab.links['console']}?panel=alerts")
    playwright.expect(page.get_by_role("tab", name="Alerts")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Budget").click()
    playwright.expect(page).to_have_url(re.compile(r"\?panel=budget$"))
    page.reload()
    playwright.expect(page.get_by_role("tab", name="Budget")).to_have_attribute("aria-selected", "true")
    page.goto(f"{lab.links['console']}?panel=nothing")
    playwright.expect(page.get_by_role("tab", name="Faults")).to_have_attribute("aria-selected", "true")


def test_any_query_is_graphed(page: Any, lab: stack.Lab) -> None:
    """On a page of its own, with Prometheus' words about an error; its address leads to the same graph."""
    page.get_by_role("link", name="Query", exact=True).click()
    page.get_by_label("PromQL").fill("sum by (status) (rate(http_requests_total[30s]))")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("cell", name='{status="200"}').wait_for()
    shot(page, "9-query")
    page.get_by_label("PromQL").fill("sum(rate(x")
    page.get_by_label("PromQL").press("Enter")
    page.get_by_text("parse error: unclosed left parenthesis").wait_for()
    page.goto(lab.links["console"])
    page.locator("a[aria-label='Query of Success'][href*=expr]").click()
    page.get_by_text("1 series, a point every 1 s.").wait_for()
    page.goto(f"{lab.links['console']}/query?expr=up%7Bjob%3D%22chaosapi%22%7D")
    page.get_by_role("cell", name='up{instance="').wait_for()
    page.goto(lab.links["console"])


def test_times_are_local_on_request(page: Any) -> None:
    """The browser remembers it."""
    page.get_by_role("button", name="Times: UTC").click()
    page.get_by_role("button", name="Times: IST").wait_for()
    page.reload()
    page.get_by_role("button", name="Times: IST").click()
    page.get_by_role("button", name="Times: UTC").wait_for()


def test_without_prometheus_faults_can_still_be_changed(page: Any, lab: stack.Lab) -> None:
    """The page has a hint, and everything else works."""
    for part in psutil.Process().children(recursive=True):
        if f"--web.listen-address=127.0.0.1:{lab.ports.prometheus}" in part.cmdline():
            part.kill()
    page.get_by_text("Prometheus: down", exact=True).wait_for()
    page.get_by_text("Start it, or set its URL with --prometheus").wait_for()
    ended = page.get_by_text("0 faults ended on 1 of 1 replica")
    playwright.expect(ended).to_have_count(0)  # what a test before this one was told is gone
    page.get_by_role("button", name="End all faults").click()
    ended.wait_for()
    shot(page, "9-prometheus-down")
