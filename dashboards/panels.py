"""The looks that all panels share; `runbook` names the alert on what a panel shows: its runbook is linked."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import runbooks
from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, text, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

Panel = stat.Panel | timeseries.Panel | statetimeline.Panel | text.Panel
Query = tuple[str, str]
"""PromQL, and the legend of its lines."""
Kind = TypeVar("Kind", stat.Panel, timeseries.Panel, statetimeline.Panel)

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_TRAFFIC = "No traffic"
ROUTES = "{{handler}}"
GREEN = "green"
ORANGE = "orange"
RED = "red"
PURPLE = "purple"
PLAIN = "text"
CLEAR = "transparent"
STATUS_COLORS = {"2..": GREEN, "3..": "blue", "4..": ORANGE, "5..": RED, "000": PURPLE}
"""The colour of each class of status, by regular expression: the same on every dashboard."""
ROUTE_COLORS = dict(
    zip(
        (
            "/api/products",
            "/api/products/{product_id}",
            "/api/search",
            "/api/cart/{cart_id}/items",
            "/api/checkout",
            "/api/orders/{order_id}",
        ),
        ("#5794F2", "#FADE2A", "#6ED0E0", "#B7A369", "#E0A0C8", "#9FA7B3"),
        strict=True,
    )
)
HIGHEST_FIRST = ("Max", True)
LOWEST_FIRST = ("Min", False)
BUSIEST_FIRST = ("Mean", True)
"""How a legend is sorted: by which number of the range shown, and whether the highest comes first.

Not by the last value, which may be old: a line that has ended keeps it.
"""
_LEGEND_WIDTH = 250  # pixels: with one width the times of panels above each other line up


def number(
    title: str,
    about: str,
    unit: str,
    expr: str,
    empty: str = NO_TRAFFIC,
    *,
    words: Mapping[int, tuple[str, str]] | None = None,
    runbook: str | None = None,
) -> stat.Panel:
    """Return one big number of now; `about` is what a reader learns from the panel's (i).

    Where the query has no value now, the panel says `empty`, however recent the last value is. `expr` must give one
    series without labels. `words` are (text, colour) of numbers that are shown as words.
    """
    panel = _stat(title, about, empty, words=words).with_target(_query(0, _or_nan(expr), "", now=True)).unit(unit)
    return _linked(panel, runbook)


def trend(
    title: str, about: str, unit: str, expr: str, *, never_zero: bool = False, runbook: str | None = None
) -> stat.Panel:
    """Return one big number of now as `number` does, with its recent course from zero up.

    A number that is `never_zero` is drawn as 0 where it has no value, and 0 is shown as no traffic: Grafana would draw
    a slope from the last value to the right edge.
    """
    panel = (
        _stat(title, about, NO_TRAFFIC, words={0: (NO_TRAFFIC, PLAIN)} if never_zero else None)
        .with_target(_query(0, f"{expr} or vector(0)" if never_zero else _or_nan(expr), ""))
        .unit(unit)
        .min(0)
        .graph_mode(kinds.BigValueGraphMode.AREA)
    )
    return _linked(panel, runbook)


def label(title: str, about: str, query: Query, empty: str) -> stat.Panel:
    """Return what the series of now are called by their labels, in big letters; without any, `empty`.

    `empty` takes the place of the first label of the legend, with the value 0.
    """
    expr, legend = query
    first = legend.removeprefix("{{").partition("}}")[0]
    absent = f'label_replace(vector(0), "{first}", "{empty}", "", "")'
    panel = _stat(title, about, empty).with_target(_query(0, f"{expr} or on () {absent}", legend, now=True))
    return panel.unit("none").text_mode(kinds.BigValueTextMode.NAME)


def course(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    empty: str = NO_TRAFFIC,
    order: tuple[str, bool] = HIGHEST_FIRST,
    runbook: str | None = None,
) -> timeseries.Panel:
    """Return a course over time, one line for each value of the labels that the legends name.

    `order` sorts the legend: by which of its numbers, and whether the highest comes first.
    """
    sort_by, descending = order
    panel = _targets(
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(empty)
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
        .axis_soft_min(0)
        .line_width(1)
        .fill_opacity(0)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(kinds.LegendDisplayMode.TABLE)
            .placement(kinds.LegendPlacement.RIGHT)
            .width(_LEGEND_WIDTH)
            .calcs([sort_by.lower()])
            .sort_by(sort_by)
            .sort_desc(descending)
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .height(8)
        .span(12),
        queries,
    )
    return _linked(panel, runbook)


def states(
    title: str,
    about: str,
    values: Mapping[int, tuple[str, str]],
    *queries: Query,
    empty: str,
    runbook: str | None = None,
) -> statetimeline.Panel:
    """Return a band over time for each series, coloured by its state; `values` are (text, colour) of each value."""
    panel = _targets(
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit("short")
        .no_value(empty)
        .mappings([_words(values)])
        .show_value(kinds.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False))
        .height(8)
        .span(12),
        queries,
    )
    return _linked(panel, runbook)


def objective(panel: timeseries.Panel, *limits: tuple[float | None, str]) -> timeseries.Panel:
    """Draw an objective into the panel as a dashed line; `limits` as for `steps`."""
    line = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(steps(*limits)).thresholds_style(line)


def steps(*limits: tuple[float | None, str]) -> ThresholdsConfig:
    """Return the thresholds (from, colour), lowest first; the first starts at None, minus infinity."""
    config = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    return config.steps([Threshold(value=value, color=color) for value, color in limits])


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the panel's lines, so that their sum shows."""
    return panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL)).fill_opacity(40)


