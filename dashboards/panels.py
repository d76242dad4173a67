"""The looks that all panels share."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_TRAFFIC = "No traffic"
GREEN, ORANGE, RED = "green", "orange", "red"


def number(title: str, text: str, expr: str, unit: str) -> stat.Panel:
    """Return one big number with its recent course; `text` is what a reader learns from the panel's (i)."""
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(PROMETHEUS)
        .with_target(_query(expr, ""))
        .unit(unit)
        .no_value(NO_TRAFFIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .color_mode(kinds.BigValueColorMode.VALUE)
        .thresholds(steps((None, GREEN)))
        .height(4)
        .span(4)
    )


def course(title: str, text: str, expr: str, unit: str, legend: str) -> timeseries.Panel:
    """Return a course over time, one line for each value of the labels that `legend` names."""
    return (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(PROMETHEUS)
        .with_target(_query(expr, legend))
        .unit(unit)
        .no_value(NO_TRAFFIC)
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
        .span(12)
    )


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


def thirds(panels: Iterable[timeseries.Panel]) -> list[timeseries.Panel]:
    """Make three panels fit beside each other."""
    return [panel.span(8) for panel in panels]


def _query(expr: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).datasource(PROMETHEUS).range().ref_id("A")
