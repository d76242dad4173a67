"""Forecasts with the history of a real Prometheus, compared with Prometheus's own evaluation."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
import yaml

from chaosapi import errors
from chaosapi.cli import recorded_traffic
from chaosapi.cli.past import read_past
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.faults.fault import Fault
from chaosapi.forecast import timetable
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.forecast.past import Past
from chaosapi.slo import spec, windows
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import WindowPair, format_window
from tests.cli.recorded import recorded_prometheus

pytestmark = pytest.mark.slow

LAB = windows.load("lab")
LENGTH = 5400
CREATED = 4800
"""The fault's creation, in seconds since the start: 30 % of the requests fail for a minute."""
FAULT = Fault.model_validate({"effect": {"type": "error"}, "rate": 0.3, "schedule": {"duration": "1m"}})


def promise(selector: str) -> Spec:
    """Return a spec with one SLO of 99.9 % for a selector of requests."""
    events = {
        "error_query": f'sum(rate(http_requests_total{{{selector},status=~"5.."}}[{{{{.window}}}}]))',
        "total_query": f"sum(rate(http_requests_total{{{selector}}}[{{{{.window}}}}]))",
    }
    slo = {"name": "reads", "objective": 99.9, "alerting": {}, "sli": {"events": events}}
    return spec.parse(yaml.safe_dump({"version": "prometheus/v1", "service": "items", "slos": [slo]}), "slo.yaml")[0]


SPEC = promise('team="a"')
"""A target label, which only Prometheus knows."""


class Recorded(NamedTuple):
    """A running Prometheus, and the first time of its counters (Unix seconds)."""

    url: str
    start: int


def requests_by(second: float) -> float:
    """Return the requests: 50/s, then 150 s without traffic, and 20/s from 90 s before the fault."""
    return 50 * min(second, CREATED - 240) + 20 * max(0.0, second - CREATED + 90)


def failures_by(second: float) -> float:
    """Return the failures: all requests for 10 s half an hour before the fault, and the fault's own."""
    return 50 * min(max(0.0, second - 3000), 10) + 0.3 * 20 * min(max(0.0, second - CREATED), 60)


def samples(start: int) -> Iterator[str]:
    """Write two replicas, one of which restarts ten minutes before the fault, and a replica of an earlier run."""
    yield "# TYPE http_requests counter\n"
    labels = 'job="items",team="a",method="GET",handler="/items"'
    for status in ("200", "503"):
        for replica in ("1", "2"):
            lost = 0.0
            for second in range(600, LENGTH):
                bad = failures_by(second)
                count = (bad if status == "503" else requests_by(second) - bad) / 2
                if replica == "2" and second == CREATED - 600:
                    lost = count
                series = f'http_requests_total{{instance="{replica}",{labels},status="{status}"}}'
                yield f"{series} {count - lost:.4f} {start + second}\n"
        for second in range(600):
            yield f'http_requests_total{{instance="0",{labels},status="{status}"}} {7 * second} {start + second}\n'
    yield "# EOF\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, tools: dict[str, Path]) -> Iterator[Recorded]:
    """Yield a Prometheus that has the samples, and evaluates no rules."""
    start = int(time.time()) - LENGTH - 60
    with recorded_prometheus(samples(start), tools, tmp_path_factory.mktemp("prometheus")) as url:
        yield Recorded(url, start)


def fact(recorded: Recorded, pair: WindowPair) -> list[tuple[float, float]]:
    """Return when the alert's expression held in Prometheus: start and end, in seconds since the fault's creation."""
    slo = SPEC.slos[0]
    conditions = [
        f"(({slo.sli.error_ratio(format_window(window))}) / {slo.budget:.12g} > {pair.factor:g})"
        for window in (pair.short, pair.long)
    ]
    origin = recorded.start + CREATED
    span = {"start": origin, "end": recorded.start + LENGTH - 1, "step": 1}
    answer = httpx2.get(f"{recorded.url}/api/v1/query_range", params={"query": " and ".join(conditions), **span})
    times = sorted(float(at) - origin for each in answer.json()["data"]["result"] for at, _ in each["values"])
    starts = [one for before, one in pairwise([-9.0, *times]) if one > before + 1]
    ends = [one + 1 for one, after in pairwise([*times, 1e9]) if after > one + 1]
    return list(zip(starts, ends, strict=True))


