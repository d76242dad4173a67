"""Where a forecast's traffic comes from: Prometheus, else the service's own counters, else the shop's usual traffic."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from chaosapi import durations, errors
from chaosapi.cli import here, recorded_traffic
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.forecast.traffic import PartialTraffic, Traffic, TrafficRoute, without_failures
from chaosapi.slo.spec import Spec

NONE: Final = "none"
"""Asks no Prometheus."""
_PAUSE_S: Final = 3.0
_TIMEOUT_S: Final = 10.0
_REMEDY: Final = (
    "name a Prometheus that scrapes the service (--prometheus), or the service (--service), "
    "or give --rps and a --share for each route"
)


def find_prometheus(given: str | None) -> PrometheusReader | None:
    """Return the Prometheus that was named, or the lab's or usual one on this machine, if it answers."""
    if given == NONE:
        return None
    if given:
        return PrometheusReader(given)
    found = PrometheusReader(here.prometheus_url())
    try:
        found.version()
    except errors.Invalid:
        return None
    return found


@dataclass(frozen=True)
class TrafficSources:
    """The sources of traffic that a command may ask; URLs are None where the usual addresses are tried."""

    prometheus: str | None
    service: str | None
    window: float
    """The seconds that Prometheus' rates are about."""
    spec: Spec
    is_shop: bool
    """Whether the SLOs are the shop's own, whose usual traffic is known."""

    def complete(self, given: PartialTraffic, prometheus: PrometheusReader | None) -> Traffic:
        """Return the traffic with what is not given from the first source that knows; raises errors.Invalid."""
        return given.completed(None if given.is_whole else self._usual(given, prometheus))

    def _usual(self, given: PartialTraffic, prometheus: PrometheusReader | None) -> Traffic:
        failed = []
        if prometheus:
            try:
                return recorded_traffic.measure_traffic(prometheus, self.spec, self.window)
            except errors.Invalid as error:
                if self.prometheus:
                    raise
                failed.append(str(error))
        if self.service or not self.is_shop:
            for url in (self.service,) if self.service else here.service_urls():
                try:
                    return count_traffic(url, needs_rate=given.rps is None)
                except errors.Invalid as error:
                    if self.service:
                        raise
                    failed.append(str(error))
        if not self.is_shop:
            raise errors.Invalid.field("traffic", f"unknown: {'; '.join(failed)}. {_REMEDY[0].upper()}{_REMEDY[1:]}")
        return Traffic.of_shop()


def count_traffic(url: str, *, needs_rate: bool, sleep: Callable[[float], None] = time.sleep) -> Traffic:
    """Return the traffic that a service has counted itself: the mix since it started, and requests/s of now.

    Raises errors.Invalid for a service that does not answer, or has counted nothing.
    """
    before = _counts(url)
    began = time.monotonic()
    rps = 1.0
    if needs_rate:
        sleep(_PAUSE_S)
        after = _counts(url)
        rps = (after.total() - before.total()) / (time.monotonic() - began)
        before = after
    total = before.total()
    if not total or not rps:
        lately = f"in {durations.format(_PAUSE_S)}" if total else "since it started"
        raise errors.Invalid.field("traffic", f"{url}/metrics has counted no request {lately}")
    rates = {route: count / total * rps for route, count in before.items()}
    return Traffic.from_rates(rates, f"counted by the service at {url}, its mix since it started")


def _counts(url: str) -> Counter[TrafficRoute]:
    """Return the requests that the service has counted; requests that a fault failed count as healthy."""
    found: Counter[TrafficRoute] = Counter()
    has_chaosapi = False
    for name, labels, value in _samples(url):
        if name == "http_requests_total":
            try:
                found[TrafficRoute(labels["method"], labels["handler"], labels["status"])] += value  # type: ignore[assignment]
            except KeyError as label:
                raise errors.Invalid.field("traffic", f"{url}/metrics: http_requests_total has no {label}") from None
        has_chaosapi |= name == "chaosapi_build_info"
    return Counter(without_failures(found)) if has_chaosapi and _may_have_acted(url) else +found


def _may_have_acted(url: str) -> bool:
    """Return whether a fault has hit requests; True where the admin API is elsewhere or refuses to say."""
    try:
        token = here.admin_token(None, url)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = httpx2.get(f"{url.rstrip('/')}/admin/metrics", headers=headers, timeout=_TIMEOUT_S)
        samples = chain.from_iterable(
            family.samples for family in text_string_to_metric_families(answer.raise_for_status().text)
        )
        return any(sample.name == "chaosapi_fault_injected_total" and sample.value > 0 for sample in samples)
    except (httpx2.HTTPError, ValueError):
        return True


def _samples(url: str) -> Iterator[tuple[str, dict[str, str], float]]:
    try:
        text = httpx2.get(f"{url.rstrip('/')}/metrics", timeout=_TIMEOUT_S).raise_for_status().text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise errors.Invalid.field("traffic", f"no metrics from {url}: {error}") from None
