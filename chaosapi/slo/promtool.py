"""Unit tests for the rules, in promtool's form: theory says when each pair fires and resets, promtool judges.

Everything happens on a grid of one step, which is scrape and evaluation interval at once; the slower ticket windows
have a coarser grid and a file of their own, since promtool's time grows with steps times samples. On the grid, theory
leaves one freedom: Prometheus 3 leaves out the sample at a window's left edge, so a window reaches one step less far
than in Prometheus 2. A pair is therefore tested at the last step at which neither version may fire, and at the first
at which both must; the two lie around the predicted time, at most three steps apart.
"""

import math
from pathlib import Path
from typing import Any

from pydantic import RootModel

from chaosapi import errors
from chaosapi.slo import alerting, document, theory
from chaosapi.slo.document import Model
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import Pair, Profile, Severity, text

REQUESTS = 100
"""Requests a step in the tests' traffic."""

GRID: dict[Severity, int] = {"page": 1, "ticket": 5}
"""The grid of each severity's tests, in steps of the profile."""

Case = dict[str, Any]
Phase = tuple[int, float, float]
"""Steps, and good and bad events in each of them."""


class Series(Model):
    """The series that one good and one bad event add to."""

    good: list[str]
    bad: list[str]


class Traffic(RootModel[dict[str, Series]]):
    """The series of each SLO, by its name."""


def load(path: Path) -> Traffic:
    """Read a traffic file; raises errors.Invalid with line and field of every mistake."""
    return document.read(path, Traffic)


def suite(spec: Spec, profile: Profile, traffic: Traffic, severity: Severity, rules: str) -> Case:
    """Give the test file for one severity as data; `rules` is the rule file's path as seen from the test file.

    What does not depend on severity is tested beside the pages. Raises errors.Invalid when `traffic` lacks an SLO.
    """
    step = profile.step * GRID[severity]
    cases = []
    for slo in spec.slos:
        series = _series(traffic, slo)
        if pairs := [p for p in profile.pairs if p.severity == severity and not alerting.disabled(slo, p)]:
            cases.append(_outage(spec, slo, pairs, series, step))
        if severity == "page":
            cases += [_first_steps(spec, slo, profile, series), _no_traffic(spec, slo, profile, series)]
    if severity == "page":
        cases += [_target_absent(spec, job, profile) for job in spec.jobs]
    return {"rule_files": [rules], "evaluation_interval": text(step), "tests": cases}


def _series(traffic: Traffic, slo: Objective) -> Series:
    if slo.name not in traffic.root:
        raise errors.Invalid.field(slo.name, "the traffic file does not say what its good and bad events add to")
    return traffic.root[slo.name]


def _outage(spec: Spec, slo: Objective, pairs: list[Pair], series: Series, step: float) -> Case:
    """Health for the longest window, errors until every pair has fired and every short window is full, health."""
    # With few errors it takes long, which puts theory to the test; but they must be enough for every pair.
    enough = 1.25 * slo.budget * max(pair.factor for pair in pairs)
    error_ratio = next((ratio for ratio in (0.02, 0.2) if ratio > enough), 1.0)
    start = round(max(pair.long for pair in pairs) / step)
    longest = round(max(pair.short for pair in pairs) / step)
    fire, clear = {}, {}
    for pair in pairs:
        fault = {"error_ratio": error_ratio, "budget": slo.budget, "factor": pair.factor}
        fire[pair] = _around(
            theory.detection(**fault, long=pair.long - step), theory.detection(**fault, long=pair.long), step
        )
        clear[pair] = _around(
            theory.reset(**fault, short=pair.short - step), theory.reset(**fault, short=pair.short), step
        )
    end = start + max([longest] + [after for _, after in fire.values()]) + 1
    checks = [_nothing_fires(spec, slo, start * step)]
    for pair in pairs:
        expected = (
            (start + fire[pair][0], False),
            (start + fire[pair][1], True),
            (end + clear[pair][0], True),
            (end + clear[pair][1], False),
        )
        checks += [_firing(spec, slo, pair, at * step, fires=fires) for at, fires in expected]
    bad = error_ratio * REQUESTS
    phases = [(start, REQUESTS, 0.0), (end - start, REQUESTS - bad, bad), (longest + 1, REQUESTS, 0.0)]
    name = f"{slo.name}: {error_ratio:.0%} errors after {text(start * step)} of health, each pair fires and resets"
    return _case(name, step, series, phases, checks)


