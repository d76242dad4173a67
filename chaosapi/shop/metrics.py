"""Metrics of the shop: its calls to dependencies, its operational state, and what it sells."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from chaosapi.shop.dependency import BREAKER_STATES, Dependency
from chaosapi.shop.service import Shop
from chaosapi.telemetry.gauges import GaugeFamily
from chaosapi.world.world import CLASSES, World


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


class ShopMetrics(Collector):
    """Collects what operators have set, and what that costs; every series exists from the start."""

    def __init__(self, shop: Shop, world: Callable[[], World], replica: str) -> None:
        self._shop = shop
        self._world = world
        self._replica = replica

    def collect(self) -> Iterator[CounterMetricFamily | GaugeFamily]:
        world = self._world()
        settings = world.settings
        running = world.release.of(self._replica)
        numbers = {name: float(getattr(settings, name)) for name in NUMBERS} | {
            "search_cached": settings.search == "cached"
        }
        yield _gauge("shop_release_info", "Which release of the shop runs.", ["version"], {running: 1})
        yield _gauge("shop_flag_enabled", "Whether a part of the shop is switched on.", ["flag"], world.flags)
        yield _gauge("shop_setting", "A setting of the shop; times in seconds.", ["setting"], numbers)
        payments = {("payments", name): world.providers.payments == name for name in self._shop.payments}
        about = "Whether this company stands behind the dependency."
        yield _gauge("shop_provider_active", about, ["dependency", "provider"], payments)
        shed = {kind: world.shed.get(kind, 0.0) for kind in CLASSES}
        yield _gauge("shop_shed_ratio", "The share of the requests of a class that is refused.", ["class"], shed)
        about = "Products that the shop neither shows nor sells."
        yield GaugeFamily("shop_quarantined_products", about, "livemax", value=len(world.quarantine))
        yield _counter("shop_payments", "Orders that the provider has charged.", "provider", self._shop.payments)
        about = "What the provider took from the shop, in cents."
        yield _counter("shop_payment_fees_cents", about, "provider", self._shop.fees_cents)
        yield _counter("shop_searches", "Searches, by where the results came from.", "results", self._shop.searches)
        about = "Requests for products in quarantine."
        yield CounterMetricFamily("shop_quarantined_requests", about, value=self._shop.quarantined)


NUMBERS: Final = ("shop_timeout", "shop_retries", "shop_breaker", "concurrency", "queue", "queue_timeout")
"""The settings that are numbers, or on and off."""


def _gauge(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> GaugeFamily:
    family = GaugeFamily(name, text, "livemax", labels=labels)
    for key, value in values.items():
        family.add_metric([key] if isinstance(key, str) else list(key), float(value))
    return family


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
