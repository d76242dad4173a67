"""Render forecasts for a terminal of eighty columns."""

from itertools import groupby

from rich.console import Group
from rich.table import Table
from rich.text import Text

from chaosapi import durations
from chaosapi.cli.render_faults import empty_table
from chaosapi.faults.fault import Fault
from chaosapi.forecast.inverse import RateThatPages, RateThatSpends
from chaosapi.forecast.result import Assumptions, Forecast, ForecastAlert, ForecastBudget
from chaosapi.terminal import styled

_NONE = "-"
_ROUTES = 6
"""The most routes of a mix that are shown; JSON has all of them."""
_EPISODES = 5
"""Rows per alert; under a long pulse an alert fires and resolves many times."""

_FORMULA = "detection + reset: by the formulas of the SRE Workbook, without scrapes\n"
_LEGEND = "expected range: of the first firing, in at least nine of ten runs\n"


def forecast(found: Forecast) -> Group:
    """Return the alerts that fire, the alerts that stay silent, the budgets, and the caveats."""
    firing = [alert for alert in found.alerts if alert.fires]
    silent = [alert for alert in found.alerts if not alert.fires]
    parts: list[Table | Text] = [assumptions(found.assumptions)]
    parts += [] if firing else [Text("No alert will fire.", "bold")]
    parts += [_firing(slo, list(alerts)) for slo, alerts in groupby(firing, key=lambda alert: alert.slo)]
    if firing:
        parts.append(styled(_LEGEND if all(map(_waits, firing)) else _FORMULA + _LEGEND, "dim"))
    if silent:
        parts.append(_silent(silent))
    parts.append(_budgets(found.budgets))
    parts += [styled(f"not modelled: {reason}", "yellow") for reason in found.not_modelled]
    return Group(*parts)


def assumptions(found: Assumptions) -> Text:
    """Return what a forecast takes for granted, which stands above its tables."""
    busiest = sorted(found.mix.items(), key=lambda each: -each[1])
    mix = ", ".join(f"{route} {share:.3g}" for route, share in busiest[:_ROUTES])
    more = f" and {len(busiest) - _ROUTES} more routes" if len(busiest) > _ROUTES else ""
    profile = f"{found.profile}: " if found.profile else ""
    lines = [
        f"assumed: {found.requests_per_second:.4g} requests/s ({found.traffic})",
        f"  mix: {mix}{more}",
        f"  windows: {profile}{', '.join(found.windows)}; budgets of {_time(found.period)}",
        f"  scraped every {_time(found.scrape)}, evaluated every {_time(found.evaluation)}",
        f"  past: {found.past}",
        *(f"  {other}" for other in found.others),
    ]
    return styled("\n".join(lines), "dim")


def page(answer: RateThatPages) -> Text:
    alert = answer.alert
    return _below(
        answer.assumptions,
        f"A rate of {answer.rate:g} ({answer.rate:.4%}) is the smallest that does: {_name(alert)} of {alert.slo} "
        f"is notified after {_time(alert.moments[0].notified)}.",
    )


def spend(answer: RateThatSpends, fault: Fault) -> Text:
    lasting = durations.format(fault.schedule.duration)
    at = f"{fault.rate:g}"
    rate = f"at a rate of {answer.rate:g}" if answer.rate else "not even at a rate of 1"
    length = f"in {durations.format(round(answer.duration, 1))}" if answer.duration else "not within a whole period"
    return _below(
        answer.assumptions,
        f"{answer.spent:.4g} of the error budget of {answer.slo} is spent\n"
        f"  by a fault of {lasting}: {rate}\n  by a fault at a rate of {at}: {length}",
    )


def _below(known: Assumptions, answer: str) -> Text:
    return assumptions(known).append(f"\n{answer}", "not dim")


def _firing(slo: str, alerts: list[ForecastAlert]) -> Table:
    # Eighty columns have room for one of two: with a `for`, the pending time; else the formula's times.
    waits = any(map(_waits, alerts))
    second = "pending" if waits else "detection\n+ reset"
    columns = ("alert", second, "firing", "expected\nrange", "notified", "resolved", "spent")
    table = empty_table(f"{slo}: will fire", "bold red", *columns)
    table.pad_edge = False
    table.show_edge = False
    for alert in alerts:
        chance = f"{_time(alert.chance.earliest)}…{_time(alert.chance.latest)}"
        formula = f"{_time(alert.formula.detection)}+{_time(alert.formula.reset)}" if alert.formula else _NONE
        for number, moments in enumerate(alert.moments[:_EPISODES]):
            first = number == 0
            table.add_row(
                _name(alert) if first else " again",
                _time(moments.pending) if waits else formula if first else "",
                "already" if first and alert.already else _time(moments.firing),
                chance if first else "",
                _time(moments.notified),
                _time(moments.resolved),
                _NONE if moments.spent is None else _percent(moments.spent),
            )
        if (more := len(alert.moments) - _EPISODES) > 0:
            table.add_row(f" and {more} times more")
        if alert.firings and alert.firings.high > len(alert.moments):
            table.add_row(" flaps", "", "", f"{alert.firings.low}…{alert.firings.high} times")
    return table


def _waits(alert: ForecastAlert) -> bool:
    return any(each.pending != each.firing for each in alert.moments)


def _silent(alerts: list[ForecastAlert]) -> Table:
    table = empty_table("stays silent", "bold", "alert", "peak burn rate", "of", "may fire")
    for alert in alerts:
        lucky = f"from {_time(alert.chance.earliest)}" if alert.chance.earliest is not None else _NONE
        row = f"{alert.slo} {_name(alert)}"
        table.add_row(row, f"{round(alert.peak, 6):.3g}", f"{alert.burn_rate:g} ({alert.reach:.0%})", lucky)
    return table


def _budgets(budgets: list[ForecastBudget]) -> Table:
    table = empty_table("error budgets, if they were full before", "bold", "slo", "requests", "bad", "spent", "left")
    for budget in budgets:
        style = "red" if budget.left < 0 else ""
        counts = (f"{budget.requests:,.0f}", f"{budget.bad:,.0f}")
        table.add_row(budget.slo, *counts, f"{budget.spent:.2%}", Text(f"{budget.left:.2%}", style))
    return table


def _name(alert: ForecastAlert) -> str:
    return f"{alert.severity} {alert.long_window}/{alert.short_window}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"


def _time(seconds: float | None) -> str:
    """Format a time with tenths of a second only below 10 s, and seconds only below an hour."""
    if seconds is None:
        return _NONE
    step = 0.1 if seconds < 10 else 1 if seconds < 3600 else 60
    return durations.format(round(step * round(seconds / step), 1))
