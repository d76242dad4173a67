"""Guards: conditions that end a fault early, checked while the fault acts."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from chaosapi import durations
from chaosapi.alert_labels import has_severity
from chaosapi.durations import Duration
from chaosapi.models import Model, Ratio, at_most_entries, ratio

Label = Annotated[str, Field(max_length=1000)]

_DAY = 86400.0


class BudgetBurned(Model):
    """Ends the fault when a share of an availability SLO's error budget has been burned since the fault's start.

    Each replica counts its own requests; a request that is still held does not count as failed yet.
    """

    budget_burned: Ratio
    """The share of the error budget: 0.25 is a quarter of it."""
    objective: Annotated[float, Field(gt=0, lt=1), BeforeValidator(ratio)] = 0.999
    """The share of requests that must succeed. A request fails with a 5xx status, or without a response."""
    period: Annotated[Duration, Field(gt=0)] = 30 * _DAY
    """The period of the SLO: 30d unless given; the lab uses 12h."""

    def burned(self, answered: float, failed: float, elapsed: float) -> float:
        """Return the share that `failed` of `answered` requests burned in `elapsed` seconds.

        (failed / answered) / (1 - objective) is the burn rate. At 1 the budget lasts for one period, so the share is
        burn rate × elapsed / period (Google's SRE Workbook, chapter 5).
        """
        return failed / answered / (1 - self.objective) * elapsed / self.period if answered else 0.0

    def cause(self, answered: float, failed: float, elapsed: float) -> str | None:
        """Return the reason to end the fault if the condition holds, else None."""
        burned = self.burned(answered, failed, elapsed)
        if burned < self.budget_burned:
            return None
        days = self.period / _DAY
        period = f"{days:g}-day" if days.is_integer() else durations.format(self.period)
        return f"{100 * burned:.3g} % of the {period} error budget burned since the start"


class AlertFiring(Model):
    """Ends the fault when an alert fires, as delivered by Alertmanager's webhook, also one older than the fault."""

    alert: Annotated[str, Field(min_length=1, max_length=200)]
    """The alert's name: the label `alertname`."""
    severity: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Only with this severity: `page` or `ticket`, whatever the SLO's file calls them, or another label `severity`."""
    labels: Annotated[dict[Label, Label], Field(max_length=20), at_most_entries(20)] = Field(default_factory=dict)
    """Only with these labels too, such as `{"slo": "availability"}`."""

    @cached_property
    def _wanted(self) -> dict[str, str]:
        return {"alertname": self.alert, **self.labels}

    def cause(self, labels: Mapping[str, str]) -> str | None:
        """Return the reason to end the fault if an alert with these labels matches, else None."""
        if not self._wanted.items() <= labels.items():
            return None
        if self.severity and not has_severity(labels, self.severity):
            return None
        which = ", ".join(labels[name] for name in ("severity", "service", "slo") if name in labels)
        return f"alert {self.alert}{which and f' ({which})'} is firing"


def _kind(value: Any) -> str | None:
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kinds = [kind for field, kind in (("budget_burned", "burned"), ("alert", "firing")) if field in fields]
    return kinds[0] if len(kinds) == 1 else None


class Guard(Model):
    """Ends the fault early, as soon as its condition holds."""

    stop_when: Annotated[
        Annotated[BudgetBurned, Tag("burned")] | Annotated[AlertFiring, Tag("firing")],
        Discriminator(
            _kind,
            custom_error_type="stop_when",
            custom_error_message='say when: either {"budget_burned": 0.25} or {"alert": "ErrorBudgetBurn"}',
        ),
    ]
    """The condition: `budget_burned` or `alert`."""