def forecast(
    recorded: Recorded, promised: Spec, past: Past | None
) -> dict[str, list[tuple[float | None, float | None]]]:
    """Return when each alert is forecast to fire and resolve, by long window."""
    reader = PrometheusReader(recorded.url)
    traffic = recorded_traffic.measure_traffic(reader, promised, 120, recorded.start + CREATED)
    assert traffic.rps == pytest.approx(20, rel=0.05)  # since the pause, not over the whole two minutes
    watching = default_monitoring(LAB).model_copy(update={"prometheus": reader.version(), "horizon": 590.0})
    model = ForecastModel([FAULT], traffic, promised, LAB, watching, past=past)
    return {
        alert.long_window: [(each.firing, each.resolved) for each in alert.moments]
        for alert in timetable.predict(model).alerts
    }


def test_a_forecast_continues_the_recorded_history(recorded: Recorded) -> None:
    """With a gap, an earlier burn, a restart and series of an earlier run: the same as Prometheus, to the second."""
    reader = PrometheusReader(recorded.url)
    past = read_past(reader, SPEC, LAB, 1.0, recorded.start + CREATED)
    found = forecast(recorded, SPEC, past)
    for pair in LAB.pairs:
        expected = fact(recorded, pair)
        said = found[format_window(pair.long)]
        assert len(said) == len(expected) > 0, pair
        for (fires, resolves), (began, ended) in zip(said, expected, strict=True):
            assert fires == pytest.approx(began, abs=1), pair
            assert resolves is None or resolves == pytest.approx(ended, abs=1), pair


def test_a_steady_past_would_have_been_wrong(recorded: Recorded) -> None:
    """The history changes when alerts of long windows fire."""
    steady = forecast(recorded, promise('job="items"'), past=None)
    for window in ("24m", "1h12m"):
        pair = next(each for each in LAB.pairs if format_window(each.long) == window)
        assumed = steady[window][0][0]
        assert assumed is not None
        assert abs(assumed - fact(recorded, pair)[0][0]) > 3


def test_a_selector_that_prometheus_does_not_know_is_refused(recorded: Recorded) -> None:
    """The error has the available series: of another job, and with another value of a label."""
    reader = PrometheusReader(recorded.url)
    at = recorded.start + CREATED
    with pytest.raises(
        errors.Invalid, match=r"the SLOs read the job shop, and it has http_requests_total of the job items"
    ):
        recorded_traffic.measure_traffic(reader, promise('job="shop"'), 60, at)
    other = promise('team="b"')
    traffic = recorded_traffic.measure_traffic(reader, other, 60, at)
    past = read_past(reader, other, LAB, 1.0, at)
    model = ForecastModel([FAULT], traffic, other, LAB, default_monitoring(LAB), past=past)
    with pytest.raises(errors.Invalid, match=r'selects http_requests_total\{team="b"\}, of which .* has no series'):
        model.check()


def test_windows_of_days_are_read_in_coarse_steps(recorded: Recorded) -> None:
    """Prometheus returns at most 11,000 samples of a series: days of scrapes every second are more."""
    at = recorded.start + LENGTH - 1
    past = read_past(PrometheusReader(recorded.url), SPEC, windows.load("production"), 1.0, at)
    assert past is not None
    total = past.series['http_requests_total{team="a"}']
    assert {each.labels["instance"] for each in total} == {"0", "1", "2"}
    assert sum(each.increase[-1] for each in total if each.labels["status"] == "200") == pytest.approx(
        requests_by(LENGTH) - failures_by(LENGTH) - requests_by(600) + 7 * 600, rel=0.02
    )
