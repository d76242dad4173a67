"""The one page: charts at the left, panels at the right, and above both what is always needed."""

import contextlib
from collections.abc import Callable
from functools import partial

from fastapi import Request
from nicegui import ui

from chaosapi.console.panels.alerts import AlertsPanel
from chaosapi.console.panels.budgets import BudgetsPanel
from chaosapi.console.panels.charts import ChartsPanel
from chaosapi.console.panels.error_boundary import ErrorBoundary, Panel
from chaosapi.console.panels.faults import FaultsPanel
from chaosapi.console.panels.header import Banners, Header
from chaosapi.console.panels.history import TimelinePanel
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import STYLE
from chaosapi.console.panels.traffic import TrafficPanel
from chaosapi.console.signals import ALL, SPANS, View
from chaosapi.console.sources import Sources

_PANELS: dict[str, Callable[[PageContext], Panel]] = {
    "Faults": FaultsPanel,
    "Alerts": AlertsPanel,
    "Budget": BudgetsPanel,
    "Timeline": TimelinePanel,
    "Traffic": TrafficPanel,
}
_DARK = "localStorage.theme ? localStorage.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches"


def page(room: Sources, every: float) -> Callable[[Request], object]:
    """Return the function that builds the page for a browser, and brings it up to date every so many seconds."""

    async def build(request: Request) -> None:
        desk = PageContext(room, request.scope["session_of_console"])
        ui.add_css(STYLE.read_text(encoding="utf-8"))
        ui.colors(primary="#0072b2", negative="#b83b00", positive="#00795a", warning="#8f5a00")
        darkness = ui.dark_mode(None)
        parts = _build_panels(desk, darkness)

        def update() -> None:
            for part in parts:
                part.update()

        client = ui.context.client
        await client.connected()
        if client.is_deleted:  # nobody came: a program looked whether something answers
            return
        client.on_delete(lambda: room.views.pop(client.id, None))
        room.views[client.id] = desk.view
        ui.timer(every, update)
        with contextlib.suppress(TimeoutError):  # a browser that is so slow sees what its system prefers
            desk.dark = darkness.value = bool(await ui.run_javascript(_DARK, timeout=10))
            update()  # the charts have colours of their own

    return build


def _build_panels(desk: PageContext, darkness: ui.dark_mode) -> list[Panel]:
    def switch() -> None:
        desk.dark = not desk.dark
        darkness.value = desk.dark
        ui.run_javascript(f"localStorage.theme = '{'dark' if desk.dark else 'light'}'")

    with ui.header(), ui.element("div").classes("head"):
        ui.label("chaosapi").classes("brand")
        header = ErrorBoundary(lambda: Header(desk, switch))
    banners = ErrorBoundary(lambda: Banners(desk))
    with ui.element("div").classes("room"):
        with ui.element("div"):
            choices = ui.element("div")
            charts = ErrorBoundary(lambda: ChartsPanel(desk))
            with choices:
                _build_view_choices(desk, charts.update)
        with ui.element("div").classes("card side"):
            with ui.tabs().props("dense align=left no-caps") as tabs:
                for name in _PANELS:
                    ui.tab(name)
            with ui.tab_panels(tabs, value="Faults").props("keep-alive :animated=false"):
                panels: list[Panel] = []
                for name, make in _PANELS.items():
                    with ui.tab_panel(name):
                        panels.append(ErrorBoundary(partial(make, desk)))
    return [header, banners, charts, *panels]


def _build_view_choices(desk: PageContext, looked: Callable[[], None]) -> None:
    client = ui.context.client

    async def look() -> None:
        desk.view = View(SPANS[span.value], route.value or ALL)
        desk.room.views[client.id] = desk.view
        await desk.room.prometheus.poll()  # its turn may be seconds away
        looked()

    def offer() -> None:
        watch = desk.room.prometheus.answer
        known = [ALL, *(watch.facts.routes if watch else ())]
        if known != route.options:
            route.set_options(known)

    with ui.element("div").classes("flow").style("margin-bottom:6px"):
        span = ui.toggle(list(SPANS), value="5 m", on_change=look)
        span.props("dense unelevated no-caps padding='1px 10px'")
        route = (
            ui.select([ALL], value=ALL, on_change=look).props("dense outlined options-dense").style("min-width:190px")
        )
        route.props('aria-label="route"')
        ui.label("Shaded: a fault acts. Dashed: an SLO's threshold.").classes("small dim")
    ui.timer(2, offer)
