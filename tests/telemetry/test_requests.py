from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest

from chaosapi.injection.engine import Engine
from chaosapi.routes import STATUS_CLOSED, Route
from chaosapi.routing import RouteTable
from chaosapi.telemetry.counters import MmapCounters
from chaosapi.telemetry.faults import FaultMetrics
from chaosapi.telemetry.gauges import CallbackGauge
from chaosapi.telemetry.multiprocess import MultiprocessCollector
from chaosapi.telemetry.requests import BUCKETS, RequestMetrics

ROUTE = Route("/a")
SECONDS = (0.0, 0.004, 0.005, 0.0051, 30.0, 31.0)


def values(families: list[Metric]) -> dict[tuple[str, ...], float]:
    """Return every sample by name and label values."""
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def traffic(metrics: RequestMetrics) -> None:
    """Answer some requests, and leave one under way."""
    for seconds in SECONDS:
        metrics.counters_of("GET", "/a").count_arrival()
        metrics.counters_of("GET", "/a").count_answer("200", seconds)
    for method, status in (("GET", "503"), ("GET", STATUS_CLOSED), ("BREW", "418")):
        metrics.counters_of(method, "/a").count_arrival()
        metrics.counters_of(method, "/a").count_answer(status, 1.0)
    metrics.counters_of("GET", "/a").count_arrival()


def test_a_bucket_holds_what_took_so_long_or_less() -> None:
    """The bound itself too; what is slower than all of them is in +Inf, and count and sum are those of all."""
    metrics = RequestMetrics([ROUTE])
    traffic(metrics)
    found = values(list(metrics.collect()))
    name = "http_request_duration_seconds"
    labels = ("GET", "/a", "200")
    buckets = [found[f"{name}_bucket", *labels, le] for le in (*map(str, BUCKETS), "+Inf")]
    assert buckets == [sum(each <= bound for each in SECONDS) for bound in (*BUCKETS, float("inf"))]
    assert found[f"{name}_count", *labels] == found["http_requests_total", *labels] == len(SECONDS)
    assert found[f"{name}_sum", *labels] == sum(SECONDS)


def test_requests_under_way_are_those_that_have_come_and_not_gone() -> None:
    """Whatever became of the others."""
    metrics = RequestMetrics([ROUTE])
    traffic(metrics)
    assert values(list(metrics.collect()))["http_requests_inprogress", "GET", "/a"] == 1


def test_failures_are_5xx_and_no_answer_at_all() -> None:
    """What is no method of HTTP counts under one name."""
    metrics = RequestMetrics([ROUTE])
    traffic(metrics)
    assert metrics.count_answers() == (len(SECONDS) + 3, 2)
    counted = {route: count for route, count in metrics.count_by_route().items() if count}
    assert counted == {
        ("GET", "/a", "200"): len(SECONDS),
        ("GET", "/a", "000"): 1,
        ("GET", "/a", "503"): 1,
        ("other", "/a", "418"): 1,
    }


def test_a_worker_shows_the_same_as_a_process_alone(tmp_path: Path) -> None:
    """Names, labels, help, types and values; only the order may differ."""
    alone = RequestMetrics([ROUTE])
    registry = CollectorRegistry()
    beside = CollectorRegistry()
    faults = FaultMetrics(Engine(RouteTable.of([ROUTE]), lambda: 0.0))
    registry.register(faults)
    registry.register(alone)
    for each in (registry, beside):
        each.register(CallbackGauge("beside", "Something else.", lambda: 1.0, "livemax"))
    with (
        closing(MultiprocessCollector(beside, faults, tmp_path, 0)) as totals,
        closing(MmapCounters(tmp_path, 0)) as cells,
    ):
        worker = RequestMetrics([ROUTE], cells, totals.counted)
        for metrics in (alone, worker):
            traffic(metrics)
        shown, expected = (sorted(generate_latest(each).decode().splitlines()) for each in (totals, registry))
        assert shown == expected
        assert (worker.count_answers(), worker.count_by_route()) == (alone.count_answers(), alone.count_by_route())
