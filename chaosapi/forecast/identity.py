"""The labels that identify the alert of a window pair."""

from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import WindowPair

_IDENTIFYING_LABELS = ("slo", "service", "severity", "long_window", "short_window")
"""Other labels may be templates, which only Prometheus can expand."""


def alert_labels(spec: Spec, slo: Objective, pair: WindowPair) -> dict[str, str]:
    """Return the name and labels that identify the pair's alert, with the overrides of the spec."""
    labels = burn_alerts.labels(spec, slo, pair)
    return {"alertname": slo.alerting.name} | {name: labels[name] for name in _IDENTIFYING_LABELS}
