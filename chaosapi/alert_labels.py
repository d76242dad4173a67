"""The labels of alerts on SLOs: those that a file may set as it likes, and those that everything else relies on."""

from collections.abc import Mapping
from typing import Final

SEVERITY: Final = "sloth_severity"
"""`page` or `ticket`, whatever the file calls its severities."""

KINDS: Final = ("page", "ticket")

FIXED: Final = frozenset(
    {
        "alertname",
        "sloth_id",
        "sloth_service",
        "sloth_slo",
        "sloth_window",
        SEVERITY,
        "long_window",
        "short_window",
        "burn_rate",
    }
)
"""Labels that no file overrides: rules, routes and forecasts recognise SLO, window pair and kind by them."""


def severity(labels: Mapping[str, str]) -> str:
    """Return the kind of an alert on an SLO, `page` or `ticket`; for other alerts their label `severity`."""
    return labels.get(SEVERITY) or labels.get("severity", "")


def has_severity(labels: Mapping[str, str], wanted: str) -> bool:
    """Return whether an alert is of this kind; a severity that is none may be any value of the label `severity`."""
    return wanted in {severity(labels), labels.get("severity") if wanted not in KINDS else None}
