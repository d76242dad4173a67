"""What is wrong now, at the top of the page: the health of each SLO, and the alerts grouped."""

from collections.abc import Callable, Sequence

from nicegui import ui

from chaosapi import durations
from chaosapi.alert_labels import severity
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import KeyedList, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import BAD, OK, TONES, WARN
from chaosapi.console.signals import ALL
from chaosapi.console.situation import AlertGroup, SloHealth, group_alerts, slo_healths, summarize
from chaosapi.console.states import unix_time

_SHOWN = 4
_DETAILS = "see the Alerts panel"


class SituationPanel:
    """One sentence, a badge for each SLO, and a line for each group of alerts; `open_alerts` shows them all."""

    def __init__(self, context: PageContext, open_alerts: Callable[[], None]) -> None:
        self._context = context
        with ui.element("section").classes("card situation live").props('aria-label="What is wrong now"'):
            with ui.element("div").classes("flow"):
                Heading(2, "What is wrong now").classes("small dim")
                self._sentence = ui.label().classes("strong wrap").props("role=status").mark("situation")
            self._slos: KeyedList[SloHealth] = KeyedList(_SloChip, "", "flow")
            self._groups: KeyedList[tuple[AlertGroup, str]] = KeyedList(lambda: _GroupLine(open_alerts), "")
            self._more = ui.label().classes("small dim")
        with ui.element("section").classes("card situation lost strong"):
            ui.label("What is wrong now is unknown: this page has lost the console.")

    def update(self) -> None:
        context = self._context
        watch = context.watch
        targets = watch.facts.targets if watch else ()
        slos = slo_healths(watch.budgets, targets, scraped=watch.up) if watch else ()
        self._slos.show({slo.name: slo for slo in slos})
        groups = group_alerts(context.alerts, targets)
        shown = groups[:_SHOWN]
        self._groups.show(
            {(group.name, group.alerts[0].labels.get("service")): (group, self._since(group)) for group in shown}
        )
        self._more.set_text(f"{len(groups) - _SHOWN} more: {_DETAILS}." if len(groups) > _SHOWN else "")
        self._more.set_visibility(len(groups) > _SHOWN)
        text, tone = self._judge(slos, groups)
        set_text(self._sentence, text, tone)

    def _judge(self, slos: Sequence[SloHealth], groups: Sequence[AlertGroup]) -> tuple[str, str]:
        context = self._context
        sources = context.sources
        if sources.prometheus.state() == "waiting":
            return "Waiting for the first data.", WARN
        away = [feed.source.name for feed in (sources.prometheus, sources.alertmanager) if feed.state() != "up"]
        if away:
            return f"Unknown, or only a part is known: no data from {' and '.join(away)}.", WARN
        healths = {slo.health for slo in slos}
        if healths & {"burning", "budget gone"} or any(group.state == "firing" and group.pages for group in groups):
            return summarize(slos, groups), BAD
        return summarize(slos, groups), WARN if groups or healths - {"ok"} else OK

    def _since(self, group: AlertGroup) -> str:
        if not group.since:
            return ""
        age = max(0.0, self._context.sources.clock() - unix_time(group.since))
        return f"since {self._context.zone.clock(group.since)} ({durations.format(round(age))})"


class _SloChip:
    def __init__(self) -> None:
        self.element = ui.label().classes("chip")

    def update(self, slo: SloHealth) -> None:
        route = "" if slo.route == ALL else f" ({slo.route})"
        set_text(self.element, f"{slo.name}{route}: {slo.describe()}", TONES[slo.health])


class _GroupLine:
    def __init__(self, open_alerts: Callable[[], None]) -> None:
        with ui.element("div").classes("flow") as self.element:
            self._state = ui.label().classes("chip")
            self._name = ui.label().classes("strong")
            self._what = ui.label().classes("small num wrap")
            ui.button("Details", on_click=open_alerts).props("dense flat size=sm")

    def update(self, shown: tuple[AlertGroup, str]) -> None:
        group, since = shown
        set_text(self._state, severity_and_state(group), tone(group))
        self._name.set_text(group.name)
        self._what.set_text(", ".join(filter(None, (group.route, since, group.count()))))


def severity_and_state(group: AlertGroup) -> str:
    """Return the badge of a group: `page firing`."""
    worst = next(each for each in group.alerts if each.state == group.state)
    return f"{'page' if group.pages else severity(worst.labels)} {group.state}".strip()


def tone(group: AlertGroup) -> str:
    """Return the colour of a group: a ticket that fires is no page."""
    return WARN if group.state == "firing" and not group.pages else TONES[group.state]