def _first_steps(spec: Spec, slo: Objective, profile: Profile, series: Series) -> Case:
    """Half of what the budget allows goes wrong from the very first request on."""
    bad = REQUESTS * slo.budget / 2
    at = 5 * profile.step
    carried = spec.carried(slo) | {"sloth_window": text(profile.period)}
    remaining = _named("slo:period_error_budget_remaining:ratio", spec, slo)
    checks = [
        _nothing_fires(spec, slo, at),
        {
            "expr": f"round({remaining}, 0.001)",
            "eval_time": text(at),
            "exp_samples": [{"labels": alerting.selector(carried), "value": 0.5}],
        },
    ]
    name = f"{slo.name}: the remaining budget is right from the first minutes"
    return _case(name, profile.step, series, [(5, REQUESTS - bad, bad)], checks)


def _no_traffic(spec: Spec, slo: Objective, profile: Profile, series: Series) -> Case:
    """Nothing, then an outage of everything, then nothing again."""
    step, quickest = profile.step, profile.pairs[0]
    empty = round(quickest.short / step) + 1
    nothing = [
        {"expr": _named(alerting.ratio_metric(window), spec, slo), "eval_time": text(10 * step), "exp_samples": []}
        for window in (*profile.windows, profile.period)
    ]
    checks = [*nothing, _nothing_fires(spec, slo, 10 * step)]
    if not alerting.disabled(slo, quickest):
        checks += [
            _firing(spec, slo, quickest, 20 * step, fires=True),
            _firing(spec, slo, quickest, (20 + empty) * step, fires=False),
        ]
    name = f"{slo.name}: no traffic is no error, and no ratio either"
    return _case(name, profile.step, series, [(10, 0, 0), (10, 0, REQUESTS), (empty, 0, 0)], checks)


def _target_absent(spec: Spec, job: str, profile: Profile) -> Case:
    """Up for ten steps, down for ten, up for ten, unknown from then on."""
    rule, step = alerting.target_absent(spec, job, profile), profile.step
    patience = round(profile.windows[0] / step)
    alert = [{"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}]
    expected: tuple[tuple[int, list[Case]], ...] = (
        (10, []),
        (10 + patience, []),
        (11 + patience, alert),
        (21, []),
        (30 + patience, []),
        (31 + patience, alert),
    )
    return {
        "name": f"{job}: a target that is down, or that is gone, is told",
        "interval": text(step),
        "input_series": [{"series": f"up{alerting.selector({'job': job})}", "values": "1x10 0x9 1x9 stale"}],
        "alert_rule_test": [
            {"eval_time": text(at * step), "alertname": rule["alert"], "exp_alerts": alerts} for at, alerts in expected
        ],
    }


def _around(early: float, late: float, step: float) -> tuple[int, int]:
    """Give the last step surely before `early` and the first surely after `late` (seconds)."""
    before, after = (round(time / step, 6) for time in (early, late))  # on the grid means on it, whatever floats say
    return max(0, math.ceil(before) - 1), math.floor(after) + 1


def _case(name: str, step: float, series: Series, phases: list[Phase], checks: list[Case]) -> Case:
    names = dict.fromkeys(series.good + series.bad)
    played = [{"series": n, "values": _values(phases, good=n in series.good, bad=n in series.bad)} for n in names]
    return {"name": name, "interval": text(step), "input_series": played, "promql_expr_test": checks}


def _values(phases: list[Phase], *, good: bool, bad: bool) -> str:
    """Write a counter that starts at 0 and grows by its share of every phase: `a+bxn` is a, a+b, …, a+n·b."""
    value, parts = 0.0, ["0"]
    for steps, of_good, of_bad in phases:
        growth = of_good * good + of_bad * bad
        parts.append(f"{value + growth:.12g}+{growth:.12g}x{steps - 1}")
        value += steps * growth
    return " ".join(parts)


def _named(metric: str, spec: Spec, slo: Objective) -> str:
    return metric + alerting.selector(spec.identity(slo))


def _nothing_fires(spec: Spec, slo: Objective, at: float) -> Case:
    expr = "ALERTS" + alerting.selector({"alertstate": "firing"} | spec.identity(slo))
    return {"expr": expr, "eval_time": text(at), "exp_samples": []}


def _firing(spec: Spec, slo: Objective, pair: Pair, at: float, *, fires: bool) -> Case:
    labels = alerting.labels(spec, slo, pair)
    own = {name: labels[name] for name in ("long_window", "short_window")}
    state = {"alertstate": "firing"}
    whole = {"alertname": slo.alerting.name} | state | spec.carried(slo) | labels
    samples = [{"labels": "ALERTS" + alerting.selector(whole), "value": 1}]
    expr = "ALERTS" + alerting.selector(state | spec.identity(slo) | own)
    return {"expr": expr, "eval_time": text(at), "exp_samples": samples if fires else []}
