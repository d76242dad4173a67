"""The metrics of faults and of the event loop, and metrics whose value a function returns."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from chaosapi.effects import EFFECTS
from chaosapi.effects.base import EffectMetric
from chaosapi.injection.engine import ActiveFault, Engine
from chaosapi.telemetry.gauges import CallbackGauge, GaugeFamily

_RECENT_S: Final = 10.0
"""How long after its end a fault may still hold requests, which changes its counts."""
_Family: TypeAlias = CounterMetricFamily | GaugeFamily


class CallbackCounter(Collector):
    """A counter whose value a function returns when scraped."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


class FaultMetrics(Collector):
    """The counts of each fault, read from the engine when scraped: metrics and receipts never differ.

    They are the truth that a learner must not read: /admin/metrics shows them, and /metrics does not.
    """

    def __init__(self, engine: Engine, held: Callable[[], float] = lambda: 0) -> None:
        """`held` returns the number of requests that effects keep waiting."""
        self._engine = engine
        self._held = held

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the families, which are the same whatever the faults are."""
        return frozenset(family.name for family in self._families([]))

    def collect(self) -> Iterator[_Family]:
        """Yield the families, with all faults that the state lists."""
        return self._families(self._engine.active_faults())

    def recent(self) -> Iterator[_Family]:
        """Yield the same families, with the faults alone whose counts may have changed in the last seconds."""
        return self._families(
            fault for fault in self._engine.active_faults() if fault.time() < fault.compiled.ends_at + _RECENT_S
        )

    def _families(self, faults: Iterable[ActiveFault]) -> Iterator[_Family]:
        labels = ["fault", "effect"]
        strength = GaugeFamily("chaosapi_fault_strength", "Strength now, 0 to 1.", "livemax", labels=labels)
        matched = CounterMetricFamily("chaosapi_fault_matched", "Requests that the target meant.", labels=labels)
        expected = CounterMetricFamily(
            "chaosapi_fault_expected", "Requests to be hit: rate × strength, summed over those meant.", labels=labels
        )
        injected = CounterMetricFamily("chaosapi_fault_injected", "Requests that were hit.", labels=labels)
        skipped = CounterMetricFamily(
            "chaosapi_fault_skipped", "Requests that should have been hit but were let off.", labels=[*labels, "reason"]
        )
        kinds = [*labels, "kind"]
        delays = CounterMetricFamily("chaosapi_fault_delays", "Requests that were held back.", labels=kinds)
        seconds = CounterMetricFamily(
            "chaosapi_fault_delay_seconds", "Their delays, as they were planned and as measured.", labels=kinds
        )
        shown: dict[str, _Family] = {}
        for effect in EFFECTS:
            shown.update({name: _family(name, metric) for name, metric in effect.metrics.items()})
        active = 0
        for fault in faults:
            record = fault.compiled.record
            key = [record.name, record.spec.effect.type]
            active += fault.active()
            strength.add_metric(key, fault.strength())
            matched.add_metric(key, fault.counts.matched)
            expected.add_metric(key, fault.counts.expected)
            injected.add_metric(key, fault.counts.injected)
            if held_back := fault.counts.delays:
                for kind, sketch in (("planned", held_back.planned), ("measured", held_back.measured)):
                    delays.add_metric([*key, kind], sketch.count)
                    seconds.add_metric([*key, kind], sketch.total)
            if fault.counts.skipped:
                for reason, count in fault.counts.skipped.copy().items():
                    skipped.add_metric([*key, reason], count)
            for name, value in fault.compiled.readings().items():
                shown[name].add_metric([record.name], value)
        yield from (strength, matched, expected, injected, skipped, delays, seconds, *shown.values())
        yield GaugeFamily("chaosapi_faults_active", "Faults that act now.", "livemax", value=active)
        yield GaugeFamily(
            "chaosapi_revision", "The revision of the set of faults.", "livemax", value=self._engine.state.revision
        )
        text = "Requests that effects keep waiting now."
        yield GaugeFamily("chaosapi_held_requests", text, "livesum", value=self._held())


class LagGauge:
    """The largest delay of the event loop within the last seconds: a scrape sees also a single late tick."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float], window_s: float = 5.0) -> None:
        self._clock = clock
        self._window_s = window_s
        self._samples: deque[tuple[float, float]] = deque()
        text = f"How late the event loop was at most in the last {window_s:g} s."
        registry.register(CallbackGauge("chaosapi_event_loop_lag_seconds", text, self._largest, "livemax"))

    def observe(self, lag: float) -> None:
        """Record one measured delay, in seconds."""
        self._drop_old_samples()
        self._samples.append((self._clock(), max(0.0, lag)))

    def _largest(self) -> float:
        since = self._clock() - self._window_s  # runs in other threads, which must not change the samples
        return max((lag for at, lag in list(self._samples) if at >= since), default=0.0)

    def _drop_old_samples(self) -> None:
        while self._samples and self._samples[0][0] < self._clock() - self._window_s:
            self._samples.popleft()


def _family(name: str, metric: EffectMetric) -> _Family:
    labels = ["fault"]
    if metric.multiprocess_mode is None:
        return CounterMetricFamily(f"chaosapi_{name}", metric.text, labels=labels)
    return GaugeFamily(f"chaosapi_{name}", metric.text, metric.multiprocess_mode, labels=labels)
