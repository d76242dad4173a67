"""By which labels the alert of a window pair is known."""

from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import WindowPair

_TELLING = ("slo", "service", "severity", "long_window", "short_window")
"""The others may be templates, which only Prometheus fills in."""


def alert_labels(spec: Spec, slo: Objective, pair: WindowPair) -> dict[str, str]:
    """Return name and labels that tell the pair's alert from all others, as the spec has them: it may override each."""
    labels = burn_alerts.labels(spec, slo, pair)
    return {"alertname": slo.alerting.name} | {name: labels[name] for name in _TELLING}
