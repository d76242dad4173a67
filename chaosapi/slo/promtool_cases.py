"""The input series of a promtool test for one SLO, and the expected alerts of one window pair."""

from dataclasses import dataclass
from typing import Any

from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective, Spec
from chaosapi.slo.windows import WindowPair, format_window

Case = dict[str, Any]
Phase = tuple[int, float, float]
"""Steps, and the good and bad events of each step; numbers that floats add exactly."""


@dataclass(frozen=True)
class PlayedTraffic:
    """The traffic of one SLO and the pair under test, on a grid of `step` seconds."""

    spec: Spec
    slo: Objective
    pair: WindowPair
    step: float
    good: list[str]
    bad: list[str]

    @property
    def long(self) -> int:
        """Return the long window in steps."""
        return round(self.pair.long / self.step)

    @property
    def short(self) -> int:
        """Return the short window in steps."""
        return round(self.pair.short / self.step)

    def case(self, story: str, phases: list[Phase], checks: list[Case], restarted: list[Phase] | None = None) -> Case:
        """Return a test: counters grow from zero through the phases, are reset by a restart, and end (stale)."""
        lives = [phases, restarted] if restarted else [phases]
        return {
            "name": f"{self.slo.name}, {self.pair}: {story}",
            "interval": format_window(self.step),
            "input_series": [
                {"series": name, "values": " ".join(["0", *(self._values(name, life) for life in lives), "stale"])}
                for name in dict.fromkeys(self.good + self.bad)
            ],
            "promql_expr_test": checks,
        }

    def _values(self, name: str, phases: list[Phase]) -> str:
        """Return the growth of a counter in promtool's form: `a+bxn` is a, a+b, …, a+n·b."""
        value = 0.0
        parts = list[str]()
        for steps, good, bad in phases:
            growth = good * (name in self.good) + bad * (name in self.bad)
            parts.append(f"{value + growth:.17g}+{growth:.17g}x{steps - 1}")
            value += steps * growth
        return " ".join(parts)


def selector(metric: str, play: PlayedTraffic) -> str:
    """Return the selector of an SLO's series."""
    return metric + burn_alerts.selector(play.spec.identity_labels(play.slo))


def nothing_fires(play: PlayedTraffic, at: int) -> Case:
    """Return a check that no alert of the SLO fires at a step."""
    expr = "ALERTS" + burn_alerts.selector({"alertstate": "firing"} | play.spec.identity_labels(play.slo))
    return {"expr": expr, "eval_time": format_window(at * play.step), "exp_samples": []}


def pair_fires(play: PlayedTraffic, at: int, *, fires: bool) -> Case:
    """Return a check that the pair's alert, with all its labels, fires or does not fire at a step."""
    labels = burn_alerts.labels(play.spec, play.slo, play.pair)
    own = {name: labels[name] for name in ("long_window", "short_window")}
    state = {"alertstate": "firing"}
    given = {"alertname": play.slo.alerting.name} | state | play.spec.recorded_labels(play.slo) | labels
    # Templates are expanded, a label without a value does not exist, and the queries may keep further labels.
    whole = {name: value for name, value in given.items() if value and "{{" not in value}
    samples = [{"labels": burn_alerts.selector(whole), "value": 1}]
    fired = "ALERTS" + burn_alerts.selector(state | play.spec.identity_labels(play.slo) | own)
    expr = f"max by ({', '.join(whole)}) ({fired})"
    return {"expr": expr, "eval_time": format_window(at * play.step), "exp_samples": samples if fires else []}
