"""The metrics of all workers of one service, merged: any worker answers a scrape for all of them.

Workers share a folder of prometheus-client's multiprocess files. Request metrics are written there as they change;
metrics that are computed when scraped are written at an interval. A file belongs to a slot, not to a process: a worker
that replaces a killed one continues its counters.
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
from itertools import chain
from pathlib import Path
from typing import Final, Protocol, get_args

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

from chaosapi.effects.base import MultiprocessMode
from chaosapi.telemetry.counters import AllocatedMmapDict, key_text
from chaosapi.telemetry.gauges import GaugeFamily

_INTERVAL_S: Final = 0.5
"""Between two snapshots; when a worker is killed, the changes since the last one are lost."""
_SWEEP_INTERVAL_S: Final = 10.0
"""Series that no longer exist are deleted so rarely: by then every worker has dropped them."""
_PROCESS_MODES: Final[dict[str, MultiprocessMode]] = {
    "process_max_fds": "livesum",
    "process_open_fds": "livesum",
    "process_resident_memory_bytes": "livesum",
    "process_start_time_seconds": "livemin",
    "process_virtual_memory_bytes": "livesum",
    "python_info": "livemax",
}
"""How workers merge the gauges of prometheus-client's own collectors; our gauges name their mode themselves."""

_ADD: Final = {"livemax": max, "livemin": min}
_COUNTS: Final = {"counter", "histogram"}

_cached_key_text = lru_cache(10_000)(key_text)


def mark_process_dead(folder: Path, slot: int) -> None:
    """Delete the gauges of a worker that has ended; its counters stay."""
    for path in folder.glob(f"gauge_live*_{slot}.db"):
        path.unlink()
    for path in folder.glob(f"gauge_live*_read-{slot}.db"):
        path.unlink()


