"""Gauges with the mode in which prometheus-client's multiprocess files merge them."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from chaosapi.effects.base import MultiprocessMode


class GaugeFamily(GaugeMetricFamily):
    """A gauge of one worker; `multiprocess_mode` says how the values of all workers become one."""

    def __init__(
        self,
        name: str,
        text: str,
        multiprocess_mode: MultiprocessMode,
        *,
        value: float | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, text, value=value, labels=labels)
        self.multiprocess_mode = multiprocess_mode


class CallbackGauge(Collector):
    """A gauge whose value a function returns when scraped."""

    def __init__(
        self, name: str, text: str, read: Callable[[], float], multiprocess_mode: MultiprocessMode, **labels: str
    ) -> None:
        self._name = name
        self._text = text
        self._read = read
        self._mode = multiprocess_mode
        self._labels = labels

    def collect(self) -> Iterator[GaugeFamily]:
        family = GaugeFamily(self._name, self._text, self._mode, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), self._read())
        yield family
