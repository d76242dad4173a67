from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest

from chaosapi.faults.fault import Fault
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
    """Return all samples by name and label values."""
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def traffic(metrics: RequestMetrics) -> None:
    """Count some requests, and leave one in progress."""
    for seconds in SECONDS:
        metrics.by_route["GET", "/a"].in_progress[0] += 1
        metrics.by_route["GET", "/a"].count_answer("200", seconds)
    for method, status in (("GET", "503"), ("GET", STATUS_CLOSED), ("BREW", "418")):
        metrics.by_route[method, "/a"].in_progress[0] += 1
        metrics.by_route[method, "/a"].count_answer(status, 1.0)
    metrics.by_route["GET", "/a"].in_progress[0] += 1


def test_a_bucket_counts_requests_up_to_its_bound() -> None:
    """The bound included; slower requests are in +Inf; count and sum include all."""
    metrics = RequestMetrics([ROUTE])
    traffic(metrics)
    found = values(list(metrics.collect()))
    name = "http_request_duration_seconds"
    labels = ("GET", "/a", "200")
    buckets = [found[f"{name}_bucket", *labels, le] for le in (*map(str, BUCKETS), "+Inf")]
    assert buckets == [sum(each <= bound for each in SECONDS) for bound in (*BUCKETS, float("inf"))]
    assert found[f"{name}_count", *labels] == found["http_requests_total", *labels] == len(SECONDS)
    assert found[f"{name}_sum", *labels] == sum(SECONDS)


def test_requests_in_progress_are_counted() -> None:
    """For any outcome of the others."""
    metrics = RequestMetrics([ROUTE])
    traffic(metrics)
    assert values(list(metrics.collect()))["http_requests_inprogress", "GET", "/a"] == 1


def test_failures_are_5xx_and_missing_responses() -> None:
    """Unknown methods share one label."""
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


def test_a_worker_exports_the_same_as_a_single_process(tmp_path: Path) -> None:
    """Names, labels, help, types and values are equal; only the order may differ."""
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


def test_a_fault_is_shown_by_every_worker(tmp_path: Path) -> None:
    """Also where only another worker has heard of it yet."""
    fault = Fault.model_validate({"effect": {"type": "error", "status": 418}})
    registry = CollectorRegistry()
    faults = FaultMetrics(Engine(RouteTable.of([ROUTE]), lambda: 0.0))
    with (
        closing(MultiprocessCollector(registry, faults, tmp_path, 0)) as totals,
        closing(MmapCounters(tmp_path, 0)) as own,
        closing(MmapCounters(tmp_path, 1)) as others,
    ):
        RequestMetrics([ROUTE], own, totals.counted)
        RequestMetrics([ROUTE], others, totals.counted).expose_statuses(fault, [ROUTE])
        assert 'http_requests_total{handler="/a",method="GET",status="418"} 0.0' in generate_latest(totals).decode()
