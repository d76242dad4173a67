"""The app's own metrics, exported with chaosapi's."""

import os
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from chaosapi.logger import get_logger

_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with which prometheus-client shares metrics among processes."""
_OF_PROCESS: Final = ("process_", "python_")
"""Prefixes of metrics that every registry of prometheus-client has by default."""

log = get_logger("chaosapi.telemetry")


class AppMetrics(Collector):
    """chaosapi's metrics, then those of the app that have other names."""

    def __init__(self, own: Collector, app: Collector | None = None, *, several: bool = False) -> None:
        """Without `app`, the app's metrics are those of prometheus-client's default registry.

        That has those of this process alone: with `several` workers they are not shown.
        """
        self._own = own
        self._app = app
        self._several = several
        self._reported: set[str] = set()

    def encode(self, encode: Callable[[Collector], bytes]) -> bytes:
        """Return the text of all metrics; without the app's where they cannot be read or written."""
        try:
            return encode(self)
        except Exception as error:  # noqa: BLE001 - the app's collectors may raise anything
            self._report("the app's metrics are not shown", type(error).__name__, reason=str(error))
            return encode(self._own)

    def collect(self) -> Iterator[Metric]:
        """Yield the families of chaosapi and of the app."""
        taken: set[str] = set()
        for family in self._own.collect():
            taken |= _names(family)
            yield family
        for family in self._app_collector().collect():
            names = _names(family)
            if self._several and self._of_this_process(family):
                continue
            if names.isdisjoint(taken):
                taken |= names
                yield family
            elif not family.name.startswith(_OF_PROCESS):
                self._report("a metric of the app is not shown: chaosapi has one of that name", family.name)

    def _app_collector(self) -> Collector:
        if self._app is not None:
            return self._app
        if _MULTIPROCESS in os.environ:
            return MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
        return REGISTRY

    def _of_this_process(self, family: Metric) -> bool:
        """Return whether a family lacks the other workers' samples; log that it is not shown."""
        if self._app is not None or _MULTIPROCESS in os.environ:
            return False
        if not family.name.startswith(_OF_PROCESS):
            self._report("a metric of the app is not shown: set PROMETHEUS_MULTIPROC_DIR", family.name)
        return True

    def _report(self, event: str, subject: str, **fields: str) -> None:
        """Log a warning, once for each subject."""
        if subject not in self._reported:
            self._reported.add(subject)
            log.warning(event, subject=subject, **fields)


def _names(family: Metric) -> set[str]:
    """Return the names that a family takes: two families with a name in common make a scrape invalid."""
    counter = {f"{family.name}_total"} if family.type == "counter" else set()
    return {family.name, *counter, *(sample.name for sample in family.samples)}
