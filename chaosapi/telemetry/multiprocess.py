"""The metrics of all workers of one service: whichever of them is asked answers for all.

They meet in a folder of prometheus-client's multiprocess files. What is counted on the way of a request is written
there as it happens; what is read off something only when scraped is noted there on a beat. The files belong to a slot
rather than to a process: a worker that is started in the place of another counts on where that one was killed.
"""

import asyncio
import contextlib
import json
import operator
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, get_args

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

from chaosapi.effects.base import MultiprocessMode
from chaosapi.telemetry.counters import AllocatedMmapDict, key_text
from chaosapi.telemetry.gauges import GaugeFamily

_BEAT: Final = 0.5
"""Seconds between two notes; what was read in the last of them is lost when a worker is killed."""
_SWEEP: Final = 10.0
"""Seconds for which a series that is gone is kept at least, until every worker has let go of it."""
_PROCESS_MODES: Final[dict[str, MultiprocessMode]] = {
    "process_max_fds": "livesum",
    "process_open_fds": "livesum",
    "process_resident_memory_bytes": "livesum",
    "process_start_time_seconds": "livemin",
    "process_virtual_memory_bytes": "livesum",
    "python_info": "livemax",
}
"""How the gauges of prometheus-client's own collectors become one; ours say it where they are made."""

_ADD: Final = {"livemax": max, "livemin": min}
_COUNTS: Final = {"counter", "histogram"}

_written = lru_cache(10_000)(key_text)


def mark_process_dead(folder: Path, slot: int) -> None:
    """Forget the gauges of a worker that has ended. Its counters stay."""
    for path in folder.glob(f"gauge_live*_{slot}.db"):
        path.unlink()
    for path in folder.glob(f"gauge_live*_read-{slot}.db"):
        path.unlink()


