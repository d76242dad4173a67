"""The overview: what is wrong now, below it charts at the left and panels at the right."""

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import Request
from nicegui import ui

from chaosapi.console.panels.alerts import AlertsPanel
from chaosapi.console.panels.budgets import BudgetsPanel
from chaosapi.console.panels.charts import ChartsPanel
from chaosapi.console.panels.error_boundary import ErrorBoundary, Panel
from chaosapi.console.panels.faults import FaultsPanel
from chaosapi.console.panels.frame import Frame
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.history import TimelinePanel
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.situation import SituationPanel
from chaosapi.console.panels.traffic import TrafficPanel
from chaosapi.console.panels.world import WorldPanel
from chaosapi.console.signals import ALL, SPANS, View
from chaosapi.console.sources import Sources

_PANELS: dict[str, Callable[[PageContext], Panel]] = {
    "Faults": FaultsPanel,
    "Alerts": AlertsPanel,
    "Budget": BudgetsPanel,
    "Timeline": TimelinePanel,
    "World": WorldPanel,
    "Traffic": TrafficPanel,
}


def overview(sources: Sources, every: float) -> Callable[[Request], Awaitable[None]]:
    """Return the function that builds the page for a browser, and updates it every `every` seconds."""

    async def build(request: Request) -> None:
        context = PageContext(sources, request.scope["session_of_console"])
        frame = Frame(context, "Overview", every)
        frame.parts += _build_panels(context, request.query_params.get("panel", ""))
        await frame.run()

    return build


def _build_panels(context: PageContext, first: str) -> list[Panel]:
    """Build the charts and all panels; the panel named `first` is open, else that of faults."""
    situation = ui.element("div").classes("full-width")
    with ui.element("div").classes("room"):
        with ui.element("section").classes("signals").props("aria-label=Signals"):
            Heading(2, "Signals").classes("visually-hidden")
            choices = ui.element("div")
            charts = ErrorBoundary(lambda: ChartsPanel(context))
            with choices:
                _build_view_choices(context, charts.update)
        with ui.element("section").classes("card side").props("aria-label=Panels"):
            with ui.tabs(on_change=lambda change: _name_in_address(change.value)) as tabs:
                tabs.props("dense align=left no-caps")
                for name in _PANELS:
                    ui.tab(name)
            opened = first.title() if first.title() in _PANELS else "Faults"
            with ui.tab_panels(tabs, value=opened).props("keep-alive :animated=false"):
                panels: list[Panel] = []
                for name, make in _PANELS.items():
                    with ui.tab_panel(name):
                        Heading(2, name).classes("visually-hidden")
                        panels.append(ErrorBoundary(partial(make, context)))

    def open_alerts() -> None:
        tabs.value = "Alerts"

    with situation:
        panels.append(ErrorBoundary(lambda: SituationPanel(context, open_alerts)))
    return [charts, *panels]


def _name_in_address(panel: str) -> None:
    """Let a reload, or whoever gets the link, open the same panel."""
    ui.navigate.history.replace(f"?panel={panel.lower()}")


def _build_view_choices(context: PageContext, looked: Callable[[], None]) -> None:
    client = ui.context.client

    async def look() -> None:
        context.view = View(SPANS[span.value], route.value or ALL)
        context.sources.views[client.id] = context.view
        await context.sources.prometheus.poll()  # the next poll may be seconds away
        looked()

    def offer() -> None:
        watch = context.sources.prometheus.answer
        known = [ALL, *sorted(watch.facts.routes if watch else ())]
        if known != route.options:
            route.set_options(known)

    with ui.element("div").classes("flow choices"):
        span = ui.toggle(list(SPANS), value="5 m", on_change=look)
        span.props("dense unelevated no-caps padding='1px 10px' aria-label='time span'")
        route = ui.select([ALL], value=ALL, label="Route", on_change=look).props("dense outlined options-dense")
        route.style("min-width:190px")
    ui.timer(2, offer)
