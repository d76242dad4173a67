import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from chaosapi.telemetry.requests import BUCKETS
from tests.loadtests.processes import LOADTESTS, answers, free_port, locust, running, statistics, wait_for
from tests.loadtests.pure import module
from tests.loadtests.service import fault, scraped, served
from tests.loadtests.shop import Shop

pytestmark = pytest.mark.slow

MIX: dict[str, float] = module("_scenarios").MIX
STOCK = 10
PREPARED = 13
"""Carts that are filled before the start of a run, and those requests with the three purchases."""


def test_the_open_loop_holds_its_rate_under_latency(service: str, tmp_path: Path) -> None:
    """With 2 s of latency on a third of the requests every request of a spike still starts, and the mix is exact."""
    slow = {"type": "latency", "distribution": {"type": "constant", "value": "2s"}}
    with fault(service, slow, rate=0.33):
        spike = ("--scenario", "spike", "--rate", "20", "--peak", "60", "--duration", "6s", "--expect", "missed<0.001")
        run = locust(*spike, host=service, stats=tmp_path / "s")
    assert run.returncode == 0, run.stderr
    entries = {f"{entry['method']} {entry['name']}": entry for entry in statistics(tmp_path / "s.json")}
    counts = {route: entry["num_requests"] for route, entry in entries.items()}
    assert sum(counts.values()) == 200
    assert counts == pytest.approx({route: 200 * share for route, share in MIX.items()}, abs=3)
    times = [(int(ms), count) for entry in entries.values() for ms, count in entry["response_times"].items()]
    assert sum(count for ms, count in times if ms >= 2000) > 34, times  # of 200 rolls; fewer: below one in a million
    assert 200 + STOCK <= served(service) <= 200 + PREPARED  # a cart that was filled too late is not bought


def test_the_mix_holds_in_an_outage(service: str, tmp_path: Path) -> None:
    """Checkouts and orders are requested also when all fail; the conditions decide the exit code."""
    with fault(service, {"type": "error", "status": 503}):
        steady = ("--scenario", "steady", "--rate", "50", "--duration", "4s", "--expect", "errors<1")
        run = locust(*steady, host=service, stats=tmp_path / "s")
    assert run.returncode == 1
    assert "NOT met: errors<1 (it was 100.00%)" in run.stderr
    counts = {f"{entry['method']} {entry['name']}": entry["num_requests"] for entry in statistics(tmp_path / "s.json")}
    assert counts == pytest.approx({route: 200 * share for route, share in MIX.items()}, abs=3)


def test_a_reset_is_one_request(service: str, tmp_path: Path) -> None:
    """The client does not retry after a reset: client and service count the same."""
    with fault(service, {"type": "reset"}) as name:
        steady = ("--scenario", "steady", "--rate", "20", "--duration", "2s", "--exit-code-on-error", "0")
        run = locust(*steady, host=service, stats=tmp_path / "s")
        receipt = httpx2.get(f"{service}/admin/faults/{name}").json()["receipt"]
    assert run.returncode == 0, run.stderr
    entries = statistics(tmp_path / "s.json")
    assert sum(entry["num_failures"] for entry in entries) == 40
    assert receipt["injected"] == 40 + STOCK


def test_requests_that_cannot_start_are_counted_as_missed(service: str, tmp_path: Path) -> None:
    """With at most two requests in progress and a response time of a second, all others are missed and reported."""
    with fault(service, {"type": "latency", "distribution": {"type": "constant", "value": "1s"}}):
        steady = ("--scenario", "steady", "--rate", "20", "--duration", "3s", "--inflight", "2")
        run = locust(*steady, "--expect", "missed<0.5,max<30s", host=service, stats=tmp_path / "s")
    assert run.returncode == 1
    entries = statistics(tmp_path / "s.json")
    sent = sum(entry["num_requests"] for entry in entries)
    (missed,) = [entry["num_failures"] for entry in entries if entry["method"] == "MISSED"]
    assert sent + missed == 60
    assert f"60 requests were due and {missed} missed ({missed} saturated)" in run.stderr
    assert "NOT met: missed<0.5" in run.stderr
    assert "met: max<30s" in run.stderr


