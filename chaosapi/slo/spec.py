"""What is promised: service level objectives in Sloth's `prometheus/v1` form.

Source of the format: https://sloth.dev/specs/default/ (github.com/slok/sloth, pkg/prometheus/api/v1).
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from chaosapi.slo import document
from chaosapi.slo.document import Model

_WINDOW = re.compile(r"\{\{-?\s*\.window\s*-?\}\}")
_JOB = re.compile(r'\bjob\s*=\s*"([^"]+)"')


def _query(text: str) -> str:
    if not _WINDOW.search(text):
        raise ValueError("a query needs [{{.window}}] where the range goes")
    if "{{" in _WINDOW.sub("", text):
        raise ValueError("{{.window}} is the only template variable a query may use")
    return text.strip()


def _need(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence: need(this, or say that)
    if not condition:
        raise ValueError(message)


Query = Annotated[str, AfterValidator(_query)]
"""PromQL with `{{.window}}` in place of the range."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
"""Letters, digits and `-_.`, starting and ending with a letter or digit, as Sloth asks."""

LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Labels = dict[LabelName, str]


class Events(Model):
    """Bad and all events, each as a rate over the window."""

    error_query: Query
    total_query: Query


class Raw(Model):
    """An error ratio (0 to 1) that is already there."""

    error_ratio_query: Query


class Indicator(Model):
    """The service level indicator: events or a raw ratio, one of the two."""

    events: Events | None = None
    raw: Raw | None = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, data: Any) -> Any:
        if isinstance(data, dict):
            _need(
                "plugin" not in data, "SLI plugins are code that runs inside Sloth: write their queries under `events`"
            )
            _need(len(data) == 1, "needs exactly one of `events` and `raw`")
        return data

    def error_ratio(self, window: str) -> str:
        """Give PromQL for the ratio of bad events over `window` ("5m"): absent, never NaN, when nothing happened."""
        if self.raw:
            query = _WINDOW.sub(window, self.raw.error_ratio_query)
            return f"(\n{_indent(query)}\n) > -Inf"  # true of every number but NaN
        assert self.events is not None  # noqa: S101 - the validator holds it; this tells mypy
        error, total = (_WINDOW.sub(window, q) for q in (self.events.error_query, self.events.total_query))
        return f"(\n{_indent(error)}\n)\n/\n((\n{_indent(total)}\n) > 0)"

    @property
    def jobs(self) -> list[str]:
        """The scrape jobs that the queries name with `job="…"`, sorted."""
        parts = [q for part in (self.events, self.raw) if part for q in part.model_dump().values()]
        return sorted({job for query in parts for job in _JOB.findall(query)})


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


class AlertSettings(Model):
    """What is special about the alerts of one severity."""

    disable: bool = False
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


class Alerting(Model):
    """Name, labels and annotations of an SLO's alerts."""

    name: LabelName = "ErrorBudgetBurn"
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    page_alert: AlertSettings = AlertSettings()
    ticket_alert: AlertSettings = AlertSettings()


class Objective(Model):
    """One service level objective; `objective` is a percentage, as in 99.9."""

    name: Name
    objective: Annotated[Decimal, Field(gt=0, lt=100)]
    description: str = ""
    labels: Labels = Field(default_factory=dict)
    sli: Indicator
    alerting: Alerting

    @model_validator(mode="before")
    @classmethod
    def _no_plugins(cls, data: Any) -> Any:
        _need(not isinstance(data, dict) or "plugins" not in data, "SLO plugins are code that runs inside Sloth")
        return data

    @property
    def ratio(self) -> float:
        """The objective as a ratio: 0.999 for 99.9."""
        return float(self.objective / 100)

    @property
    def budget(self) -> float:
        """The error budget B = 1 - objective as a ratio: 0.001 for 99.9, exact to the last digit written."""
        return float(1 - self.objective / 100)


class Spec(Model):
    """The objectives of one service."""

    version: Literal["prometheus/v1"]
    service: Name
    labels: Labels = Field(default_factory=dict)
    slos: Annotated[list[Objective], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        if isinstance(data, dict):
            kind = data.get("kind")
            _need(kind is None, f"kind {kind} is not read here: write the plain form, `version: prometheus/v1`")
            _need("slo_plugins" not in data, "slo_plugins are code that runs inside Sloth")
        return data

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [slo.name for slo in self.slos]
        twice = sorted({name for name in names if names.count(name) > 1})
        _need(not twice, f"every SLO needs a name of its own: {', '.join(twice)} is there twice")
        return self

    @property
    def jobs(self) -> list[str]:
        """The scrape jobs that any query names, sorted."""
        return sorted({job for slo in self.slos for job in slo.sli.jobs})

    def identity(self, slo: Objective) -> dict[str, str]:
        """Give the labels that tell one SLO from all others, named as Sloth names them."""
        return {"sloth_id": f"{self.service}-{slo.name}", "sloth_service": self.service, "sloth_slo": slo.name}

    def carried(self, slo: Objective) -> dict[str, str]:
        """Give the labels of everything recorded for an SLO: its identity and the labels of spec and SLO."""
        return self.identity(slo) | self.labels | slo.labels


def load(path: Path) -> Spec:
    """Read a spec file; raises errors.Invalid with line and field of every mistake."""
    return document.read(path, Spec)
