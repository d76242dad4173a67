"""The charts, with shaded faults and the thresholds of SLOs."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from nicegui import ui

from chaosapi.console.access import PAGES
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.keyed_list import set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import GRID, INK, LIMIT, LINES, SHADE_OPACITY, SHADES
from chaosapi.console.signals import CHARTS, SPANS, Chart, Span, expressions, headline
from chaosapi.console.slos import SloTarget
from chaosapi.console.zones import Zone

_AXES: Final = {
    "ratio": "(v) => +(v * 100).toFixed(2) + '%'",
    "seconds": "(v) => v < 1 ? +(v * 1000).toPrecision(3) + 'ms' : v + 's'",
    "rate": "(v) => v",
    "count": "(v) => v",
}
_LABELS: Final = {"Success": "insideStartBottom"}
"""The position of a threshold's label, where the default would be cut off."""
_HALVED: Final = "[0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1]"
"""Tops of axes which ECharts divides into equal halves, so that no tick stands close to another."""
_BOUNDS: Final[dict[str, dict[str, Any]]] = {
    "Success": {":min": f"(v) => 1 - {_HALVED}.find((top) => top >= Math.min(1, 1 - v.min || 0))", "max": 1},
    "5xx": {"min": 0, ":max": f"(v) => {_HALVED}.find((top) => top >= Math.min(1, v.max || 0))"},
    "In progress": {"min": 0, "minInterval": 1},
}
"""Bounds of axes that keep small changes small and flat lines flat; all other axes begin at 0."""
_MAX_NAMED: Final = 4
_STILL_S: Final = 6.0
"""A fault that acted so short a time ago may act still."""
_DASHES: Final = ("solid", "dashed", "dotted")


