"""Alerts on causes, in addition to the alerts on SLOs: Prometheus rules, and the series of their promtool tests."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from chaosapi.slo import document, promql
from chaosapi.slo.burn_alerts import Rule, selector
from chaosapi.slo.document import FileModel
from chaosapi.slo.promtool_cases import Case
from chaosapi.slo.spec import Labels, Name
from chaosapi.slo.windows import Profile, format_window

_WINDOW = re.compile(r"\{\{\.(\w+)\}\}")
_COUNTER = re.compile(r"_(total|count|sum|bucket)\{")


def _filled(template: str, windows: dict[str, str]) -> str:
    """Replace the names of windows by the windows; raises ValueError for an unknown name."""
    if unknown := set(_WINDOW.findall(template)) - windows.keys():
        known = ", ".join(f"{{{{.{name}}}}}" for name in windows)
        raise ValueError(f"{{{{.{min(unknown)}}}}} is unknown: use one of {known}")
    return _WINDOW.sub(lambda found: windows[found[1]], template)


def _names(template: str) -> str:
    _filled(template, {"quick": "5m", "slow": "30m"})
    return template


def _query(template: str) -> str:
    promql.check(_filled(template, {"quick": "5m", "slow": "30m"}))
    return template


Template = Annotated[str, AfterValidator(_names)]
"""Text with `{{.quick}}` and `{{.slow}}`, the short windows of a profile's two pages; Prometheus expands the rest."""


class PlayedSeries(FileModel):
    """One series in the tests, healthy (`well`) and failing (`ill`).

    The numbers are the increase per step of a counter, which the end of its name shows, or the value of a gauge.
    """

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
    """The alerts on causes of one service; `labels` apply to every alert that does not override them."""

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


def load_from_folder_of(spec: Path) -> Causes | None:
    """Read the file `causes.yaml` from the folder of a spec, if it exists; raises errors.Invalid."""
    path = spec.with_name("causes.yaml")
    return load(path) if path.exists() else None


def group(causes: Causes, profile: Profile) -> dict[str, Any]:
    """Return the rule group for a profile."""
    return {"name": f"causes-{causes.service}", "rules": [_rule(causes, cause, profile) for cause in causes.alerts]}


def suite(causes: Causes, profile: Profile, rules: str) -> Case:
    """Return the file of promtool tests; `rules` is the rule file's path as seen from the test file."""
    cases = [_case(causes, cause, profile) for cause in causes.alerts]
    return {"rule_files": [rules], "evaluation_interval": format_window(profile.step), "tests": cases}


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
    """Return a test that plays failing, healthy and failing series, and then their end.

    Each phase is longer than every range and `for` together. The alert must fire soon after its `for`, not earlier; it
    must resolve when the series are healthy or end, and must never fire while they are healthy.
    """
    quick = round(profile.pairs[0].short / profile.step)
    slow = round(profile.pairs[1].short / profile.step)
    waits = {"{{.quick}}": quick, "{{.slow}}": slow}[cause.waits]
    phase = quick + slow + 3
    own = {"alertname": cause.alert, "alertstate": "firing"}

    def expect(step: int, *, fires: bool) -> Case:
        return {
            "expr": f"count by (alertname, severity) (ALERTS{selector(own)})",
            "eval_time": format_window(step * profile.step),
            "exp_samples": [{"labels": selector(_alert_labels(causes, cause)), "value": 1}] if fires else [],
        }

    return {
        "name": f"{cause.alert}: ill, well, ill, gone",
        "interval": format_window(profile.step),
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


def _alert_labels(causes: Causes, cause: Cause) -> dict[str, str]:
    return {"alertname": cause.alert, "severity": (causes.labels | cause.labels)["severity"]}


def _values(played: PlayedSeries, phase: int) -> str:
    """Return the phases in promtool's form: `a+bxn` is a, a+b, …, a+n·b."""
    levels = (played.ill, played.well, played.ill)
    if not _COUNTER.search(played.series):
        return " ".join([*(f"{level:.12g}x{phase - 1}" for level in levels), "stale"])
    starts = (0.0, phase * played.ill, phase * (played.ill + played.well))
    grown = (f"{start:.12g}+{level:.12g}x{phase - 1}" for start, level in zip(starts, levels, strict=True))
    return " ".join([*grown, "stale"])


def _windows(profile: Profile) -> dict[str, str]:
    quick, slow, *_ = profile.pairs
    return {"quick": format_window(quick.short), "slow": format_window(slow.short)}
