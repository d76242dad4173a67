"""Compare forecasts with promtool: it evaluates the generated rules over simulated counters, and ALERTS has the result.

The counters are written from closed integrals of the shapes, without the code that is judged.
"""

import math
import random
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chaosapi.faults.fault import Fault
from chaosapi.forecast import timetable
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import document, rules, spec, windows
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile, WindowPair, format_window

_LABELS = 'job="chaosapi", method="GET", handler="/api/products"'
_FAILED = {
    "error_query": 'sum(rate(http_requests_total{job="chaosapi", status=~"5..|418"}[{{.window}}]))',
    "total_query": 'sum(rate(http_requests_total{job="chaosapi"}[{{.window}}]))',
}
_LATE = {
    "error_query": 'sum(rate(http_request_duration_seconds_count{status!~"5.."}[{{.window}}])) '
    '- sum(rate(http_request_duration_seconds_bucket{status!~"5..", le="0.25"}[{{.window}}]))',
    "total_query": 'sum(rate(http_request_duration_seconds_count{status!~"5.."}[{{.window}}]))',
}
_EFFECTS: dict[str, dict[str, Any]] = {
    "503": {"type": "error", "status": 503},
    "418": {"type": "error", "status": 418},
    "late": {"type": "latency", "distribution": {"type": "constant", "value": "1s"}},
}
_GOT = re.compile(r"\{([^}]*)\} ([-+0-9.E]+)")


@dataclass(frozen=True)
class Case:
    """One case; times in seconds, `pairs` the indexes of the compared pairs in their profile."""

    kind: str
    """Errors with a series from the start, errors whose series the fault creates, or slow responses."""
    profile: str
    pairs: tuple[int, ...]
    objective: str
    error_ratio: float
    shape: dict[str, Any]
    duration: float
    history: float
    rps: float
    replicas: int
    scrape: float
    evaluation: float

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.profile} {self.pairs} {self.objective}% e={self.error_ratio:.4g} "
            f"{self.shape} for {self.duration:g}s after {self.history:g}s "
            f"at {self.rps:g}/s on {self.replicas}, every {self.scrape:g}s/{self.evaluation:g}s"
        )


@dataclass(frozen=True)
class Verdict:
    """First and last evaluation at which an alert fired, and their number; seconds after the fault's creation."""

    first: float
    last: float
    count: int


def cases(seed: int, count: int) -> Iterator[Case]:
    """Draw cases that alternate between quick and slow windows, with the finest grids that they allow."""
    chance = random.Random(seed)
    for number in range(count):
        profile = ("lab", "production")[number % 2]
        step = windows.load(profile).step
        pairs = chance.choice([(0,), (1,), (0, 1), (2,), (3,)])
        chosen = [windows.load(profile).pairs[place] for place in pairs]
        # The ticket windows take coarser grids, since promtool's time grows with windows times evaluations.
        scrape = (
            step * {0: 1, 1: chance.choice([1, 5]), 2: chance.choice([10, 15]), 3: chance.choice([20, 30])}[pairs[0]]
        )
        evaluation = scrape * chance.choice([1, 1, 1, 2, 0.5] if scrape > step else [1, 1, 2])
        longest = max(pair.long for pair in chosen)
        shortest = min(pair.short for pair in chosen)
        objective = chance.choice(["95", "99", "99.5", "99.9", "99.95", "99.99"])
        budget = 1 - float(objective) / 100
        factor = min(pair.factor for pair in chosen)
        lowest = min(1.0, max(0.002, chance.choice([0.7, 1.05, 1.5]) * factor * budget))
        error_ratio = float(f"{math.exp(chance.uniform(math.log(lowest), 0)):.4g}")
        duration = _round(chance.uniform(0.1, 1.2) * longest, scrape)
        grid = max(scrape, evaluation)  # promtool evaluates from the first scrape on
        history = chance.choice([0.0, _round(0.3 * longest, grid), _round(1.1 * longest, grid)])
        shape: dict[str, Any] = chance.choice(
            [
                {"type": "constant"},
                {"type": "ramp", "up": duration / 2, "down": chance.choice([0.0, duration / 4])},
                {"type": "pulse", "on": _round(2.5 * shortest, scrape), "off": _round(3 * shortest, scrape)},
            ]
        )
        rps = chance.choice([0.05, 1.0, 40.0, 3000.0])
        kind = chance.choice(["503", "503", "418", "late"])
        replicas = chance.choice([1, 1, 3])
        yield Case(
            kind, profile, pairs, objective, error_ratio, shape, duration, history, rps, replicas, scrape, evaluation
        )


