"""The labels that identify the alert of a window pair."""

from typing import Final

from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import WindowPair

_IDENTIFYING: Final = ("slo", "service", "severity", "long_window", "short_window")


def alert_labels(spec: Spec, slo: Objective, pair: WindowPair) -> dict[str, str]:
    """Return the name and labels that identify the pair's alert, with the overrides of the spec.

    Left out are labels without a value, which Prometheus drops, and templates, which only Prometheus can expand.
    """
    labels = burn_alerts.labels(spec, slo, pair)
    own = {name: labels[name] for name in _IDENTIFYING if labels[name] and "{{" not in labels[name]}
    if own.get("slo") != slo.name or own.get("service") != spec.service:
        own |= spec.identity_labels(slo)
    return {"alertname": slo.alerting.name} | own
