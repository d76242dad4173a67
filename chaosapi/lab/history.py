"""A healthy history for a new Prometheus.

Without one, long windows hold nothing but the fault: all alerts fire at once, and tickets come before pages. With one
period of healthy traffic in the store, windows behave in minute one as they would on day thirty.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from chaosapi.forecast.traffic import SHOP
from chaosapi.lab import environment
from chaosapi.lab.errors import LabError
from chaosapi.routes import is_failure
from chaosapi.slo.windows import Profile

_HEALTHY_LATENCY: Final = ((0.005, 0.90), (0.01, 0.97), (0.025, 0.99), (0.05, 0.996), (0.1, 0.999), (0.25, 1.0))
"""The latency of a healthy service: the share of requests within each bound (seconds)."""
_MEAN_LATENCY_S: Final = 0.004
_FAMILIES: Final = ("http_requests", "http_request_duration_seconds")

RouteStatus = tuple[str, str, str]
"""A method, a handler and a status: the labels of one counter of requests."""
Rates = Mapping[RouteStatus, float]
"""Requests per second."""


@dataclass(frozen=True)
class HistorySeries:
    """One series of the past: its name and labels as text, its rise per second, and its value at the very start.

    A value below 0 was counted by an earlier process, from 0 on: a counter restarts with its process.
    """

    name: str
    slope: float
    start: float = 0.0

    def value_at(self, seconds: float) -> str:
        """Return the value, as text, so many seconds after the start of history."""
        value = self.start + self.slope * seconds
        if value < 0:
            value = self.slope * seconds
        return f"{value:.3f}" if self.name.partition("{")[0].endswith("_sum") else f"{value:.0f}"


def sample_times(profile: Profile, end: float) -> list[float]:
    """Return the times (Unix seconds) of the samples, one period up to `end`, closer together the newer they are.

    The newest stretch has 20 samples in the shortest window, the rest 2 and finally one in two such windows: a graph
    over a long range asks for no more, and a period of one resolution would be 175,000 samples for each series.
    """
    short = profile.windows[0]
    quick = profile.pairs[0].long
    slow = profile.pairs[-1].long
    steps = ((profile.period, 2 * short), (slow, short / 2.5), (6 * quick, max(1.0, short / 20)), (0.0, 0.0))
    return [
        end - age + step * number
        for (age, step), (newer, _) in pairwise(steps)
        for number in range(round((age - newer) / step))
    ] + [end]


def shop_rates(rate: float) -> Rates:
    """Return the shop's usual traffic of `rate` requests/s, all of it answered."""
    return {(route.method, route.handler, route.success): rate * share for route, share in SHOP.items()}


def past_rates(exposition: str, rate: float) -> Rates:
    """Return `rate` requests/s in the mix that a service has counted so far, the shop's usual one before any request.

    Raises LabError where neither is known.
    """
    counted = counted_requests(exposition)
    total = sum(counted.values())
    if total:
        return _without_failures({key: rate * count / total for key, count in counted.items() if count}, counted)
    usual = shop_rates(rate)
    if not usual.keys() <= counted.keys():
        raise LabError("the service has counted no request yet, so the mix of its routes is unknown: send it some")
    return usual