def _round(seconds: float, step: float) -> float:
    return step * max(1, round(seconds / step))


def version(promtool: Path) -> int:
    """Return promtool's major version."""
    done = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)", done.stdout + done.stderr)
    assert found
    return int(found[1])


def other(root: Path) -> Path | None:
    """Return the distribution's promtool next to the pinned one, if installed."""
    found = root / ".tools" / "system" / "promtool"
    return found if found.exists() else None


def forecast(case: Case, prometheus: int) -> dict[str, Verdict]:
    """Return the forecast by long window, for alerts that fire."""
    fault = Fault.model_validate(
        {
            "effect": _EFFECTS[case.kind],
            "rate": case.error_ratio,
            "schedule": {"duration": case.duration, "shape": case.shape},
        }
    )
    monitoring = Monitoring.model_validate(
        {
            "scrape": case.scrape,
            "evaluation": case.evaluation,
            "history": case.history,
            "horizon": _horizon(case),
            "prometheus": prometheus,
        }
    )
    traffic = Traffic(rps=case.rps, shares={"/api/products": 1.0})
    model = ForecastModel([fault], traffic, _spec(case), windows.load(case.profile), monitoring)
    found = timetable.predict(model)  # coarse grids are too coarse for the windows not looked at
    looked_at = {format_window(pair.long) for pair in _pairs(case)}
    verdicts = {}
    for alert in found.alerts:
        if alert.fires and alert.long_window in looked_at:
            spans = [(each.firing, each.resolved) for each in alert.moments]
            ends = [_horizon(case) + case.evaluation if end is None else end for _, end in spans]
            count = sum(
                round((end - (start or 0.0)) / case.evaluation) for (start, _), end in zip(spans, ends, strict=True)
            )
            verdicts[alert.long_window] = Verdict(spans[0][0] or 0.0, ends[-1] - case.evaluation, count)
    return verdicts


