"""The charts, with shaded faults and the thresholds of SLOs."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nicegui import ui

from chaosapi.console.panels.keyed_list import set_text
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.theme import GRID, INK, LIMIT, LINES, SHADE
from chaosapi.console.signals import CHARTS, Chart, Span, format_value
from chaosapi.console.slos import SloTarget

_AXES: Final = {
    "ratio": "(v) => +(v * 100).toFixed(2) + '%'",
    "seconds": "(v) => v < 1 ? +(v * 1000).toPrecision(3) + 'ms' : v + 's'",
    "rate": "(v) => v",
    "count": "(v) => v",
}
_LABELS: Final = {"Success": "insideStartBottom"}
"""The position of a threshold's label, where the default would be cut off."""
_BOUNDS: Final[dict[str, dict[str, Any]]] = {
    "Success": {":min": "(v) => Math.max(0, Math.min(0.99, Math.floor(v.min * 20) / 20))", "max": 1},
    "5xx": {"min": 0, ":max": "(v) => v.max > 0.01 ? Math.ceil(v.max * 20) / 20 : 0.01"},
    "In progress": {"min": 0, "minInterval": 1},
}
"""Bounds of axes that keep small changes small and flat lines flat; all other axes begin at 0."""
_DASHES: Final = ("solid", "dashed", "dotted")


class ChartsPanel:
    """All charts of the page."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._drawn: object = None
        with ui.element("div").classes("charts"):
            self._charts = [_ChartCard(chart) for chart in CHARTS]

    def update(self) -> None:
        context = self._context
        watch = self._context.sources.prometheus.answer
        curves = watch.curves.get(context.view) if watch else None
        if watch is None or curves is None:
            return
        end = curves.at
        spans = shades(curves.faults, end)
        drawing = (context.view, curves.at, context.dark, watch.facts.targets)
        if drawing == self._drawn:
            return
        self._drawn = drawing
        for chart in self._charts:
            limits = thresholds(chart.chart.title, context.view.route, watch.facts.targets)
            chart.draw(curves.lines, (end - context.view.span, end), spans, limits, dark=context.dark)


class _ChartCard:
    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        with ui.element("div").classes("card"):
            with ui.element("div").classes("flow").style("flex-wrap:nowrap;align-items:baseline"):
                ui.label(chart.title).classes("small strong").tooltip(chart.about)
                ui.element("div").classes("grow")
                self._now = ui.label("-").classes("big num").mark(f"now-{chart.title}")
            self._echart = ui.echart(_options(chart)).classes("chart")

    def draw(
        self,
        curves: Mapping[str, Any],
        span: tuple[float, float],
        spans: list[list[dict[str, Any]]],
        limits: Mapping[str, float],
        *,
        dark: bool,
    ) -> None:
        options = self._echart.options
        options["xAxis"] |= {"min": round(span[0] * 1000), "max": round(span[1] * 1000)}
        options["color"] = list(LINES[dark])
        options["textStyle"] = {"color": INK[dark]}
        for axis in ("xAxis", "yAxis"):
            options[axis]["axisLabel"]["color"] = INK[dark]
            options[axis]["splitLine"]["lineStyle"]["color"] = GRID[dark]
        options["legend"]["textStyle"] = {"color": INK[dark], "fontSize": 10}
        for line, series in zip(self.chart.lines, options["series"], strict=True):
            series["data"] = curves.get(line.key, [])
        first = options["series"][0]
        first["markArea"] = {"silent": True, "itemStyle": {"color": SHADE[dark]}, "data": spans}
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
        lead = curves.get(self.chart.lines[0].key, [])
        latest = lead[-1] if lead and lead[-1][0] >= (span[1] - 30) * 1000 else None
        value = latest[1] if latest else None
        set_text(self._now, format_value(value, self.chart.unit), _tone(self.chart.title, value, limits))


def shades(faults: Iterable[Span], end: float) -> list[list[dict[str, Any]]]:
    """Return the spans of faults, until `end`, as data of an ECharts markArea."""
    return [[{"xAxis": round(start * 1000)}, {"xAxis": round(min(over, end) * 1000)}] for start, over in faults]


def thresholds(chart: str, route: str, targets: Iterable[SloTarget]) -> dict[str, float]:
    """Return the thresholds of a chart by their label."""
    limits = {(each.sloth_id, each.objective): each.limit(chart, route) for each in targets}
    return {
        f"{objective * 100:g} % under {value * 1000:g} ms" if chart == "Latency" else f"{value * 100:g} %": value
        for (_, objective), value in limits.items()
        if value is not None
    }


def _tone(title: str, value: float | None, limits: Mapping[str, float]) -> str:
    if value is None or not limits:
        return "plain"
    worst = min(limits.values()) if title != "Success" else max(limits.values())
    return "bad" if (value < worst if title == "Success" else value > worst) else "ok"


def _options(chart: Chart) -> dict[str, Any]:
    quiet: dict[str, Any] = {"axisLabel": {"fontSize": 10}, "splitLine": {"lineStyle": {}}, "axisLine": {"show": False}}
    bounds = _BOUNDS.get(chart.title, {"min": 0})
    return {
        "animation": False,
        "grid": {"left": 44, "right": 8, "top": 20 if len(chart.lines) > 1 else 8, "bottom": 20},
        "legend": {"show": len(chart.lines) > 1, "top": 0, "left": 0, "itemWidth": 14, "itemHeight": 4, "itemGap": 6},
        "tooltip": {"trigger": "axis", "confine": True, ":valueFormatter": _AXES[chart.unit]},
        "xAxis": {
            "type": "time",
            **quiet,
            "axisLabel": {
                "fontSize": 10,
                "hideOverlap": True,
                ":formatter": "(v) => new Date(v).toTimeString().slice(0, 5)",
            },
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