class MmapFile:
    """One file of this worker. What there is no room for is not in it, until there is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AllocatedMmapDict | None = _book(path)
        self.values: dict[str, float] = {}
        if self._file:
            found = self._file.read_all_values()  # type: ignore[no-untyped-call]
            self.values = {key: value for key, value, _ in found}

    def write(self, key: str, value: float) -> None:
        if self.values.get(key) != value:
            self.values[key] = value
            self._note(key, value)

    def _note(self, key: str, value: float) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]

    def keep(self, keys: set[str]) -> None:
        """Drop all others; a reader sees the file before or after."""
        if self.values.keys() <= keys:
            return
        kept = {key: value for key, value in self.values.items() if key in keys}
        path = self._path.with_suffix(".new")
        path.unlink(missing_ok=True)
        fresh = _book(path)
        if not fresh:
            return  # the old one stays as it is
        self.close()
        self._file, self.values = fresh, kept
        for key, value in kept.items():
            self._note(key, value)
        path.replace(self._path)

    def close(self) -> None:
        if self._file:
            self._file.close()  # type: ignore[no-untyped-call]


def _book(path: Path) -> AllocatedMmapDict | None:
    """Open a file, or make it if there is room."""
    try:
        return AllocatedMmapDict(path)
    except OSError:
        return None


class Faults(Protocol):
    """Shows what all faults did, or those whose figures may have changed lately."""

    def collect(self) -> Iterable[Metric]:
        """Give the families with all faults."""

    def recent(self) -> Iterable[Metric]:
        """Give the same families, where settled faults may be missing."""


class MultiprocessCollector(Collector):
    """Notes what this worker's own collectors and faults show, and adds up what all workers count and have noted."""

    def __init__(self, own: CollectorRegistry, faults: Faults, folder: Path, slot: int) -> None:
        self._own, self._faults, self._folder = own, faults, folder
        self._counters = MmapFile(folder / f"counter_read-{slot}.db")
        self._gauges = {mode: MmapFile(folder / f"gauge_{mode}_read-{slot}.db") for mode in get_args(MultiprocessMode)}
        self._before = dict(self._counters.values)
        self._seen: dict[str, float] = {}
        self._fresh: set[str] = set()
        self._swept = time.monotonic()
        self._lock = threading.Lock()

    async def run(self) -> None:
        """Note until cancelled."""
        while True:
            await asyncio.sleep(_BEAT)
            self.snapshot(whole=time.monotonic() > self._swept + _SWEEP)

    def snapshot(self, *, whole: bool = True) -> list[Metric]:
        """Write down what there is to read now, and return it; call it also around whatever sets counters back.

        What is no longer there is dropped when the whole is noted.
        """
        with self._lock:
            families = [*self._own.collect(), *(self._faults.collect() if whole else self._faults.recent())]
            shown: dict[str, set[str]] = {mode: set() for mode in self._gauges}
            for family in families:
                mode = None if family.type == "counter" else _mode(family)
                for sample in family.samples:
                    key = _written(family.name, sample.name, tuple(sample.labels.items()), family.documentation)
                    if mode is None:
                        self._count(key, sample.value)
                    else:
                        self._gauges[mode].write(key, sample.value)
                        shown[mode].add(key)
            if whole:
                for kind, keys in shown.items():
                    self._gauges[kind].keep(keys)
                self._sweep()
        return families

    def close(self) -> None:
        """Note for the last time."""
        self.snapshot()
        for sheet in (self._counters, *self._gauges.values()):
            sheet.close()

    def collect(self) -> Iterator[Metric]:
        """Yield all families; of the faults, those that this worker knows."""
        own = self.snapshot()
        known = {_fault(sample.labels) for family in own for sample in family.samples}
        merged = self._merged("*.db")
        for family in own:
            if family.name not in merged:
                yield Metric(family.name, family.documentation, family.type)
        for family in merged.values():
            # The workers learn of a change one after the other: a part of them would look like a counter going back.
            family.samples = [sample for sample in family.samples if _fault(sample.labels) in known]
            yield family

    def counted(self) -> Iterable[Metric]:
        """Return what all workers have counted on the way of requests."""
        return self._merged("counter_[0-9]*.db").values()

    def _count(self, key: str, value: float) -> None:
        """Count on from what was counted in this slot before, and after a fault was replaced by one of its name."""
        self._fresh.add(key)
        last = self._seen.get(key)
        if value == last:
            return
        if last is not None and value < last:
            self._before[key] = self._before.get(key, 0.0) + last
        self._seen[key] = value
        self._counters.write(key, self._before.get(key, 0.0) + value)

    def _sweep(self) -> None:
        if (now := time.monotonic()) < self._swept + _SWEEP:
            return
        self._counters.keep(self._fresh)
        self._before = {key: value for key, value in self._before.items() if key in self._fresh}
        self._seen = {key: value for key, value in self._seen.items() if key in self._fresh}
        self._swept, self._fresh = now, set()

    def _merged(self, pattern: str) -> dict[str, Metric]:
        families: dict[str, Metric] = {}
        for kind, figures in self._read(pattern).items():
            running: dict[tuple[str, ...], float] = {}
            for key, figure in figures.items():
                name, sample, labels, text = _parsed(key)
                family = families.setdefault(name, Metric(name, text, kind if kind in _COUNTS else "gauge"))
                if "le" not in labels:
                    family.add_sample(sample, labels, figure)
                    continue
                # Buckets are kept apart in the files, in their order, and shown as "so much or less".
                rest = {label: value for label, value in labels.items() if label != "le"}
                child = name, *rest.values()
                running[child] = running.get(child, 0.0) + figure
                family.add_sample(sample, labels, running[child])
                if labels["le"] == "+Inf":
                    family.add_sample(f"{name}_count", rest, running[child])
        return families

    def _read(self, pattern: str) -> dict[str, dict[str, float]]:
        """Return by kind what all files say. Figures are added up as they are read: keys are long to parse."""
        figures: dict[str, dict[str, float]] = {}
        for path in sorted(self._folder.glob(pattern)):
            kind = path.name.removeprefix("gauge_").split("_")[0]
            add, known = _ADD.get(kind, operator.add), figures.setdefault(kind, {})
            for key, figure in _figures(path):
                known[key] = add(known[key], figure) if key in known else figure
        return figures


def _figures(path: Path) -> list[tuple[str, float]]:
    for _ in range(1000):
        try:
            found = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
            return [(key, figure) for key, figure, *_ in found]
        except FileNotFoundError:  # the gauges of a worker that has just ended
            return []
        except struct.error:  # a worker is about to make it
            time.sleep(0.001)
    raise OSError(f"{path.name} stays empty")


@lru_cache(10_000)
def _parsed(key: str) -> tuple[str, str, dict[str, str], str]:
    """Read a key as `counters.key_text` wrote it; nobody changes what is returned."""
    name, sample, labels, text = json.loads(key)
    return name, sample, labels, text


def _fault(labels: dict[str, str]) -> tuple[str | None, str | None]:
    return labels.get("fault"), labels.get("effect")


def _mode(family: Metric) -> MultiprocessMode:
    """Return how the gauges of all workers become one; raises LookupError where the family does not say it."""
    if isinstance(family, GaugeFamily):
        return family.multiprocess_mode
    if family.name not in _PROCESS_MODES:
        raise LookupError(f"{family.name} does not say how those of several workers become one: make it a GaugeFamily")
    return _PROCESS_MODES[family.name]
