"""The one page: charts at the left, panels at the right, the header and banners above both."""

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


def page(sources: Sources, every: float) -> Callable[[Request], object]:
    """Return the function that builds the page for a browser, and updates it every `every` seconds."""

    async def build(request: Request) -> None:
        context = PageContext(sources, request.scope["session_of_console"])
        ui.add_css(STYLE.read_text(encoding="utf-8"))
        ui.colors(primary="#0072b2", negative="#b83b00", positive="#00795a", warning="#8f5a00")
        darkness = ui.dark_mode(None)
        parts = _build_panels(context, darkness)

        def update() -> None:
            for part in parts:
                part.update()

        update()  # before the first paint: the parts show nothing that is not so
        client = ui.context.client
        await client.connected()
        if client.is_deleted:  # no browser connected: a program only fetched the page
            return
        client.on_delete(lambda: sources.views.pop(client.id, None))
        sources.views[client.id] = context.view
        ui.timer(every, update)
        with contextlib.suppress(TimeoutError):  # without an answer, the system's preference stays
            context.dark = darkness.value = bool(await ui.run_javascript(_DARK, timeout=10))
            update()  # the charts do not follow the dark mode by themselves

    return build


def _build_panels(context: PageContext, darkness: ui.dark_mode) -> list[Panel]:
    def switch() -> None:
        context.dark = not context.dark
        darkness.value = context.dark
        ui.run_javascript(f"localStorage.theme = '{'dark' if context.dark else 'light'}'")

    with ui.header(), ui.element("div").classes("head"):
        ui.label("chaosapi").classes("brand")
        header = ErrorBoundary(lambda: Header(context, switch))
    banners = ErrorBoundary(lambda: Banners(context))
    with ui.element("div").classes("room"):
        with ui.element("div"):
            choices = ui.element("div")
            charts = ErrorBoundary(lambda: ChartsPanel(context))
            with choices:
                _build_view_choices(context, charts.update)
        with ui.element("div").classes("card side"):
            with ui.tabs().props("dense align=left no-caps") as tabs:
                for name in _PANELS:
                    ui.tab(name)
            with ui.tab_panels(tabs, value="Faults").props("keep-alive :animated=false"):
                panels: list[Panel] = []
                for name, make in _PANELS.items():
                    with ui.tab_panel(name):
                        panels.append(ErrorBoundary(partial(make, context)))
    return [header, banners, charts, *panels]


def _build_view_choices(context: PageContext, looked: Callable[[], None]) -> None:
    client = ui.context.client

    async def look() -> None:
        context.view = View(SPANS[span.value], route.value or ALL)
        context.sources.views[client.id] = context.view
        await context.sources.prometheus.poll()  # the next poll may be seconds away
        looked()

    def offer() -> None:
        watch = context.sources.prometheus.answer
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