def test_retries_keep_their_budget_from_when_it_is_set(service: str) -> None:
    """Naive clients send a failing request four times; budgeted ones a tenth more, and ten from the start."""
    steady = ("--scenario", "steady", "--rate", "20", "--duration", "3s", "--retries", "naive")
    with fault(service, {"type": "error", "status": 503}):
        for more, least, most in (((), 180, 180), (("--budget-after", "0s"), 14, 16)):
            (retries,) = re.findall(r"; (\d+) retries", locust(*steady, *more, host=service).stderr)
            assert least <= int(retries) <= most


def test_one_process_and_three_workers_send_the_same(shop: Shop, tmp_path: Path) -> None:
    """A master and its workers: every request of the plan is sent once, and the statistics are complete."""
    port = str(free_port())
    steady = ("--scenario", "spike", "--rate", "20", "--peak", "80", "--duration", "6s", "--scenario-seed", "7")
    master = ("--master", "--expect-workers", "3", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(running("--worker", "--master-port", port))
        run = locust(*steady, *master, host=shop.url, stats=tmp_path / "s")
    assert run.returncode == 0, run.stderr
    planned = {module("_arrivals").request_id("spike", 7, number) for number in range(240)}
    sent = Counter(headers["x-request-id"] for headers in shop.headers)
    assert {name for name in sent if name in planned} == planned
    assert all(sent[name] == 1 for name in planned)
    assert 3 * STOCK <= len(set(sent) - planned) == sent.total() - 240 <= 3 * PREPARED
    assert sum(entry["num_requests"] for entry in statistics(tmp_path / "s.json")) == 240
    assert "240 requests were due and 0 missed" in run.stderr


def adds_up(samples: dict[tuple[str, str, str, str], float]) -> bool:
    """Return whether every planned request was answered or is in progress."""
    total = sum(value for (name, *_), value in samples.items() if name == "loadtest_requests_total")
    in_flight, planned = (samples[(f"loadtest_{name}", "", "", "")] for name in ("inflight", "planned_total"))
    return planned == total + in_flight > 0


def test_clients_export_metrics(service: str) -> None:
    """Requests by exact status and route from 0 on, in the service's buckets; a reset is "000"; the plan, kept."""
    port = free_port()
    with (
        fault(service, {"type": "reset"}, routes=["/api/search"]),
        running(
            *(
                "--headless",
                "--scenario",
                "steady",
                "--rate",
                "30",
                "--duration",
                "1m",
                "--metrics-port",
                str(port),
                "-H",
                service,
            )
        ),
    ):
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for(lambda: answers(url), "the metrics")
        samples = scraped(url)
        assert samples[("loadtest_requests_total", "GET", "/api/search", "000")] == 0
        wait_for(lambda: scraped(url)[("loadtest_requests_total", "GET", "/api/search", "000")] >= 3, "resets")
        wait_for(lambda: adds_up(scraped(url)), "a moment in which no request is just being sent")
        samples = scraped(url)
        text = httpx2.get(url).text
    routes = {(method, handler) for name, method, handler, _ in samples if name == "loadtest_requests_total"}
    assert {f"{method} {handler}" for method, handler in routes} == set(MIX)
    assert samples[("loadtest_requests_total", "GET", "/api/search", "200")] == 0
    assert samples[("loadtest_planned_rate", "", "", "")] == 30
    assert {float(limit) for limit in re.findall(r'le="([\d.]+)"', text)} == set(BUCKETS)
    assert 'loadtest_info{model="open",scenario="steady"} 1.0' in text


def test_the_closed_model_has_a_user_a_request(shop: Shop) -> None:
    """As many users as requests a second, but at least one, each with ids of its own."""
    few = locust("--scenario", "steady", "--model", "closed", "--rate", "0.4", "--duration", "3s", host=shop.url)
    assert few.returncode == 0, few.stderr
    assert len({headers["x-user-id"] for headers in shop.headers}) == 1
    shop.headers.clear()
    run = locust("--scenario", "steady", "--model", "closed", "--rate", "10", "--duration", "3s", host=shop.url)
    assert run.returncode == 0, run.stderr
    assert len({headers["x-request-id"] for headers in shop.headers}) == len(shop.headers) > 10
    assert len({headers["x-user-id"] for headers in shop.headers}) == 10
    assert len({headers["traceparent"].split("-")[1] for headers in shop.headers}) == len(shop.headers)


def test_a_run_writes_a_report(shop: Shop, tmp_path: Path) -> None:
    """In the folder for reports, named after the scenario; the environment chooses, from any folder, by file."""
    run = locust(
        *("--rate", "20", "--duration", "1s"),
        file=LOADTESTS / "locustfile.py",
        folder=tmp_path,
        host=shop.url,
        reports=str(tmp_path / "reports"),
        CHAOSAPI_SCENARIO="steady",
    )
    assert run.returncode == 0, run.stderr
    (report,) = (tmp_path / "reports").glob("steady-*.html")
    assert "/api/products/{product_id}" in report.read_text()


def test_without_a_scenario_users_rate_and_time_are_locusts(shop: Shop) -> None:
    """-u, -r and -t mean what they always mean when no scenario is chosen."""
    run = locust("-u", "7", "-r", "7", "-t", "3s", host=shop.url)
    assert run.returncode == 0, run.stderr
    assert "Ramping to 7 users at a rate of 7.00" in run.stderr
    assert "Run time limit set to 3 seconds" in run.stderr
    assert len({headers["x-user-id"] for headers in shop.headers}) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--scenario nope", "there is no scenario 'nope'; choose one of\n  none: -u, -r and -t decide"),
        ("--scenario spike --rate 200 --peak 100", "the peak is 100 requests/s; it must be above the rate, 200"),
        ("--scenario steady --expect p95", "'p95' is no condition such as p95<300ms"),
        ("--scenario steady --scale 0", "the scale is 0; it must be above 0"),
        ("--scenario steady --inflight 0", "the inflight is '0'; it must be a whole number from 1 on"),
        ("--scenario steady --rate 0.4 --duration 2s", "the run would send 0.8 requests"),
        ("--metrics-port 70000", "the metrics port is '70000'; it must be a whole number from 0 to 65535"),
        ("--scenario steady --duration soon", "the duration 'soon' is no time such as 90s, 3m or 1h30m"),
        ("--scenario steady -u 5", "give --rate and --duration instead of -u, -r, -t"),
    ],
)
def test_an_invalid_option_ends_the_run_at_once(arguments: str, message: str) -> None:
    """The error has the valid form, and no request is sent."""
    run = locust(*arguments.split())
    assert run.returncode == 2
    assert message in run.stderr
    assert "Ramping" not in run.stderr


def test_a_port_in_use_for_metrics_is_named_with_its_option(shop: Shop) -> None:
    """Another process uses the port."""
    run = locust("--metrics-port", str(shop.server_port), "-t", "1s")
    assert run.returncode == 2
    assert "Address already in use" in run.stderr
    assert "--metrics-port" in run.stderr


def test_the_seed_comes_from_the_environment() -> None:
    """The variable says "scenario" once."""
    run = locust("--scenario", "steady", CHAOSAPI_SCENARIO_SEED="nine")
    assert run.returncode == 2
    assert "the scenario seed is 'nine'; it must be a whole number from 0 on" in run.stderr


def test_help_lists_the_scenarios() -> None:
    """--scenario-help explains the scenarios and their options."""
    run = locust("--scenario-help")
    assert run.returncode == 0
    assert all(f"{word}:" in "".join(run.stdout.split()) for word in module("_scenarios").SCENARIOS)
    assert all(word in run.stdout for word in ("--rate", "--peak", "--duration", "--scale", "--model", "--expect"))
