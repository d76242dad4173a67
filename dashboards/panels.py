"""The looks that all panels share; `runbook` names the alert on what a panel shows: its runbook is linked."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import runbooks
from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, text, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
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
GREEN = "green"
ORANGE = "orange"
RED = "red"
CLEAR = "transparent"


def number(
    title: str, about: str, unit: str, expr: str, empty: str = NO_TRAFFIC, *, runbook: str | None = None
) -> stat.Panel:
    """Return one big number with its recent course; `about` is what a reader learns from the panel's (i)."""
    panel = _stat(title, about, (expr, ""), empty).unit(unit).graph_mode(kinds.BigValueGraphMode.AREA)
    return _linked(panel, runbook)


def label(title: str, about: str, query: Query, empty: str) -> stat.Panel:
    """Return what a series is called by its labels, in big letters."""
    return _stat(title, about, query, empty).unit("none").text_mode(kinds.BigValueTextMode.NAME)


def course(
    title: str, about: str, unit: str, *queries: Query, empty: str = NO_TRAFFIC, runbook: str | None = None
) -> timeseries.Panel:
    """Return a course over time, one line for each value of the labels that the legends name."""
    panel = _targets(
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(empty)
        .axis_soft_min(0)
        .line_width(1)
        .fill_opacity(10)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(kinds.LegendDisplayMode.TABLE)
            .placement(kinds.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "mean", "max"])
            .sort_by("Max")
            .sort_desc(True)
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
    query: Query,
    empty: str,
    *,
    runbook: str | None = None,
) -> statetimeline.Panel:
    """Return a band over time for each series, coloured by its state; `values` are (text, colour) of each value."""
    results = {str(value): ValueMappingResult(text=word, color=color) for value, (word, color) in values.items()}
    panel = _targets(
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit("short")
        .no_value(empty)
        .mappings([ValueMap(results)])
        .show_value(kinds.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False))
        .height(8)
        .span(12),
        [query],
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


def by_route(panel: timeseries.Panel, uid: str, *more: str) -> timeseries.Panel:
    """Let a click on a route's line show the dashboard `uid` for that route alone; `more` are variables to keep."""
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", *more))
    variables = f"{kept}&var-handler=${{__field.labels.handler:percentencode}}"
    return panel.data_links([link("Only this route", f"/d/{uid}?${{__url_time_range}}&{variables}")])


def link(title: str, url: str) -> DashboardLink:
    """Return a link to a path of Grafana's own."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url)


def across(width: int, panels: Iterable[Panel]) -> list[Panel]:
    """Make the panels `width` of Grafana's 24 columns wide."""
    return [panel.span(width) for panel in panels]


def _stat(title: str, about: str, query: Query, empty: str) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .with_target(_query(0, *query))
        .no_value(empty)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(kinds.BigValueColorMode.VALUE)
        .thresholds(steps((None, GREEN)))
        .height(4)
        .span(4)
    )


def _linked(panel: Kind, runbook: str | None) -> Kind:
    return panel.links([link("Runbook", runbooks.url(runbook))]) if runbook else panel


def _targets(panel: Kind, queries: Iterable[Query]) -> Kind:
    for place, (expr, legend) in enumerate(queries):
        panel.with_target(_query(place, expr, legend))
    return panel


def _query(place: int, expr: str, legend: str) -> prometheus.Dataquery:
    ref = chr(ord("A") + place)
    return prometheus.Dataquery().expr(expr).legend_format(legend).datasource(PROMETHEUS).range().ref_id(ref)