class MmapFile:
    """One file of this worker. While the disk is full, new keys are not written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AllocatedMmapDict | None = _open_file(path)
        self.values: dict[str, float] = {}
        if self._file:
            found = self._file.read_all_values()  # type: ignore[no-untyped-call]
            self.values = {key: value for key, value, _ in found}

    def write(self, key: str, value: float) -> None:
        if self.values.get(key) != value:
            self.values[key] = value
            self._write(key, value)

    def _write(self, key: str, value: float) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]

    def keep(self, keys: set[str]) -> None:
        """Delete all other keys; readers see the old file or the new one."""
        if self.values.keys() <= keys:
            return
        kept = {key: value for key, value in self.values.items() if key in keys}
        path = self._path.with_suffix(".new")
        path.unlink(missing_ok=True)
        fresh = _open_file(path)
        if not fresh:
            return  # the disk is full: the old file stays
        self.close()
        self._file = fresh
        self.values = kept
        for key, value in kept.items():
            self._write(key, value)
        path.replace(self._path)

    def close(self) -> None:
        if self._file:
            self._file.close()  # type: ignore[no-untyped-call]


def _open_file(path: Path) -> AllocatedMmapDict | None:
    """Open or create a file; return None where the disk is full."""
    try:
        return AllocatedMmapDict(path)
    except OSError:
        return None


class FaultFamilies(Protocol):
    """The metrics of faults."""

    def collect(self) -> Iterable[Metric]:
        """Return the families with all faults."""

    def recent(self) -> Iterable[Metric]:
        """Return the same families; faults whose counts no longer change may be left out."""


class MultiprocessCollector(Collector):
    """Writes this worker's metrics to the shared files at an interval, and merges the files of all workers."""

    def __init__(self, own: CollectorRegistry, faults: FaultFamilies, folder: Path, slot: int) -> None:
        self._own = own
        self._faults = faults
        self._folder = folder
        self._counters = MmapFile(folder / f"counter_read-{slot}.db")
        self._gauges = {mode: MmapFile(folder / f"gauge_{mode}_read-{slot}.db") for mode in get_args(MultiprocessMode)}
        self._before = dict(self._counters.values)
        self._seen: dict[str, float] = {}
        self._fresh: set[str] = set()
        self._swept = time.monotonic()
        self._lock = threading.Lock()

    async def run(self) -> None:
        """Write snapshots until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self.snapshot(whole=time.monotonic() > self._swept + _SWEEP_INTERVAL_S)

    def snapshot(self, *, whole: bool = True) -> list[Metric]:
        """Write the metrics as they are now, and return them; call it before and after a reset of counters.

        A `whole` snapshot has all faults, and deletes series that no longer exist.
        """
        with self._lock:
            families = [*self._own.collect(), *(self._faults.collect() if whole else self._faults.recent())]
            shown: dict[str, set[str]] = {mode: set() for mode in self._gauges}
            for family in families:
                mode = None if family.type == "counter" else _mode(family)
                for sample in family.samples:
                    key = _cached_key_text(family.name, sample.name, tuple(sample.labels.items()), family.documentation)
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
        """Write the last snapshot."""
        self.snapshot()
        for file in (self._counters, *self._gauges.values()):
            file.close()

    def collect(self) -> Iterator[Metric]:
        """Yield the merged families; only faults that this worker knows."""
        own = self.snapshot()
        samples = chain.from_iterable(family.samples for family in own)
        known = {_fault(sample.labels) for sample in samples}
        merged = self._merged("*.db")
        for family in own:
            if family.name not in merged:
                yield Metric(family.name, family.documentation, family.type)
        for family in merged.values():
            # Workers apply a change one after the other: a sum over a part of them would look like a counter reset.
            family.samples = [sample for sample in family.samples if _fault(sample.labels) in known]
            yield family

    def counted(self) -> Iterable[Metric]:
        """Return the request metrics of all workers."""
        return self._merged("counter_[0-9]*.db").values()

    def _count(self, key: str, value: float) -> None:
        """Continue a counter of this slot: after a restart, and after a fault was replaced by one of the same name."""
        self._fresh.add(key)
        last = self._seen.get(key)
        if value == last:
            return
        if last is not None and value < last:
            self._before[key] = self._before.get(key, 0.0) + last
        self._seen[key] = value
        self._counters.write(key, self._before.get(key, 0.0) + value)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now < self._swept + _SWEEP_INTERVAL_S:
            return
        self._counters.keep(self._fresh)
        self._before = {key: value for key, value in self._before.items() if key in self._fresh}
        self._seen = {key: value for key, value in self._seen.items() if key in self._fresh}
        self._swept = now
        self._fresh = set()

    def _merged(self, pattern: str) -> dict[str, Metric]:
        families: dict[str, Metric] = {}
        for kind, values in self._read(pattern).items():
            running: dict[tuple[str, ...], float] = {}
            for key, value in values.items():
                name, sample, labels, text = _parsed(key)
                family = families.setdefault(name, Metric(name, text, kind if kind in _COUNTS else "gauge"))
                if "le" not in labels:
                    family.add_sample(sample, labels, value)
                    continue
                # The files have the count of each bucket, in order; /metrics has cumulative counts.
                rest = {name: text for name, text in labels.items() if name != "le"}
                child = name, *rest.values()
                running[child] = running.get(child, 0.0) + value
                family.add_sample(sample, labels, running[child])
                if labels["le"] == "+Inf":
                    family.add_sample(f"{name}_count", rest, running[child])
        return families

    def _read(self, pattern: str) -> dict[str, dict[str, float]]:
        """Return the merged values of all files, by kind. Keys are parsed after the merge, which is faster."""
        merged: dict[str, dict[str, float]] = {}
        for path in sorted(self._folder.glob(pattern)):
            kind = path.name.removeprefix("gauge_").split("_")[0]
            add = _ADD.get(kind, operator.add)
            known = merged.setdefault(kind, {})
            for key, value in _read_values(path):
                known[key] = add(known[key], value) if key in known else value
        return merged


def _read_values(path: Path) -> list[tuple[str, float]]:
    for _ in range(1000):
        try:
            found = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
            return [(key, value) for key, value, *_ in found]
        except FileNotFoundError:  # the worker has just ended
            return []
        except struct.error:  # a worker is about to write the header
            time.sleep(0.001)
    raise OSError(f"{path.name} stays empty")


@lru_cache(10_000)
def _parsed(key: str) -> tuple[str, str, dict[str, str], str]:
    """Read a key as `counters.key_text` writes it; the result is cached: do not change it."""
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
