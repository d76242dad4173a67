"""The metrics of one process that depend neither on requests nor on faults."""

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from chaosapi.telemetry.gauges import CallbackGauge


def process_registry(store_up: Callable[[], float]) -> CollectorRegistry:
    """Return a registry of metrics of the process; the callback is called when scraped."""
    registry = CollectorRegistry(auto_describe=True)
    release = version("chaosapi")
    for collector in (
        PROCESS_COLLECTOR,
        PLATFORM_COLLECTOR,
        GC_COLLECTOR,
        CallbackGauge("chaosapi_build_info", "Which release runs.", lambda: 1, "livemax", version=release),
        CallbackGauge("chaosapi_store_up", "Whether the shared store answered last time.", store_up, "livemin"),
    ):
        registry.register(collector)
    return registry
