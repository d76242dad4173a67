"""The forecast as one HTML page: burn rates and thresholds, the remaining budget, and bars for the alerts."""

from pathlib import Path

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]  # Plotly ships no types
from plotly.subplots import make_subplots  # type: ignore[import-untyped]  # the same

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.result import Forecast, ForecastAlert
from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Objective
from chaosapi.slo.windows import format_window

_POINTS_PER_LINE = 1500
"""More points than a screen has columns."""
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""One colour for each pair, quickest first, distinguishable for colour-blind readers (Okabe and Ito)."""


def write(model: ForecastModel, forecast: Forecast, path: Path) -> None:
    """Write the page, with Plotly's script (5 MB), so that no network is needed to read it."""
    figure(model, forecast).write_html(path, include_plotlyjs=True, full_html=True)


def figure(model: ForecastModel, forecast: Forecast) -> go.Figure:
    """Return a figure with three rows for every SLO that the faults affect: burn rates, alerts, budget."""
    affected = [slo for slo in model.spec.slos if model.worst_error_ratio(slo) > 0] or list(model.spec.slos[:1])
    titles = [
        title
        for slo in affected
        for title in (f"{slo.name} {slo.objective.normalize():f} %: burn rate", "alerts firing", "budget left")
    ]
    drawn = make_subplots(
        rows=3 * len(affected),
        shared_xaxes=True,
        vertical_spacing=0.24 / (3 * len(affected)),
        row_heights=[0.55, 0.25, 0.2] * len(affected),
        subplot_titles=titles,
    )
    scale, unit = _unit(model.horizon)
    for number, slo in enumerate(affected):
        first = 3 * number + 1
        _burns(drawn, model, slo, first, scale)
        _alerts(drawn, [alert for alert in forecast.alerts if alert.slo == slo.name], model.horizon, first + 1, scale)
        _budget(drawn, model, slo, first + 2, scale)
    drawn.update_xaxes(title_text=f"{unit} since the faults were created", row=3 * len(affected))
    drawn.update_xaxes(range=[0, model.horizon / scale], showticklabels=True)
    drawn.update_layout(
        title="Forecast of error budget burn",
        template="plotly_white",
        barmode="overlay",
        bargap=0.25,
        height=620 * len(affected) + 120,
        hovermode="x",
    )
    return drawn


def _burns(drawn: go.Figure, model: ForecastModel, slo: Objective, row: int, scale: float) -> None:
    burns = model.burns(slo)
    times = model.evaluations / 1000
    pairs = [pair for pair in model.profile.pairs if not burn_alerts.is_disabled(slo, pair)]
    for colour, pair in zip(_COLOURS, pairs, strict=False):
        for window, dash in ((pair.long, "solid"), (pair.short, "dot")):
            seconds, rates = _downsample(times, burns[window].rate)
            drawn.add_scatter(
                x=seconds / scale,
                y=rates,
                name=f"{format_window(window)} ({pair})",
                legendgroup=f"{row}",
                legendgrouptitle_text=slo.name,
                line={"color": colour, "dash": dash, "width": 1.5},
                row=row,
                col=1,
            )
        drawn.add_hline(
            y=pair.factor,
            line={"color": colour, "width": 1, "dash": "dash"},
            row=row,
            col=1,
        )
        # On a logarithmic axis Plotly expects logarithms of annotations and ranges, but not of data.
        drawn.add_annotation(
            text=f"{pair} above {pair.factor:g}",
            x=model.horizon / scale,
            y=np.log10(pair.factor),
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font={"size": 10, "color": colour},
            row=row,
            col=1,
        )
    top = max([2 * max(pair.factor for pair in pairs), 2 * model.worst_error_ratio(slo) / slo.budget], default=1.0)
    drawn.update_yaxes(type="log", range=[-1, np.log10(top)], row=row, col=1)


def _alerts(drawn: go.Figure, alerts: list[ForecastAlert], horizon: float, row: int, scale: float) -> None:
    for colour, alert in zip(_COLOURS, alerts, strict=False):
        name = f"{alert.severity} {alert.long_window}/{alert.short_window}"
        spans = [
            (each.firing, horizon if each.resolved is None else each.resolved)
            for each in alert.moments
            if each.firing is not None
        ]
        drawn.add_bar(
            y=[name] * max(1, len(spans)),
            base=[start / scale for start, _ in spans] or [0],
            x=[(end - start) / scale for start, end in spans] or [0],
            orientation="h",
            marker_color=colour,
            showlegend=False,
            name=name,
            row=row,
            col=1,
        )
    drawn.update_yaxes(autorange="reversed", row=row, col=1)


def _budget(drawn: go.Figure, model: ForecastModel, slo: Objective, row: int, scale: float) -> None:
    seconds, left = _downsample(model.edges[model.edges >= 0], 1 - model.budget_spent(slo)[model.edges >= 0])
    drawn.add_scatter(
        x=seconds / scale, y=left, line={"color": "#444"}, name="budget left", showlegend=False, row=row, col=1
    )
    drawn.update_yaxes(tickformat=".0%", row=row, col=1)


def _downsample(times: Array, values: Array) -> tuple[Array, Array]:
    """Return fewer points, each the maximum of its stretch, so that short peaks above a threshold stay visible."""
    starts = np.arange(0, times.size, max(1, times.size // _POINTS_PER_LINE))
    return times[starts], np.fmax.reduceat(values, starts) if starts.size else values


def _unit(horizon: float) -> tuple[float, str]:
    """Return the seconds of a unit of time, and the unit's name."""
    return next(
        (scale, name)
        for scale, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
        if horizon >= 3 * scale or scale == 1
    )
