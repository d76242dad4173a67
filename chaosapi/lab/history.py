"""A healthy past for a Prometheus that has none.

Long windows of a fresh Prometheus see nothing but the fault, so all alerts fire at once and tickets come before
pages. With a period of healthy traffic in the store, windows behave on minute one as they would on day thirty.
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

from chaosapi.forecast.traffic import SHOP, TrafficRoute
from chaosapi.lab import environment
from chaosapi.lab.errors import LabError
from chaosapi.slo.windows import Profile

_HEALTHY_LATENCY: Final = ((0.005, 0.90), (0.01, 0.97), (0.025, 0.99), (0.05, 0.996), (0.1, 0.999), (0.25, 1.0))
"""How fast a healthy shop answers: the share of requests within each bound (seconds)."""
_MEAN_LATENCY_S: Final = 0.004
_FAMILIES: Final = ("http_requests", "http_request_duration_seconds")


@dataclass(frozen=True)
class HistorySeries:
    """One series of the past: its name and labels as text, its rise per second, and its value at the very start."""

    name: str
    slope: float
    start: float = 0.0

    def value_at(self, seconds: float) -> str:
        """Write its value so many seconds after the start of history."""
        value = self.start + self.slope * seconds
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


def healthy_series(exposition: str, rate: float, labels: Mapping[str, str]) -> dict[str, list[HistorySeries]]:
    """Return the series by metric family of a shop that serves `rate` requests/s without an error.

    Takes the series from the `exposition` of the live target, so names and labels are the same; `labels` are those
    that Prometheus adds to the target's own. Histograms only where there is traffic, counters of errors at 0.
    """
    families = {"up": ("gauge", [HistorySeries(_series_name("up", labels), 0, 1)])}
    for family in text_string_to_metric_families(exposition):
        if family.name in _FAMILIES:
            rises = ((sample, _share(sample)) for sample in family.samples)
            series = [
                HistorySeries(_series_name(sample.name, {**sample.labels, **labels}), rate * share)
                for sample, share in rises
                if share or sample.name == "http_requests_total"
            ]
            families[family.name] = (family.type, series)
    return {f"# TYPE {name} {kind}": series for name, (kind, series) in families.items()}


def openmetrics(families: Mapping[str, Iterable[HistorySeries]], times: list[float]) -> Iterator[str]:
    """Write the series at these times as OpenMetrics text, one chunk a series."""
    stamps = [(time - times[0], f"{time:.3f}") for time in times]
    for header, series in families.items():
        yield f"{header}\n"
        for each in series:
            yield "".join(f"{each.name} {each.value_at(age)} {stamp}\n" for age, stamp in stamps)
    yield "# EOF\n"


def import_history(chunks: Iterable[str], promtool: Path, data: Path) -> None:
    """Turn OpenMetrics text into blocks in Prometheus' `data` folder; call it before Prometheus' first start.

    Raises LabError with promtool's words.
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


def _share(sample: Sample) -> float:
    """Return the sample's rise for each request to the shop: the share of its route, of its bucket, or both."""
    labels = sample.labels
    route = TrafficRoute(labels["method"], labels["handler"])
    share = SHOP.get(route, 0.0) if labels["status"] == route.success else 0.0
    if sample.name.endswith("_bucket"):
        return share * max((part for limit, part in _HEALTHY_LATENCY if limit <= float(labels["le"])), default=0.0)
    return share * _MEAN_LATENCY_S if sample.name.endswith("_sum") else share


def _series_name(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