def color(name: str) -> DynamicConfigValue:
    """Return the property of an override that fixes a colour."""
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": name})


def colored(panel: timeseries.Panel, colors: Mapping[str, str]) -> timeseries.Panel:
    """Give the lines of these names colours of their own."""
    for name, shade in colors.items():
        panel.override_by_name(name, [color(shade)])
    return panel


def by_status(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack lines that are named by statuses, each in the colour of its class."""
    for statuses, color in STATUS_COLORS.items():
        shade = {"mode": "shades", "fixedColor": color}
        panel.override_by_regexp(f"/^{statuses}$/", [DynamicConfigValue(id_val="color", value=shade)])
    return stacked(panel)


def by_route(panel: timeseries.Panel, uid: str, *more: str) -> timeseries.Panel:
    """Let a click on a route's line show the dashboard `uid` for that route alone; `more` are variables to keep.

    Each route of the shop has a colour of its own, none of which means good or bad.
    """
    colored(panel, ROUTE_COLORS)
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", *more))
    variables = f"{kept}&var-handler=${{__field.labels.handler:percentencode}}"
    return panel.data_links([link("Only this route", f"/d/{uid}?${{__url_time_range}}&{variables}")])


def link(title: str, url: str) -> DashboardLink:
    """Return a link to a path of Grafana's own."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url)


def across(width: int, panels: Iterable[Panel]) -> list[Panel]:
    """Make the panels `width` of Grafana's 24 columns wide."""
    return [panel.span(width) for panel in panels]


def _stat(title: str, about: str, empty: str, *, words: Mapping[int, tuple[str, str]] | None = None) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .no_value(empty)
        .mappings([_absent(empty), *([_words(words)] if words else [])])
        .reduce_options(common.ReduceDataOptions().calcs(["last"]))
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .thresholds(steps((None, PLAIN)))
        .height(4)
        .span(4)
    )


def _or_nan(expr: str) -> str:
    """Return a query that says of every moment that it has no value, where `expr` has none.

    Grafana's reducers know only the last value of a series: without this it would be shown for as long as it is within
    the dashboard's time range.
    """
    return f"{expr} or vector(NaN)"


def _absent(text: str) -> SpecialValueMap:
    shown = ValueMappingResult(text=text, color=PLAIN)
    return SpecialValueMap(DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=shown))


def _words(values: Mapping[int, tuple[str, str]]) -> ValueMap:
    return ValueMap({str(value): ValueMappingResult(text=word, color=color) for value, (word, color) in values.items()})


def _linked(panel: Kind, runbook: str | None) -> Kind:
    return panel.links([link("Runbook", runbooks.url(runbook))]) if runbook else panel


def _targets(panel: Kind, queries: Iterable[Query]) -> Kind:
    for place, (expr, legend) in enumerate(queries):
        panel.with_target(_query(place, expr, legend))
    return panel


def _query(place: int, expr: str, legend: str, *, now: bool = False) -> prometheus.Dataquery:
    ref = chr(ord("A") + place)
    query = prometheus.Dataquery().expr(expr).legend_format(legend).datasource(PROMETHEUS).ref_id(ref)
    return query.instant() if now else query.range()
