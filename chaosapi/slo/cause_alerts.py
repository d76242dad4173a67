"""Alerts on causes, beside those on SLOs: rules as Prometheus writes them, and what their tests play."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from chaosapi.slo import document, promql
from chaosapi.slo.burn_alerts import Rule, selector
from chaosapi.slo.document import FileModel
from chaosapi.slo.promtool_cases import Case
from chaosapi.slo.spec import Labels, Name
from chaosapi.slo.windows import Profile, text

_WINDOW = re.compile(r"\{\{\.(\w+)\}\}")
_COUNTER = re.compile(r"_(total|count|sum|bucket)\{")


def _filled(template: str, windows: dict[str, str]) -> str:
    """Put windows in for their names; raises ValueError for a name that is none."""
    if unknown := set(_WINDOW.findall(template)) - windows.keys():
        known = ", ".join(f"{{{{.{name}}}}}" for name in windows)
        raise ValueError(f"{{{{.{min(unknown)}}}}} is not known here: there are {known}")
    return _WINDOW.sub(lambda found: windows[found[1]], template)


def _names(template: str) -> str:
    _filled(template, {"quick": "5m", "slow": "30m"})
    return template


def _query(template: str) -> str:
    promql.check(_filled(template, {"quick": "5m", "slow": "30m"}))
    return template


Template = Annotated[str, AfterValidator(_names)]
"""Text with `{{.quick}}` and `{{.slow}}`, the short windows of a profile's two pages; the rest is Prometheus' own."""


class PlayedSeries(FileModel):
    """One series in the tests: a counter (by the end of its name) grows so much in every step, a gauge is it."""

    series: str
    well: float
    ill: float


class Cause(FileModel):
    """One alert, and the series that make it fire."""

    alert: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    expr: Annotated[str, AfterValidator(_query)]
    waits: Annotated[Literal["{{.quick}}", "{{.slow}}"], Field(alias="for")]
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, Template] = Field(default_factory=dict)
    played: Annotated[list[PlayedSeries], Field(min_length=1)]


class Causes(FileModel):
    """The alerts on causes of one service; `labels` are on all of them, unless an alert has its own."""

    service: Name
    labels: Labels = Field(default_factory=dict)
    alerts: Annotated[list[Cause], Field(min_length=1)]


def parse(text: str, source: str) -> Causes:
    """Read the text of a file of causes; raises errors.Invalid with line and field of every mistake."""
    found = document.single(document.documents(text, source), source)
    return found.into(Causes, by_alias=True)  # `for` is no name that Python allows


def load(path: Path) -> Causes:
    """Read a file of causes; raises errors.Invalid with line and field of every mistake."""
    return parse(document.read_text(path), str(path))


def load_beside(spec: Path) -> Causes | None:
    """Read the file `causes.yaml` beside a spec if there is one; raises errors.Invalid."""
    path = spec.with_name("causes.yaml")
    return load(path) if path.exists() else None


def group(causes: Causes, profile: Profile) -> dict[str, Any]:
    """Return the rule group for a profile."""
    return {"name": f"causes-{causes.service}", "rules": [_rule(causes, cause, profile) for cause in causes.alerts]}


def suite(causes: Causes, profile: Profile, rules: str) -> Case:
    """Return the file of promtool tests; `rules` is the rule file's path as seen from the test file."""
    cases = [_case(causes, cause, profile) for cause in causes.alerts]
    return {"rule_files": [rules], "evaluation_interval": text(profile.step), "tests": cases}


def _rule(causes: Causes, cause: Cause, profile: Profile) -> Rule:
    windows = _windows(profile)
    return {
        "alert": cause.alert,
        "expr": _filled(cause.expr, windows),
        "for": _filled(cause.waits, windows),
        "labels": causes.labels | cause.labels,
        "annotations": {name: _filled(value, windows) for name, value in cause.annotations.items()},
    }


def _case(causes: Causes, cause: Cause, profile: Profile) -> Case:
    """Play illness, health, illness, and the end of the series, each for longer than every range and wait together.

    The alert may not fire before it has waited, and must soon after; health and silence must end it, and health may
    not fire it however long it lasts.
    """
    quick, slow = (round(pair.short / profile.step) for pair in profile.pairs[:2])
    waits = {"{{.quick}}": quick, "{{.slow}}": slow}[cause.waits]
    phase = quick + slow + 3
    own = {"alertname": cause.alert, "alertstate": "firing"}

    def expect(step: int, *, fires: bool) -> Case:
        return {
            "expr": f"count by (alertname, severity) (ALERTS{selector(own)})",
            "eval_time": text(step * profile.step),
            "exp_samples": [{"labels": selector(_told(causes, cause)), "value": 1}] if fires else [],
        }

    return {
        "name": f"{cause.alert}: ill, well, ill, gone",
        "interval": text(profile.step),
        "input_series": [{"series": each.series, "values": _values(each, phase)} for each in cause.played],
        "promql_expr_test": [
            expect(waits - 1, fires=False),
            expect(waits + 2, fires=True),  # a rate needs a second sample, hence a step
            expect(phase - 1, fires=True),
            expect(phase + slow + 1, fires=False),
            expect(2 * phase - 1, fires=False),
            expect(3 * phase - 1, fires=True),
            expect(3 * phase + slow + 1, fires=False),
        ],
    }


def _told(causes: Causes, cause: Cause) -> dict[str, str]:
    return {"alertname": cause.alert, "severity": (causes.labels | cause.labels)["severity"]}


def _values(played: PlayedSeries, phase: int) -> str:
    """Write the phases in promtool's form: `a+bxn` is a, a+b, …, a+n·b."""
    levels = (played.ill, played.well, played.ill)
    if not _COUNTER.search(played.series):
        return " ".join([*(f"{level:.12g}x{phase - 1}" for level in levels), "stale"])
    starts = (0.0, phase * played.ill, phase * (played.ill + played.well))
    grown = (f"{start:.12g}+{level:.12g}x{phase - 1}" for start, level in zip(starts, levels, strict=True))
    return " ".join([*grown, "stale"])


def _windows(profile: Profile) -> dict[str, str]:
    quick, slow, *_ = profile.pairs
    return {"quick": text(quick.short), "slow": text(slow.short)}
