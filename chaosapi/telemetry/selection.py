"""A part of the metrics that a collector has, chosen by the names of their families."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector


class ChosenFamilies(Collector):
    """The families of another collector whose names are chosen."""

    def __init__(self, source: Collector, chosen: Callable[[str], bool]) -> None:
        self._source = source
        self._chosen = chosen

    def collect(self) -> Iterator[Metric]:
        """Yield the chosen families, as the source has them now."""
        return (family for family in self._source.collect() if self._chosen(family.name))