class ChartsPanel:
    """All charts of the page, and the legend of their shaded areas."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._drawn: object = None
        self._legend = ui.html("", sanitize=False).classes("small legend live")
        with ui.element("div").classes("charts"):
            self._charts = [_ChartCard(chart) for chart in CHARTS]

    def update(self) -> None:
        context = self._context
        watch = context.sources.prometheus.answer
        targets = watch.facts.targets if watch else ()
        now = context.present(context.view.route)
        for card in self._charts:
            card.show_value(now, thresholds(card.chart.title, context.view.route, targets))
        curves = watch.curves.get(context.view) if watch else None
        if watch is None or curves is None:
            return
        # Without fresh data the time goes on, and the curves do not.
        end = curves.at if context.watch else context.sources.clock()
        drawing = (context.view, end, context.dark, context.zone, targets)
        if drawing == self._drawn:
            return
        self._drawn = drawing
        queries = expressions(context.sources.addresses.job, watch.facts.scrape, context.view.route)
        span = (end - context.view.span, end)
        faults = sorted(curves.faults.items(), key=lambda each: each[1][0])
        self._legend.set_content(legend(faults, span, context.zone))
        spans = shades(faults, end)
        for card in self._charts:
            limits = thresholds(card.chart.title, context.view.route, targets)
            card.link(queries[card.chart.lines[0].key], context.view.span)
            card.draw(curves.lines, span, spans, limits, dark=context.dark, zone=context.zone)


class _ChartCard:
    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        with ui.element("section").classes("card").props(f'aria-label="{chart.title}"'):
            with ui.element("div").classes("flow").style("flex-wrap:nowrap;align-items:baseline;gap:4px"):
                with Heading(3, chart.title).classes("small strong"):
                    ui.tooltip(chart.about)
                self._query = ui.link("", PAGES["Query"]).classes("small live")
                self._query.props(f'aria-label="Query of {chart.title}"')
                with self._query:
                    ui.icon("query_stats").tooltip("Open its query")
                ui.element("div").classes("grow")
                if len(chart.lines) > 1:
                    ui.label(chart.lines[0].name).classes("small dim live")
                self._now = ui.label("-").classes("big num live").mark(f"now-{chart.title}")
                ui.label("unknown").classes("big dim lost")
            self._echart = ui.echart(_options(chart)).classes("chart")

    def show_value(self, now: Mapping[str, float] | None, limits: Mapping[str, float]) -> None:
        """Show the present value, whatever the span of the curves."""
        value = (now or {}).get(self.chart.lines[0].key)
        tone = "dim" if value is None else _tone(self.chart.title, value, limits)
        set_text(self._now, headline(self.chart, now), tone)

    def link(self, expr: str, span: int) -> None:
        """Link the query of the first curve, to be changed and graphed on its own page."""
        name = next(name for name, seconds in SPANS.items() if seconds == span)
        address = f"{PAGES['Query']}?{urlencode({'expr': expr, 'span': name})}"
        if self._query.props["href"] != address:
            self._query.props["href"] = address
            self._query.update()

    def draw(
        self,
        curves: Mapping[str, Any],
        span: tuple[float, float],
        spans: list[list[dict[str, Any]]],
        limits: Mapping[str, float],
        *,
        dark: bool,
        zone: Zone,
    ) -> None:
        options = self._echart.options
        options["xAxis"] |= {"min": round(span[0] * 1000), "max": round(span[1] * 1000)}
        options["xAxis"]["axisLabel"][":formatter"] = clock_script(zone, seconds=False)
        options["xAxis"]["axisPointer"] = {"label": {":formatter": f"(p) => ({clock_script(zone)})(p.value)"}}
        options["color"] = list(LINES[dark])
        options["textStyle"] = {"color": INK[dark]}
        for axis in ("xAxis", "yAxis"):
            options[axis]["axisLabel"]["color"] = INK[dark]
            options[axis]["splitLine"]["lineStyle"]["color"] = GRID[dark]
        options["legend"]["textStyle"] = {"color": INK[dark], "fontSize": 10}
        for line, series in zip(self.chart.lines, options["series"], strict=True):
            series["data"] = curves.get(line.key, [])
        first = options["series"][0]
        first["markArea"] = {"silent": True, "data": spans}
        first["markLine"] |= {
            "lineStyle": {"color": LIMIT[dark], "type": "dashed", "width": 1},
            "label": {
                "color": LIMIT[dark],
                "fontSize": 10,
                "position": _LABELS.get(self.chart.title, "insideStartTop"),
                "formatter": "{b}",
            },
            "data": [{"name": name, "yAxis": value} for name, value in limits.items()],
        }
        self._echart.update()


def shades(faults: Iterable[tuple[str, list[Span]]], end: float) -> list[list[dict[str, Any]]]:
    """Return the spans of faults, until `end`, as data of an ECharts markArea: each fault has a colour."""
    return [
        [
            {"xAxis": round(start * 1000), "itemStyle": {"color": _shade(number), "opacity": SHADE_OPACITY}},
            {"xAxis": round(min(over, end) * 1000)},
        ]
        for number, (_, found) in enumerate(faults)
        for start, over in found
    ]


def legend(faults: Sequence[tuple[str, list[Span]]], shown: Span, zone: Zone) -> str:
    """Return the HTML that names the shaded areas, with their times, and the dashed line."""
    named = []
    for number, (name, found) in enumerate(faults[-_MAX_NAMED:], max(0, len(faults) - _MAX_NAMED)):
        start, over = (found[0][0], found[-1][1])
        since = "before" if start <= shown[0] else zone.bare_clock(start)
        until = "now" if over >= shown[1] - _STILL_S else zone.bare_clock(over)
        swatch = f'<i style="background:{_shade(number)}"></i>'
        named.append(f"<span>{swatch}fault {html.escape(name)}, {since} to {until}</span>")
    if len(faults) > _MAX_NAMED:
        named.append(f"<span>and {len(faults) - _MAX_NAMED} earlier faults</span>")
    shaded = "".join(named) or "<span>No fault in this time.</span>"
    return f'{shaded}<span><i class="dashed"></i>threshold of an SLO</span>'


def clock_script(zone: Zone, *, seconds: bool = True) -> str:
    """Return a JavaScript function from Unix milliseconds to a time of day in the zone."""
    options = "hour: '2-digit', minute: '2-digit'" + (", second: '2-digit'" if seconds else "")
    return (
        f"(v) => new Intl.DateTimeFormat('en-GB', {{timeZone: {json.dumps(zone.name)}, hourCycle: 'h23', {options}}})"
        ".format(v)"
    )


def _shade(number: int) -> str:
    return SHADES[number % len(SHADES)]


def thresholds(chart: str, route: str, targets: Iterable[SloTarget]) -> dict[str, float]:
    """Return the thresholds of a chart by their label."""
    limits = {(each.sloth_id, each.objective): each.limit(chart, route) for each in targets}
    return {
        f"{objective * 100:g} % under {value * 1000:g} ms" if chart == "Latency" else f"{value * 100:g} %": value
        for (_, objective), value in limits.items()
        if value is not None
    }


def _tone(title: str, value: float, limits: Mapping[str, float]) -> str:
    if not limits:
        return "plain"
    worst = min(limits.values()) if title != "Success" else max(limits.values())
    return "bad" if (value < worst if title == "Success" else value > worst) else "ok"


def _options(chart: Chart) -> dict[str, Any]:
    quiet: dict[str, Any] = {"axisLabel": {"fontSize": 10}, "splitLine": {"lineStyle": {}}, "axisLine": {"show": False}}
    bounds = _BOUNDS.get(chart.title, {"min": 0})
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 44, "right": 8, "top": 20 if len(chart.lines) > 1 else 8, "bottom": 20},
        "legend": {"show": len(chart.lines) > 1, "top": 0, "left": 0, "itemWidth": 14, "itemHeight": 4, "itemGap": 6},
        "tooltip": {"trigger": "axis", "confine": True, ":valueFormatter": _AXES[chart.unit]},
        "xAxis": {
            "type": "time",
            **quiet,
            "axisLabel": {"fontSize": 10, "hideOverlap": True},
            "splitLine": {"show": False, "lineStyle": {}},
            "splitNumber": 3,
        },
        "yAxis": {
            "type": "value",
            **quiet,
            "axisLabel": {"fontSize": 10, ":formatter": _AXES[chart.unit]},
            "splitLine": {"lineStyle": {}},
            "splitNumber": 2,
            **bounds,
        },
        "series": [
            {
                "type": "line",
                "name": line.name,
                "showSymbol": False,
                "lineStyle": {"width": 1.6, "type": dash},
                "data": [],
                "markArea": {"data": []},
                "markLine": {"symbol": "none", "silent": True, "data": []},
            }
            for line, dash in zip(chart.lines, _DASHES, strict=False)
        ],
    }
