"""The panel of error budgets: the share left, the burn rates of each alert, and its states over time."""

from nicegui import ui

from chaosapi import durations
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import KeyedList, set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.strips import legend, strip
from chaosapi.console.panels.theme import TONES
from chaosapi.console.slos import BudgetStatus, PairStatus
from chaosapi.console.states import MUTED, Band, Key, alert_key, as_pages, is_page, state_bands, title, unix_time

_REST = "other alerts"
_LEGEND = "Each alert has its burn rates over the long and the short window, their limit, and its states over time."
_WAITING = "Waiting for Prometheus."
_UNKNOWN = "Budgets are unknown: see the top of the page."
_Shown = tuple[BudgetStatus, dict[Key, list[Band]], tuple[float, float]]


class BudgetsPanel:
    """One block for each SLO."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        ui.label(_LEGEND).classes("small dim")
        ui.html(legend("page", "firing", "pending", "silenced", "inhibited"), sanitize=False)
        self._rows: KeyedList[_Shown] = KeyedList(_BudgetBlock, "Prometheus has no SLO rules.")
        self._rows.show({}, _WAITING)

    def update(self) -> None:
        sources = self._context.sources
        view = self._context.view
        watch = self._context.watch
        alerting = sources.alertmanager.answer
        if watch is None:
            self._rows.show({}, _WAITING if sources.prometheus.state() == "waiting" else _UNKNOWN)
            return
        curves = watch.curves.get(view)
        if curves is None:  # of a view that was chosen just now
            return
        begin = curves.at - view.span
        silences = [each for each in alerting.silences if unix_time(each["endsAt"]) > begin] if alerting else []
        known = state_bands(curves.alerts, silences, sources.inhibitions.bands, view.step)
        span = (begin, curves.at)
        rest = [BudgetStatus(_REST, None, None, None, watch.others)] if watch.others else []
        self._rows.show({each.sloth_id: (each, known, span) for each in [*watch.budgets, *rest]})


class _BudgetBlock:
    def __init__(self) -> None:
        with ui.element("div").classes("item") as self.element:
            with ui.element("div").classes("flow"):
                self._name = Heading(3).classes("strong")
                ui.element("div").classes("grow")
                self._left = ui.label().classes("strong num")
            self._meter = ui.html("", sanitize=False)
            self._end = ui.label().classes("small dim num")
            self._pairs: KeyedList[tuple[PairStatus, list[Band], tuple[float, float]]] = KeyedList(
                _PairRow, "No alert watches it."
            )

    def update(self, shown: _Shown) -> None:
        budget, known, span = shown
        objective = "" if budget.objective is None else f" {budget.objective * 100:g} %"
        self._name.set_text(f"{budget.sloth_id}{objective}")
        for part in (self._meter, self._left, self._end):
            part.set_visibility(budget.sloth_id != _REST)
        if budget.left is None:
            set_text(self._left, "budget unknown", "dim")
        else:
            tone = "bad" if budget.left < 0 else "warn" if budget.left < 0.25 else "ok"
            set_text(self._left, _describe_left(budget.left), tone)
            width = max(0.0, min(1.0, budget.left))
            style = f"width:{width:.1%};background:var(--{tone})"
            self._meter.set_content(f'<div class="meter"><i style="{style}"></i></div>')
        self._end.set_text(describe_end(budget))
        self._pairs.show(
            {alert_key(pair.labels): (pair, known.get(alert_key(pair.labels), []), span) for pair in budget.pairs}
        )


class _PairRow:
    def __init__(self) -> None:
        with ui.element("div") as self.element:
            with ui.element("div").classes("flow small num"):
                self._name = ui.label()
                ui.element("div").classes("grow")
                self._burns = ui.label()
                self._state = ui.label().classes("chip")
            self._strip = ui.html("", sanitize=False)

    def update(self, shown: tuple[PairStatus, list[Band], tuple[float, float]]) -> None:
        pair, known, (start, end) = shown
        if pair.factor:
            self._name.set_text(title(pair.labels).replace(f" {pair.labels['slo']}", ""))
            burns = " / ".join("-" if burn is None else f"{burn:.3g}" for burn in pair.burns)
            self._burns.set_text(f"{burns} of {pair.factor:g}×")
        else:
            self._name.set_text(f"{pair.labels.get('severity', '')} {pair.labels['alertname']}")
        latest = known[-1] if known and known[-1].end >= end - 5 else None
        muted = latest.state if latest and pair.state == "firing" and latest.state in MUTED else pair.state
        set_text(self._state, muted, TONES[muted])
        if is_page(pair.labels):
            known = as_pages(known)
        self._strip.set_content(strip(known, start, end))


def _describe_left(left: float) -> str:
    return f"{left:.1%} left" if left >= 0 else f"overspent by {-left:.1%}"


def describe_end(budget: BudgetStatus) -> str:
    """Return when the budget runs out at the burn rate over the shortest window, which the text names."""
    window = f" over {budget.shortest_window}" if budget.shortest_window else ""
    if budget.burn is None:
        return f"no requests to judge{window}"
    if budget.left is not None and budget.left <= 0:
        return f"the budget is gone; burn rate{window}: {budget.burn:.3g}×"
    if budget.exhausted is None:
        return f"burn rate{window}: 0×"
    return f"gone in {_span(budget.exhausted)} at the burn rate{window}: {budget.burn:.3g}×"


def _span(seconds: float) -> str:
    step = 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    return durations.format(step * round(seconds / step))
