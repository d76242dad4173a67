"""The metrics of calls to dependencies and of queues: of one process, and of several."""

from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric

from chaosapi.calls import OUTCOMES, Try, Wait
from chaosapi.injection.engine import Engine
from chaosapi.routes import Route
from chaosapi.routing import RouteTable
from chaosapi.telemetry.calls import BUCKETS, OTHER, CallMetrics
from chaosapi.telemetry.counters import MmapCounters
from chaosapi.telemetry.faults import FaultMetrics
from chaosapi.telemetry.multiprocess import MultiprocessCollector
from chaosapi.telemetry.queues import QueueMetrics

DURATION = "chaosapi_dependency_request_duration_seconds"
RETRIES = "chaosapi_dependency_retries_total"
TRIES = (Try("db", 1, "timeout", 0, 1.002, "late"), Try("db", 2, "ok", 1.1, 0.4), Try("db", 1, "ok", 2, 0.0009))


def values(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return all samples by name and label values, in the order of the labels' names."""
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


def test_every_series_of_a_dependency_is_there_from_the_start() -> None:
    """A series that first appears with a burst of errors hides that burst."""
    found = values(CallMetrics(["db", "payments"]).collect())
    for name in ("db", "payments"):
        assert found[RETRIES, name] == 0
        assert [found[f"{DURATION}_count", name, outcome] for outcome in OUTCOMES] == [0, 0, 0, 0]


def test_a_histogram_tells_fast_calls_from_slow_ones_and_from_time_outs() -> None:
    metrics = CallMetrics(["db"])
    for each in TRIES:
        metrics.count_try(each)
    found = values(metrics.collect())
    fast, slow = (found[f"{DURATION}_bucket", "db", le, "ok"] for le in ("0.001", "0.5"))
    assert (fast, slow) == (1, 2)
    assert found[f"{DURATION}_bucket", "db", "1.0", "timeout"] == 0
    assert found[f"{DURATION}_count", "db", "timeout"] == 1
    assert found[f"{DURATION}_sum", "db", "ok"] == 0.4 + 0.0009
    assert found[RETRIES, "db"] == 1
    assert BUCKETS[-1] == 10


def test_points_that_were_not_named_share_one_label() -> None:
    metrics = CallMetrics([])
    for number in range(100):
        metrics.count_try(Try(f"user-{number}", 1, "ok", 0, 0))
    found = values(metrics.collect())
    assert found[f"{DURATION}_count", OTHER, "ok"] == 100
    assert {dependency for _, dependency, *_ in found} == {OTHER}


def test_workers_add_up_and_a_successor_continues(tmp_path: Path) -> None:
    """Histogram, counters and gauges, in the files that all workers share."""

    def serve(slot: int) -> None:
        calls = CallMetrics(["db"], stack.enter_context(closing(MmapCounters(tmp_path, slot))))
        for each in TRIES:
            calls.count_try(each)

    with ExitStack() as stack:
        for slot in (0, 1, 1):
            serve(slot)
        engine = Engine(RouteTable.of([Route("/a")]), float)
        merged = MultiprocessCollector(CollectorRegistry(), FaultMetrics(engine), tmp_path, 2)
        found = values(merged.collect())
        merged.close()
    assert found[f"{DURATION}_bucket", "db", "0.5", "ok"] == 6
    assert found[f"{DURATION}_count", "db", "timeout"] == 3
    assert found[RETRIES, "db"] == 3


def test_a_queue_shows_who_waits_who_is_served_and_how_waits_ended() -> None:
    """Of two requests, one is served at once and the other waits; a third is refused."""
    metrics = QueueMetrics(["/a"], ["db"])
    meter = metrics.meter("/a", "")
    meter.join()
    meter.admit()
    meter.join()
    metrics.count_wait(Wait("/a", "", True, 0, 0))
    metrics.count_wait(Wait("/a", "", False, 0, 0, rejected=True))
    found = values(metrics.collect())
    assert found["chaosapi_queue_in_use", "/a"] == found["chaosapi_queue_waiting", "/a"] == 1
    assert found["chaosapi_queue_rejected_total", "/a"] == 1
    assert found["chaosapi_queue_wait_seconds_count", "/a"] == 2
    assert found["chaosapi_pool_in_use", "db"] == found["chaosapi_pool_rejected_total", "db"] == 0
    meter.leave(admitted=True)
    meter.leave(admitted=False)
    found = values(metrics.collect())
    assert found["chaosapi_queue_in_use", "/a"] == found["chaosapi_queue_waiting", "/a"] == 0
