"""Traffic and alerts of a time span, as Prometheus recorded them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from chaosapi.cli.prometheus import PrometheusReader
from chaosapi.forecast import recording
from chaosapi.forecast.observed import DeliveredNotification, Observed, RecordedEpisode
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo.spec import Spec


def measure_traffic(prometheus: PrometheusReader, spec: Spec, window: float, at: float | None = None) -> Traffic:
    """Return the traffic over a window (seconds) that ends now, or at `at` (Unix seconds)."""
    served = "http_requests_total" + job_selector(spec)
    rates = prometheus.vector(f"sum by (method, handler) (rate({served}[{round(1000 * window)}ms]))", at)
    replicas = prometheus.vector(f"count(count by (job, instance) ({served}))", at)
    return Traffic.from_rates(rates, round(replicas[0][1]) if replicas else 1)


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


def job_selector(spec: Spec) -> str:
    """Return a label selector for the jobs that the spec's queries name, empty where they name none."""
    return f"{{job=~{json.dumps('|'.join(map(re.escape, spec.jobs)))}}}" if spec.jobs else ""
