"""Metrics of the shop's calls to its dependencies."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from chaosapi.shop.dependency import BREAKER_STATES, Dependency
from chaosapi.telemetry.gauges import GaugeFamily


class DependencyMetrics(Collector):
    """Collects calls and breaker states from the dependencies at each scrape."""

    def __init__(self, dependencies: Iterable[Dependency]) -> None:
        self._dependencies = tuple(dependencies)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeFamily]:
        """Yield the metric families; every series exists from the start."""
        calls = CounterMetricFamily(
            "chaosapi_shop_calls",
            "Calls to the shop's dependencies, each try counted; rejected: not made, the breaker is open.",
            labels=["dependency", "outcome"],
        )
        breaker = GaugeFamily(
            "chaosapi_shop_breaker_open",
            "Whether calls are refused at once, without being made.",
            "livemax",
            labels=["dependency"],
        )
        states = GaugeFamily(
            "chaosapi_shop_breaker_state",
            "How many processes have a breaker in this state; half-open: the next call closes it or opens it again.",
            "livesum",
            labels=["dependency", "state"],
        )
        for dependency in self._dependencies:
            breaker.add_metric([dependency.name], dependency.breaker == "open")
            for state in BREAKER_STATES.values():
                states.add_metric([dependency.name, state], dependency.breaker == state)
            for outcome, count in dependency.calls.items():
                calls.add_metric([dependency.name, outcome], count)
        yield from (calls, breaker, states)
