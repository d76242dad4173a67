"""The counters of several workers in one folder, in one process: the slot tells which series are whose."""

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from chaosapi.telemetry import multiprocess
from chaosapi.telemetry.gauges import CallbackGauge, GaugeFamily
from chaosapi.telemetry.multiprocess import MultiprocessCollector

SMALLEST = 65536


class Worker:
    """The metrics of one worker: a counter and gauges of faults, and a summed gauge."""

    def __init__(self, folder: Path, slot: int) -> None:
        self.matched: dict[str, float] = {}
        self.strength: dict[str, float] = {}
        self.settled: set[str] = set()
        self.up = 1.0
        self.held = 0.0
        registry = CollectorRegistry()
        self.registry = registry
        self.totals = MultiprocessCollector(registry, self, folder, slot)
        registry.register(CallbackGauge("chaosapi_held_requests", "Held.", lambda: self.held, "livesum"))
        registry.register(CallbackGauge("chaosapi_store_up", "Up.", lambda: self.up, "livemin"))

    def collect(self) -> Iterator[CounterMetricFamily | GaugeFamily]:
        matched = CounterMetricFamily("matched", "Matched.", labels=["fault"])
        strength = GaugeFamily("strength", "Strength.", "livemax", labels=["fault"])
        for name, count in self.matched.items():
            matched.add_metric([name], count)
        for name, value in self.strength.items():
            strength.add_metric([name], value)
        yield matched
        yield strength

    def recent(self) -> Iterator[CounterMetricFamily | GaugeFamily]:
        for family in self.collect():
            family.samples = [each for each in family.samples if each.labels["fault"] not in self.settled]
            yield family

    def scrape(self) -> dict[str, float]:
        lines = generate_latest(self.totals).decode().splitlines()
        parts = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in parts}


Hire = Callable[[int], Worker]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    """Return a function that starts the worker of a slot; all share a folder."""
    with ExitStack() as stack:

        def make(slot: int) -> Worker:
            worker = Worker(tmp_path, slot)
            stack.callback(worker.totals.close)
            return worker

        yield make


@pytest.fixture
def pair(hire: Hire) -> tuple[Worker, Worker]:
    """Return two workers."""
    return hire(0), hire(1)


def test_each_kind_of_metric_is_aggregated_in_its_way(pair: tuple[Worker, Worker]) -> None:
    """Counters and held requests are summed, the store gauge is the minimum, and common values appear once."""
    for worker, matched, held, up in zip(pair, (3, 4), (1, 2), (1, 0), strict=True):
        worker.matched = {"f": matched}
        worker.strength = {"f": 0.5}
        worker.held = held
        worker.up = up
        worker.totals.snapshot()
    expected = {'matched_total{fault="f"}': 7, 'strength{fault="f"}': 0.5}
    for worker in pair:
        assert worker.scrape() == {**expected, "chaosapi_held_requests": 3, "chaosapi_store_up": 0}


def test_the_successor_of_a_worker_continues_its_counters(
    pair: tuple[Worker, Worker], hire: Hire, tmp_path: Path
) -> None:
    """The dead worker's counters stay, its gauges do not."""
    one, other = pair
    one.matched = {"f": 5}
    other.matched = {"f": 7}
    other.held = 3
    other.totals.snapshot()
    multiprocess.mark_process_dead(tmp_path, 1)
    assert one.scrape()['matched_total{fault="f"}'] == 12
    assert one.scrape()["chaosapi_held_requests"] == 0
    successor = hire(1)
    successor.matched = {"f": 0}
    for count, everything in ((0, 12), (2, 14)):
        successor.matched = {"f": count}
        successor.totals.snapshot()
        assert one.scrape()['matched_total{fault="f"}'] == successor.scrape()['matched_total{fault="f"}'] == everything


def test_a_counter_of_a_replaced_fault_never_decreases(pair: tuple[Worker, Worker]) -> None:
    """A fault is replaced on one worker first, then on the other; no sum in between is lower."""
    seen = []
    for worker, count in ((pair[0], 5), (pair[1], 7), (pair[0], 0), (pair[1], 0), (pair[0], 6)):
        worker.matched = {"f": count}
        worker.totals.snapshot()
        seen += [each.scrape().get('matched_total{fault="f"}', 0) for each in pair if "f" in each.matched]
    assert seen == sorted(seen)
    assert seen[-1] == 18


def test_a_dropped_fault_disappears_as_a_whole(pair: tuple[Worker, Worker]) -> None:
    """A worker that has dropped it shows none of its series; a worker that has not shows all."""
    for worker in pair:
        worker.matched = {"f": 5}
        worker.strength = {"f": 1}
        worker.totals.snapshot()
    pair[0].matched = {}
    pair[0].strength = {}
    assert not [name for name in pair[0].scrape() if "fault" in name]
    assert pair[1].scrape()['matched_total{fault="f"}'] == 10


def test_ended_faults_are_not_recomputed_between_scrapes(pair: tuple[Worker, Worker]) -> None:
    """Every worker still shows them."""
    worker = pair[0]
    worker.matched = {"old": 5, "new": 1}
    worker.strength = {"old": 0, "new": 1}
    pair[1].matched = pair[1].strength = {"old": 0, "new": 0}
    worker.totals.snapshot()
    worker.settled = {"old"}
    worker.matched = {"old": 6, "new": 2}
    worker.totals.snapshot(whole=False)
    shown = pair[1].scrape()
    assert (shown['matched_total{fault="old"}'], shown['matched_total{fault="new"}']) == (5, 2)
    assert worker.scrape()['matched_total{fault="old"}'] == pair[1].scrape()['matched_total{fault="old"}'] == 6


def test_dropped_faults_take_no_space(hire: Hire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand faults would fill the smallest file twice."""
    monkeypatch.setattr(multiprocess, "_SWEEP_INTERVAL_S", 0.0)
    worker = hire(0)
    for number in range(1000):
        worker.matched = {f"{number}-{'f' * 60}": 1}
        worker.totals.snapshot()
    assert max(path.stat().st_size for path in tmp_path.iterdir()) == SMALLEST
    assert [value for name, value in worker.scrape().items() if "fault" in name] == [1]


def test_a_family_without_series_is_exported(pair: tuple[Worker, Worker]) -> None:
    """A dashboard can query it before any fault."""
    assert "# TYPE matched_total counter" in generate_latest(pair[0].totals).decode()


def test_on_a_full_disk_the_other_workers_are_shown(
    hire: Hire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without space is missing in the sums; its earlier values stay, and it is added later."""
    old = hire(0)
    old.matched["f"] = 1
    old.totals.snapshot()

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        new = hire(1)
        new.matched["f"] = 10
        new.totals.snapshot()
        old.matched = {"f": 2} | {f"{number}-{'x' * 100}": 1.0 for number in range(1_000)}
        assert old.scrape()['matched_total{fault="f"}'] == 2
        old.matched = {"f": 3}
        old.totals.snapshot()
    assert old.scrape()['matched_total{fault="f"}'] == 3


def test_a_gauge_without_an_aggregation_mode_is_an_error(hire: Hire) -> None:
    """A new gauge would silently be the maximum instead of the sum."""

    class Forgotten(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield GaugeMetricFamily("queued", "Requests that wait.", value=1)

    worker = hire(0)
    forgotten = Forgotten()
    worker.registry.register(forgotten)
    with pytest.raises(LookupError, match="queued does not say"):
        worker.scrape()
    worker.registry.unregister(forgotten)