def counted_requests(exposition: str) -> dict[RouteStatus, float]:
    """Return the requests that a service has counted so far."""
    return {
        (sample.labels["method"], sample.labels["handler"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == "http_requests_total"
    }


def requests_between(before: str, after: str) -> dict[RouteStatus, float]:
    """Return the requests that were counted between two expositions."""
    earlier = counted_requests(before)
    grown = {key: count - earlier.get(key, 0.0) for key, count in counted_requests(after).items()}
    return {key: more for key, more in grown.items() if more > 0}


def measured_rates(before: str, after: str, seconds: float) -> Rates:
    """Return the rates between two expositions; failures count as answers of their route, since the past is healthy."""
    rates = {key: more / seconds for key, more in requests_between(before, after).items()}
    return _without_failures(rates, counted_requests(after))


def healthy_series(
    exposition: str, rates: Rates, labels: Mapping[str, str], seconds: float
) -> dict[str, list[HistorySeries]]:
    """Return the series by metric family of a service that has had these rates for so many seconds without an error.

    Takes the series from the `exposition` of the live target, so names and labels are the same; `labels` are those
    that Prometheus adds to the target's own. Counters end at their live values. Histograms only where there is traffic.
    """
    families = {"up": ("gauge", [HistorySeries(_series_name("up", labels), 0, 1)])}
    for family in text_string_to_metric_families(exposition):
        if family.name in _FAMILIES:
            slopes = ((sample, _slope(sample, rates)) for sample in family.samples)
            series = [
                HistorySeries(
                    _series_name(sample.name, {**sample.labels, **labels}), slope, _start(sample, slope, seconds)
                )
                for sample, slope in slopes
                if slope or sample.name == "http_requests_total"
            ]
            families[family.name] = (family.type, series)
    return {f"# TYPE {name} {kind}": series for name, (kind, series) in families.items()}


def recent_series(before: str, after: str, labels: Mapping[str, str], seconds: float) -> dict[str, list[HistorySeries]]:
    """Return the series by metric family between two expositions, so many seconds apart, in a straight line."""
    earlier = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in _samples(before)}
    families: dict[str, tuple[str, list[HistorySeries]]] = {}
    families["up"] = ("gauge", [HistorySeries(_series_name("up", labels), 0, 1)])
    for family in text_string_to_metric_families(after):
        if family.name in _FAMILIES:
            series = []
            for sample in family.samples:
                start = earlier.get((sample.name, *sorted(sample.labels.items())), 0.0)
                if sample.value or sample.name == "http_requests_total":
                    name = _series_name(sample.name, {**sample.labels, **labels})
                    series.append(HistorySeries(name, (sample.value - start) / seconds, start))
            families[family.name] = (family.type, series)
    return {f"# TYPE {name} {kind}": series for name, (kind, series) in families.items()}


def openmetrics(
    families: Mapping[str, Iterable[HistorySeries]], times: list[float], since: float | None = None
) -> Iterator[str]:
    """Write the series at these times as OpenMetrics text, one chunk a series; they start at `since`, or the first."""
    start = times[0] if since is None else since
    stamps = [(time - start, f"{time:.3f}") for time in times]
    for header, series in families.items():
        yield f"{header}\n"
        for each in series:
            yield "".join(f"{each.name} {each.value_at(age)} {stamp}\n" for age, stamp in stamps)
    yield "# EOF\n"


def import_history(chunks: Iterable[str], promtool: Path, data: Path) -> None:
    """Turn OpenMetrics text into blocks in Prometheus' `data` folder; call it before Prometheus' first start.

    Raises LabError with promtool's message.
    """
    data.mkdir(parents=True, exist_ok=True)
    source = data / "history.om"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(chunks)
    command: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    # It reads the whole file once for each block: in blocks of two hours a month would take minutes.
    command += ["--max-block-duration=720h", source, data]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment.shared(os.environ))
    source.unlink()
    if done.returncode:
        raise LabError(f"promtool could not store the history: {done.stderr.strip()[-500:]}")


def _samples(exposition: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(exposition):
        if family.name in _FAMILIES:
            yield from family.samples


def _slope(sample: Sample, rates: Rates) -> float:
    """Return the sample's rise per second: the rate of its route and status, of its bucket, or their latency."""
    labels = sample.labels
    rate = rates.get((labels["method"], labels["handler"], labels["status"]), 0.0)
    if sample.name.endswith("_bucket"):
        return rate * max((part for limit, part in _HEALTHY_LATENCY if limit <= float(labels["le"])), default=0.0)
    return rate * _MEAN_LATENCY_S if sample.name.endswith("_sum") else rate


def _start(sample: Sample, slope: float, seconds: float) -> float:
    """Return the value at the start of a history that ends at the sample's; a counter at 0 has yet to restart."""
    return sample.value - slope * seconds if sample.value else 0.0


def _without_failures(rates: Rates, counted: Mapping[RouteStatus, float]) -> Rates:
    """Return the rates with those of failures added to the answer that their route gives most often."""
    healthy: dict[RouteStatus, float] = {}
    for key, rate in rates.items():
        answer = _usual_answer(key, counted) if is_failure(key[2]) else key
        healthy[answer] = healthy.get(answer, 0.0) + rate
    return healthy


def _usual_answer(failure: RouteStatus, counted: Mapping[RouteStatus, float]) -> RouteStatus:
    answers = [key for key in counted if key[:2] == failure[:2] and not is_failure(key[2])]
    return max(answers, key=lambda key: counted[key], default=failure)


def _series_name(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
