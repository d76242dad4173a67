"""Traffic and alerts of a time span, as Prometheus recorded them."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from chaosapi import errors
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.forecast import recording
from chaosapi.forecast.observed import DeliveredNotification, Observed, RecordedEpisode
from chaosapi.forecast.traffic import AnswerTime, Traffic, TrafficRoute, answer_times_by_route, without_failures
from chaosapi.slo import burn_alerts, windows
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile, format_window

_SERVED: Final = "http_requests_total"
_INJECTED: Final = "chaosapi_fault_injected_total"
_ANSWERED: Final = 'status!~"5..|000|499"'  # some services count clients that left as 499: no time to answer
_PAUSE_STEPS: Final = 60
_CALM_S: Final = 3600.0
"""How far back a time without faults is looked for."""


def measure_traffic(prometheus: PrometheusReader, spec: Spec, window: float, at: float | None = None) -> Traffic:
    """Return the traffic over a window (seconds) that ends now, or at `at` (Unix seconds); after a pause, only since.

    Where a fault acted in that time, its failures are not taken for those of the service. Raises errors.Invalid where
    no request was counted.
    """
    served = _SERVED + job_selector(spec)
    window = _since_pause(prometheus, served, window, at)
    range_ = f"[{round(1000 * window)}ms]"
    found = prometheus.vector(f"sum by (method, handler, status) (rate({served}{range_})) > 0", at)
    source = f"measured by the Prometheus at {prometheus.url} over {format_window(window)}"
    if not found:
        raise errors.Invalid.field("traffic", f"{source}: no request was served; {_explain(prometheus, spec, at)}")
    rates = {
        TrafficRoute(*(labels.get(name, "") for name in ("method", "handler", "status"))): rate
        for labels, rate in found
    }
    if prometheus.vector(f"sum(increase({_INJECTED}{range_})) > 0", at):
        rates = without_failures(rates)
        source += ", without its failures: a fault acted"
    traffic = Traffic.from_rates(rates, source)
    return traffic.model_copy(update={"latencies": _latencies(prometheus, spec, window, at)})


def _latencies(
    prometheus: PrometheusReader, spec: Spec, window: float, at: float | None
) -> dict[str, list[AnswerTime]]:
    """Return how long answers took by route, over the latest window in which no fault acted; empty without one."""
    end = time.time() if at is None else at
    count = int(_CALM_S // window)
    acting = f"sum(increase({_INJECTED}[{round(1000 * window)}ms])) > 0"
    acted = prometheus.steps(acting, end - count * window, end, window)
    spoilt = {round((end - moment) / window) for _, samples in acted for moment, _ in samples}
    calm = next((number for number in range(count + 1) if number not in spoilt), None)
    if calm is None:
        return {}
    answered = f"rate(http_request_duration_seconds_bucket{job_selector(spec, _ANSWERED)}[{round(1000 * window)}ms])"
    found = prometheus.vector(f"sum by (method, handler, le) ({answered})", end - calm * window)
    return answer_times_by_route(
        {(labels.get("method", ""), labels.get("handler", ""), labels["le"]): rate for labels, rate in found}
    )


def _since_pause(prometheus: PrometheusReader, served: str, window: float, at: float | None) -> float:
    """Return the window, or the time since requests last paused in it."""
    end = time.time() if at is None else at
    step = window / _PAUSE_STEPS
    query = f"sum(increase({served}[{round(4000 * step)}ms]))"
    found = prometheus.steps(query, end - window, end, step)
    if not found:
        return window
    times, counts = np.array(found[0][1]).T
    return recording.since_pause(times, counts / 4, step, end - window, end)


def _explain(prometheus: PrometheusReader, spec: Spec, at: float | None) -> str:
    """Say which jobs have counted requests."""
    jobs = sorted(labels.get("job", "") for labels, _ in prometheus.vector(f"count by (job) ({_SERVED})", at))
    if not jobs:
        return f"it has no {_SERVED}: does it scrape the service?"
    wanted = f"the SLOs read the job {', '.join(spec.jobs)}, and " if spec.jobs else ""
    return f"{wanted}it has {_SERVED} of the job {', '.join(jobs)}"


def profile(prometheus: PrometheusReader | None, spec: Spec) -> str | None:
    """Return the profile whose windows the spec's alerts have in Prometheus; None where none is loaded or all are."""
    try:
        rules = prometheus.alerts() if prometheus else []
    except errors.Invalid:
        return None
    loaded = {rule.get("long_window") for rule in rules if rule.get("service") == spec.service}
    found = [name for name in windows.NAMES if loaded & {format_window(each.long) for each in windows.load(name).pairs}]
    return found[0] if len(found) == 1 else None


def intervals(prometheus: PrometheusReader, spec: Spec, profile: Profile, start: float, end: float) -> dict[str, float]:
    """Return the scrape and evaluation intervals in seconds, as far as they are recorded in that time."""
    ratio = burn_alerts.ratio_metric(profile.windows[0]) + burn_alerts.selector({"sloth_service": spec.service})
    looked = {"scrape": "up" + job_selector(spec), "evaluation": ratio}
    found = {name: prometheus.series(selector, start, end) for name, selector in looked.items()}
    return {
        name: round(float(np.median(np.diff(series[0].times))) / 1000, 1)
        for name, series in found.items()
        if series and series[0].times.size > 1
    }


def delivery(sent: Mapping[str, Any]) -> DeliveredNotification:
    return DeliveredNotification.model_validate({name: sent.get(name) for name in DeliveredNotification.model_fields})


def recorded_alerts(prometheus: PrometheusReader, spec: Spec, start: float, end: float, evaluation: float) -> Observed:
    """Return the alerts and scrapes recorded from start to end (Unix seconds); `evaluation` is in seconds."""
    names = "|".join(sorted({slo.alerting.name for slo in spec.slos}))
    alerts = recording.alerts(
        prometheus.series(f'ALERTS{{alertname=~"{names}"}}', start, end), round(1000 * evaluation), round(1000 * end)
    )
    up = prometheus.series("up" + job_selector(spec), start, end)
    return Observed(
        recorded=[
            RecordedEpisode(
                labels=labels,
                pending=each.pending / 1000,
                firing=None if each.firing is None else each.firing / 1000,
                resolved=None if each.resolved is None else each.resolved / 1000,
            )
            for labels, found in alerts
            for each in found
        ],
        scrapes=sorted({moment / 1000 for each in up for moment in each.times.tolist()}),
    )


def job_selector(spec: Spec, *matchers: str) -> str:
    """Return a label selector for the jobs that the spec's queries name, and more matchers; empty without any."""
    jobs = [f"job=~{json.dumps('|'.join(map(re.escape, spec.jobs)))}"] if spec.jobs else []
    return f"{{{','.join([*jobs, *matchers])}}}" if jobs or matchers else ""
