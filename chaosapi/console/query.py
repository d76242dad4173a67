"""The page that graphs any PromQL query: Prometheus' own page is missing from some packages of it."""

import html
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from chaosapi.clients.errors import ClientError
from chaosapi.console import graph
from chaosapi.console.graph import Series
from chaosapi.console.panels.charts import clock_script
from chaosapi.console.panels.error_boundary import ErrorBoundary
from chaosapi.console.panels.frame import Frame
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import GRID, INK, PALETTE
from chaosapi.console.signals import SPANS
from chaosapi.console.sources import Sources

_REFRESH_S: Final = 5.0
_WINDOW: Final = "30s"
_MAX_CHARACTERS: Final = 10_000


def query(sources: Sources, every: float) -> Callable[[Request], Awaitable[None]]:
    """Return the function that builds the page; `?expr=` and `?span=` are its first query."""

    async def build(request: Request) -> None:
        context = PageContext(sources, request.scope["session_of_console"])
        frame = Frame(context, "Query", every)
        page = _QueryPage(context, request.query_params.get("expr", ""), request.query_params.get("span", ""))
        frame.parts.append(ErrorBoundary(lambda: page))
        if await frame.run():
            await page.load_names()
            await page.run()
            ui.timer(max(_REFRESH_S, every), page.refresh)

    return build


class _QueryPage:
    """The input, the graph, and the present value of each series."""

    def __init__(self, context: PageContext, expr: str, span: str) -> None:
        self._context = context
        self._names: list[str] = []
        self._asked = ""
        self._drawn: object = None
        self._series: list[Series] = []
        self._at = context.sources.clock()
        with ui.element("section").classes("card live").props("aria-label=Query"):
            Heading(2, "Query Prometheus").classes("strong")
            with ui.element("div").classes("flow query"):
                self._input = ui.input("PromQL", value=expr[:_MAX_CHARACTERS], autocomplete=[])
                self._input.props("outlined dense autofocus spellcheck=false").classes("grow mono")
                self._input.on("keydown.enter", self.run)
                self._input.on_value_change(self._complete)
                ui.button("Run", icon="play_arrow", on_click=self.run).props("unelevated")
            with ui.element("div").classes("flow"):
                self._span = ui.toggle(list(SPANS), value=span if span in SPANS else "5 m", on_change=self.run)
                self._span.props("dense unelevated no-caps padding='1px 10px' aria-label='time span'")
                offered = graph.examples(context.sources.addresses.job, _WINDOW)
                chosen = ui.select(
                    list(offered), label="Examples", on_change=lambda event: self._show(offered[event.value])
                )
                chosen.props("dense outlined options-dense").style("min-width:260px")
            self._trouble = ui.label().classes("bad wrap").props("role=alert")
            self._about = ui.label().classes("small dim")
            self._chart = ui.echart(_options()).classes("graph")
            self._table = ui.html("", sanitize=False).classes("full-width")

    async def load_names(self) -> None:
        """Load the names of the metrics, which complete the last word of the query."""
        try:
            self._names = sorted(await self._context.sources.metrics.label_values("__name__", '{__name__!=""}'))
        except ClientError:
            self._names = []  # the banner says that Prometheus is down

    async def run(self) -> None:
        """Show the result of the query in the input, and put it into the page's address."""
        self._asked = (self._input.value or "").strip()[:_MAX_CHARACTERS]
        await self.refresh()
        ui.run_javascript(
            "history.replaceState(null, '', '?' + new URLSearchParams("
            f"{{expr: {_script(self._asked)}, span: {_script(self._span.value)}}}))"
        )

    async def refresh(self) -> None:
        """Show the present result of the last query that was run."""
        asked = self._asked
        span = SPANS[self._span.value]
        at = self._context.sources.clock()
        trouble = ""
        found: list[Series] = []
        if asked:
            try:
                found = await graph.fetch(self._context.sources.metrics, asked, at, span, graph.step(span))
            except ClientError as error:
                trouble = f"Prometheus: {error}"
        if asked != self._asked:
            return
        self._at = at
        self._series = found
        self._trouble.set_text(trouble)
        self._about.set_text(_describe(asked, found, span) if not trouble else "")
        self.update()

    def update(self) -> None:
        context = self._context
        drawing = (self._at, self._asked, self._span.value, context.dark, context.zone)
        if drawing == self._drawn:
            return
        self._drawn = drawing
        options = self._chart.options
        end = round(self._at * 1000)
        options["xAxis"] |= {"min": end - 1000 * SPANS[self._span.value], "max": end}
        options["xAxis"]["axisLabel"] = {":formatter": clock_script(context.zone, seconds=False), "hideOverlap": True}
        options["xAxis"]["axisPointer"] = {"label": {":formatter": f"(p) => ({clock_script(context.zone)})(p.value)"}}
        options["textStyle"] = {"color": INK[context.dark]}
        options["color"] = list(PALETTE[context.dark])
        for axis in ("xAxis", "yAxis"):
            options[axis]["axisLabel"]["color"] = INK[context.dark]
            options[axis]["splitLine"]["lineStyle"] = {"color": GRID[context.dark]}
        options["series"] = [
            {"type": "line", "name": each.name, "showSymbol": False, "lineStyle": {"width": 1.6}, "data": each.points}
            for each in self._series
        ]
        self._chart.update()
        self._table.set_content(table(self._series, PALETTE[context.dark]))

    async def _show(self, expr: str) -> None:
        self._input.value = expr
        await self.run()

    def _complete(self) -> None:
        self._input.set_autocomplete(graph.complete(self._input.value or "", self._names))


def table(found: list[Series], colors: tuple[str, ...]) -> str:
    """Return the present value of each series as HTML, with the colour of its curve."""
    rows = "".join(
        f'<tr><td class="swatch"><i class="key" style="background:{colors[number % len(colors)]}"></i>'
        f'<td class="wrap mono">{html.escape(each.name)}<td class="num">{_number(each.now)}'
        for number, each in enumerate(found)
    )
    head = '<tr class="dim"><td><td>series<td class="num">value now'
    return f'<table class="plain small">{head}{rows}</table>' if rows else ""


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.6g}"


def _describe(expr: str, found: list[Series], span: float) -> str:
    if not expr:
        return "Type a query, or choose an example. A metric's name is completed while you type."
    if not found:
        return "The result is empty: in this time no series matches."
    return f"{len(found)} series, a point every {graph.step(span)} s."


def _script(text: str) -> str:
    """Return a text as a JavaScript string."""
    return json.dumps(text)


def _options() -> dict[str, Any]:
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 64, "right": 12, "top": 12, "bottom": 24},
        "tooltip": {"trigger": "axis", "confine": True, "order": "valueDesc"},
        "xAxis": {"type": "time", "axisLabel": {}, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "axisLabel": {}, "splitLine": {}, "scale": False},
        "series": [],
    }