def judged(promtool: Path, folder: Path, chosen: Iterable[Case]) -> Iterator[dict[str, Verdict]]:
    """Run promtool on the cases, one after the other."""
    for number, case in enumerate(chosen):
        place = folder / f"case-{number}"
        place.mkdir(parents=True)
        (place / "rules.yml").write_text(document.write(_rules(case), "a test"))
        (place / "tests.yml").write_text(yaml.safe_dump(_test(case), width=1_000_000))
        command: list[str | Path] = [promtool, "test", "rules", place / "tests.yml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        yield _read(case, done.stdout + done.stderr)


def agree(case: Case, said: dict[str, Verdict], fact: dict[str, Verdict]) -> bool:
    """Return whether the same alerts fire, with first and last firing within one evaluation step of each other."""
    step = case.evaluation * 1.001
    return said.keys() == fact.keys() and all(
        abs(said[key].first - fact[key].first) <= step
        and abs(said[key].last - fact[key].last) <= step
        and abs(said[key].count - fact[key].count) <= 2
        for key in said
    )


def _spec(case: Case) -> Spec:
    slo: dict[str, Any] = {"name": "promise", "objective": float(case.objective), "alerting": {}}
    slo["sli"] = {"events": _LATE if case.kind == "late" else _FAILED}
    return spec.parse(yaml.safe_dump({"version": "prometheus/v1", "service": "shop", "slos": [slo]}), "slo.yaml")[0]


def _pairs(case: Case) -> list[WindowPair]:
    return [windows.load(case.profile).pairs[place] for place in case.pairs]


def _horizon(case: Case) -> float:
    beyond = max(pair.short for pair in _pairs(case)) + 4 * max(case.scrape, case.evaluation)
    return _round(case.duration + beyond, max(case.scrape, case.evaluation))


def _rules(case: Case) -> dict[str, Any]:
    """Return the generated rules, without those that the case does not compare."""
    profile: Profile = windows.load(case.profile)
    pairs = _pairs(case)
    group = rules.groups(_spec(case), profile)["groups"][0]
    lengths = {format_window(window) for pair in pairs for window in (pair.short, pair.long)}
    kept = [
        rule
        for rule in group["rules"]
        if (rule.get("record", "").startswith("slo:sli_error") and rule["labels"]["sloth_window"] in lengths)
        or ("alert" in rule and rule["labels"]["long_window"] in {format_window(pair.long) for pair in pairs})
    ]
    return {"groups": [{"name": group["name"], "rules": kept}]}


def _test(case: Case) -> dict[str, Any]:
    times = [case.scrape * number for number in range(round((case.history + _horizon(case)) / case.scrape) + 1)]
    bad = [case.error_ratio * case.rps * _strength(case, time - case.history) for time in times]
    series = [
        {"series": name.replace("}", f', instance="{replica}"}}'), "values": " ".join(values)}
        for replica in range(case.replicas)
        for name, values in _series(case, times, bad).items()
    ]
    end = case.history + _horizon(case)
    span = f"[{format_window(end + case.evaluation)}:{format_window(case.evaluation)}]"
    firing = '(timestamp(ALERTS{alertstate="firing"}) - 0)'
    ask = {"first": f"min_over_time({firing}{span})", "last": f"max_over_time({firing}{span})"}
    ask["count"] = f"count_over_time({firing}{span})"
    checks = [
        {"expr": f'label_replace({expr}, "what", "{what}", "", "")', "eval_time": format_window(end), "exp_samples": []}
        for what, expr in ask.items()
    ]
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": format_window(case.evaluation),
        "tests": [{"interval": format_window(case.scrape), "input_series": series, "promql_expr_test": checks}],
    }


def _series(case: Case, times: list[float], bad: list[float]) -> dict[str, list[str]]:
    """Return one replica's counters; `_` is a missing sample."""
    all_ = [case.rps * time / case.replicas for time in times]
    hit = [count / case.replicas for count in bad]
    if case.kind == "late":
        metric = "http_request_duration_seconds"
        fast = [whole - late for whole, late in zip(all_, hit, strict=True)]
        return {
            f'{metric}_count{{{_LABELS}, status="200"}}': [f"{count:.15g}" for count in all_],
            f'{metric}_bucket{{{_LABELS}, status="200", le="0.25"}}': [f"{count:.15g}" for count in fast],
        }
    good = [whole - failed for whole, failed in zip(all_, hit, strict=True)]
    # One scrape coincides with the creation of the fault: the next one sees what the fault creates.
    hidden = 0 if case.kind == "503" else sum(time <= case.history for time in times)
    return {
        f'http_requests_total{{{_LABELS}, status="200"}}': [f"{count:.15g}" for count in good],
        f'http_requests_total{{{_LABELS}, status="{case.kind}"}}': [
            "_" if place < hidden else f"{count:.15g}" for place, count in enumerate(hit)
        ],
    }


def _strength(case: Case, until: float) -> float:
    """Integrate the strength from the fault's creation, in seconds at full strength."""
    until = min(max(0.0, until), case.duration)
    match case.shape:
        case {"type": "ramp", "up": up, "down": down}:
            falling = max(0.0, until - (case.duration - down))
            risen = min(until, up)
            fallen = falling * falling / (2 * down) if down else 0.0
            return float(risen * risen / (2 * up) + max(0.0, until - up) - fallen)
        case {"type": "pulse", "on": on, "off": off}:
            whole, rest = divmod(until, on + off)
            return float(whole * on + min(rest, on))
    return until


def _read(case: Case, output: str) -> dict[str, Verdict]:
    """Parse promtool's actual values from its failed expectations."""
    found: dict[str, dict[str, float]] = {}
    for labels, value in _GOT.findall(output):
        read = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if "what" in read:
            found.setdefault(read["long_window"], {})[read["what"]] = float(value)
    return {
        window: Verdict(got["first"] - case.history, got["last"] - case.history, round(got["count"]))
        for window, got in found.items()
    }
