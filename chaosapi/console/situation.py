"""What is wrong now: the health of each SLO, and the present alerts grouped by SLO."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from chaosapi.console.signals import ALL
from chaosapi.console.slos import BudgetStatus, SloTarget
from chaosapi.console.states import AlertState, State, is_page, slo_name
from chaosapi.text import count_noun

Health = Literal["ok", "burning", "recovering", "budget gone", "no traffic", "no data"]
"""`recovering` is an SLO that no longer burns, and one of whose alerts still fires or is pending."""

_STATES: tuple[State, ...] = ("firing", "pending", "inhibited", "silenced")
"""The worst first."""


@dataclass(frozen=True)
class SloHealth:
    """The health of one SLO, and the numbers that it follows from; `route` is its route, or `ALL`."""

    name: str
    health: Health
    route: str
    left: float | None
    burn: float | None

    def describe(self) -> str:
        """Return the health with its numbers in a few words."""
        words: list[str] = [self.health]
        if self.burn is not None and self.burn > 1:
            words.append(f"burn rate {self.burn:.3g}×")
        if self.left is not None and self.left > 0:
            words.append(f"{self.left:.1%} of the budget left")
        return ", ".join(words)


@dataclass(frozen=True)
class AlertGroup:
    """The alerts of one SLO, or of one name where they have no SLO: pages first, then by their start."""

    name: str
    route: str
    alerts: tuple[AlertState, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What its alerts have in common."""
        return _group_key(self.alerts[0])

    @property
    def state(self) -> State:
        """The worst state of its alerts."""
        return min((each.state for each in self.alerts), key=_STATES.index)

    @property
    def pages(self) -> bool:
        """Whether one of its alerts in the worst state is a page."""
        return any(is_page(each.labels) for each in self.alerts if each.state == self.state)

    @property
    def since(self) -> str:
        """When the first of its alerts in the worst state began; "" if that is not known."""
        return min((each.since for each in self.alerts if each.state == self.state and each.since), default="")

    @property
    def silenced_labels(self) -> dict[str, str]:
        """The labels by which a silence matches all of it: those of the SLO, or those that its alerts share."""
        first = self.alerts[0].labels
        if "slo" in first:
            return {
                name: first[name] for name in ("alertname", "service", "slo") if name in first and self._shared(name)
            }
        return {name: first[name] for name in first if self._shared(name)}

    def count(self) -> str:
        """Return how many pages and tickets fire, are pending and so on: `2 pages and 1 ticket firing`."""
        parts = []
        for state in _STATES:
            alerts = [each for each in self.alerts if each.state == state]
            pages = sum(is_page(each.labels) for each in alerts)
            nouns = [count_noun(pages, "page")] * (pages > 0)
            nouns += [count_noun(len(alerts) - pages, "ticket")] * (len(alerts) > pages)
            if nouns:
                parts.append(f"{' and '.join(nouns)} {state}")
        return ", ".join(parts)

    def _shared(self, name: str) -> bool:
        return all(each.labels.get(name) == self.alerts[0].labels[name] for each in self.alerts)


def slo_healths(
    budgets: Iterable[BudgetStatus], targets: Iterable[SloTarget], *, scraped: bool
) -> tuple[SloHealth, ...]:
    """Return the health of each SLO; `scraped` is whether Prometheus can scrape the service."""
    routes = {target.sloth_id: target.route for target in targets}
    return tuple(
        SloHealth(
            budget.name,
            _health(budget, scraped=scraped),
            routes.get(budget.sloth_id, ALL),
            budget.left,
            budget.recent_burn if scraped else None,
        )
        for budget in budgets
    )


def group_alerts(alerts: Iterable[AlertState], targets: Iterable[SloTarget]) -> tuple[AlertGroup, ...]:
    """Group the alerts: what fires first, pages before tickets, then the longest first."""
    routes = {target.sloth_id: target.route for target in targets}
    ordered = sorted(alerts, key=_group_key)
    groups = (_group(name, tuple(members), routes) for (_, name), members in groupby(ordered, _group_key))
    return tuple(sorted(groups, key=lambda each: (_STATES.index(each.state), not each.pages, each.since, each.name)))


def summarize(slos: Sequence[SloHealth], groups: Sequence[AlertGroup]) -> str:
    """Return what is wrong in one or two sentences, where Prometheus and Alertmanager answer."""
    firing = [group for group in groups if group.state == "firing"]
    paging = [group.name for group in firing if group.pages]
    others = [group.name for group in firing if not group.pages]
    said = [f"A page fires for {_and(paging)}."] if paging else []
    said += [f"A ticket fires for {_and(others)}."] if others else []
    ill: dict[Health, list[str]] = {}
    for slo in slos:
        if slo.health != "ok" and slo.name not in paging + others:
            ill.setdefault(slo.health, []).append(slo.name)
    said += [f"{_and(names)}: {health}." for health, names in ill.items()]
    if said:
        return " ".join(said)
    if groups:
        return f"No alert fires; pending or muted: {_and([group.name for group in groups])}."
    return f"Nothing is wrong: no alert is pending or firing, {_all_met(slos)}."


def _health(budget: BudgetStatus, *, scraped: bool) -> Health:
    if not scraped:
        return "no data"
    if budget.left is not None and budget.left <= 0:
        return "budget gone"
    if budget.recent_burn is None:
        return "no traffic"
    if budget.recent_burn > 1:
        return "burning"
    return "ok" if all(pair.state == "inactive" for pair in budget.pairs) else "recovering"


def _group_key(alert: AlertState) -> tuple[str, str]:
    labels = alert.labels
    slo = slo_name(labels)
    return (labels.get("service", "") if slo else "", slo or labels.get("alertname", "alert"))


def _group(name: str, alerts: tuple[AlertState, ...], routes: Mapping[str, str]) -> AlertGroup:
    handlers = dict.fromkeys(each.labels["handler"] for each in alerts if "handler" in each.labels)
    slo = next((routes[each.labels["sloth_id"]] for each in alerts if each.labels.get("sloth_id") in routes), "")
    ordered = sorted(alerts, key=lambda each: (not is_page(each.labels), _STATES.index(each.state), each.since))
    return AlertGroup(name, slo or ", ".join(handlers), tuple(ordered))


def _all_met(slos: Sequence[SloHealth]) -> str:
    if not slos:
        return "and there is no SLO"
    return "and the SLO is ok" if len(slos) == 1 else f"and all {len(slos)} SLOs are ok"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
