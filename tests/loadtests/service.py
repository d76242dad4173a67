"""Faults and metrics of the real service for the load tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families


@contextmanager
def fault(service: str, effect: dict[str, Any], rate: float = 1, **target: Any) -> Iterator[str]:
    """Let requests to the shop have the effect until the block ends; gives the fault's name."""
    body = {"name": "all", "effect": effect, "rate": rate, "target": target, "schedule": {"duration": "1m"}}
    httpx2.post(f"{service}/admin/faults", json=body).raise_for_status()
    try:
        yield "all"
    finally:
        httpx2.delete(f"{service}/admin/faults/all").raise_for_status()


def served(service: str) -> float:
    """Return how many requests the service has counted."""
    return sum(value for (name, *_), value in scraped(f"{service}/metrics").items() if name == "http_requests_total")


def scraped(url: str) -> dict[tuple[str, str, str, str], float]:
    """Return what /metrics says now, by name, method, handler and status; buckets are left out."""
    families = text_string_to_metric_families(httpx2.get(url).text)
    samples = (sample for family in families for sample in family.samples if not sample.name.endswith("_bucket"))
    return {
        (name, labels.get("method", ""), labels.get("handler", ""), labels.get("status", "")): value
        for name, labels, value, *_ in samples
    }
