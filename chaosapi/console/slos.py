"""Read the SLOs from Prometheus' rules: thresholds of charts, error budgets, and the state of each alert."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosapi import durations
from chaosapi.console.signals import ALL, union
from chaosapi.console.states import is_page, slo_name
from chaosapi.promql import Slo

Json = Mapping[str, Any]


@dataclass(frozen=True)
class SloTarget:
    """The target of one SLO, read from its recording rules.

    `within` (seconds) is the bucket bound of a latency SLO, else None; `route` is its route, or `ALL`.
    """

    sloth_id: str
    objective: float
    within: float | None
    route: str

    def limit(self, chart: str, route: str) -> float | None:
        """Return the threshold in a chart of a route or of `ALL`, None if it has none there."""
        if self.route not in (ALL, route):
            return None
        if chart == "Latency":
            return self.within
        if self.within is None and chart in ("Success", "5xx"):
            return self.objective if chart == "Success" else round(1 - self.objective, 9)
        return None


@dataclass(frozen=True)
class PairStatus:
    """One alerting rule: its labels, its state in Prometheus, the burn rates of its two windows, and its alerts."""

    labels: Mapping[str, str]
    state: str
    burns: tuple[float | None, float | None] = (None, None)
    alerts: tuple[Json, ...] = ()
    """The pending and firing alerts of Prometheus: one for each handler, instance …"""

    @property
    def factor(self) -> float:
        """Return the burn rate above which the alert fires; 0 for a rule without one."""
        return float(self.labels.get("burn_rate", 0))

    @property
    def reach(self) -> float:
        """Return the lower of its burn rates divided by its factor; at 1 the alert fires."""
        known = [burn for burn in self.burns if burn is not None]
        return min(known) / self.factor if known and self.factor else 0.0


@dataclass(frozen=True)
class BudgetStatus:
    """The error budget of one SLO: the share that is left, seconds until it is spent, and its alerts."""

    sloth_id: str
    objective: float | None
    left: float | None
    exhausted: float | None
    pairs: tuple[PairStatus, ...] = field(default_factory=tuple)
    burn: float | None = None
    """The burn rate over the shortest window; None without traffic."""

    @property
    def recent_burn(self) -> float | None:
        """The largest burn rate over the short windows of its pages; None if none had a request.

        Over the shortest window alone, a route with few requests would be without traffic every other second.
        """
        short = (pair.burns[1] for pair in self.pairs if is_page(pair.labels))
        return max((burn for burn in (self.burn, *short) if burn is not None), default=None)

    @property
    def shortest_window(self) -> str:
        """The window of `burn`; "" if no rule says which that is."""
        windows = (pair.labels["short_window"] for pair in self.pairs if "short_window" in pair.labels)
        return min(windows, key=durations.parse, default="")

    @property
    def name(self) -> str:
        """The name of the SLO, without its service's if a rule says which that is."""
        return next((slo_name(pair.labels) for pair in self.pairs), self.sloth_id)


BUDGETS = union(
    {
        "objective": Slo(".+").recorded("objective:ratio"),
        "left": Slo(".+").budget_left(),
        "exhausted": Slo(".+").exhaustion(),
        "now": Slo(".+").burn_now(),
        "burn": Slo(".+").burn(),
    }
)
"""One query for all budgets."""


def slo_targets(groups: Iterable[Json]) -> tuple[SloTarget, ...]:
    """Read the SLO targets from the recording rules: objectives, bucket bounds, routes."""
    rules = [rule for group in groups for rule in group["rules"] if rule["type"] == "recording"]
    found = []
    for rule in rules:
        objective = re.fullmatch(r"vector\(([0-9.e-]+)\)", rule["query"])
        if rule["name"] != "slo:objective:ratio" or not objective:
            continue
        sloth_id = rule["labels"]["sloth_id"]
        errors = next((each["query"] for each in rules if _errors_of(each, sloth_id)), "")
        bound = re.search(r'le="([0-9.]+)"', errors)
        handler = re.search(r'handler="([^"]+)"', errors)
        within = float(bound[1]) if bound else None
        found.append(SloTarget(sloth_id, float(objective[1]), within, handler[1] if handler else ALL))
    return tuple(found)


def budget_statuses(alerting: Iterable[Json], budgets: Iterable[Json]) -> tuple[BudgetStatus, ...]:
    """Return the status of each SLO, in the order of the rules; `budgets` is the result of `BUDGETS`."""
    numbers: dict[tuple[str, ...], float] = {}
    for series in budgets:
        labels = series["metric"]
        key = (labels["signal"], labels["sloth_id"], labels.get("sloth_window", ""))
        if math.isfinite(value := float(series["value"][1])):  # Sloth's own rules have NaN without traffic
            numbers[key] = value
    pairs: dict[str, list[PairStatus]] = {}
    for rule in _alerts(alerting):
        if _is_pair(rule):
            sloth_id = f"{rule['labels'].get('service', '')}-{rule['labels']['slo']}"
            pairs.setdefault(sloth_id, []).append(_pair(rule, sloth_id, numbers))
    ids = dict.fromkeys([*pairs, *(key[1] for key in numbers)])
    return tuple(
        BudgetStatus(
            each,
            objective=numbers.get(("objective", each, "")),
            left=numbers.get(("left", each, "")),
            exhausted=numbers.get(("exhausted", each, "")),
            pairs=tuple(pairs.get(each, ())),
            burn=numbers.get(("now", each, "")),
        )
        for each in ids
    )


def other_alerts(alerting: Iterable[Json]) -> tuple[PairStatus, ...]:
    """Return the alerts that do not belong to a window pair of an SLO."""
    return tuple(_pair(rule, "", {}) for rule in _alerts(alerting) if not _is_pair(rule))


def _alerts(groups: Iterable[Json]) -> Iterable[Json]:
    return (rule for group in groups for rule in group["rules"] if rule["type"] == "alerting")


def _is_pair(rule: Json) -> bool:
    return all(label in rule["labels"] for label in ("slo", "long_window", "short_window"))


def _pair(rule: Json, sloth_id: str, numbers: Mapping[tuple[str, ...], float]) -> PairStatus:
    labels = {"alertname": rule["name"], **rule["labels"]}
    short, long = (numbers.get(("burn", sloth_id, labels.get(f"{end}_window", "?"))) for end in ("short", "long"))
    return PairStatus(labels, rule["state"], (long, short), tuple(rule["alerts"]))


def _errors_of(rule: Json, sloth_id: str) -> bool:
    return str(rule["name"]).startswith("slo:sli_error:") and rule["labels"].get("sloth_id") == sloth_id
