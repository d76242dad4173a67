"""Render scorecards for a terminal of eighty columns."""

from itertools import groupby
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from chaosapi.cli.render_faults import empty_table
from chaosapi.forecast.scorecard import ForecastAndFact, Score, ScoredAlert
from chaosapi.terminal import styled

_WORDS: Final = {
    "as forecast": ("hit", "green"),
    "by chance": ("in range", "green"),
    "missed": ("missed", "bold red"),
    "unexpected": ("unexpected", "bold red"),
    "not forecast": ("not forecast", "yellow"),
    "to come": ("to come", "dim"),
    "already firing": ("fired before", "yellow"),
}

_LEGEND: Final = """\
fires, notified, resolves: forecast→measured, in seconds since the fault began
expected range: when chance lets the alert fire (two standard deviations)
hit: off by at most a scrape, an evaluation and group_wait; in range: further
off, but inside the expected range; late, early: outside it; missed: forecast,
did not fire; unexpected: fired, against the forecast; not forecast: fired while
a fault acted whose outcome cannot be forecast; fired before: since before the
fault; to come: not due yet
"""
_SPLIT_LEGEND: Final = """\
seconds from the fault's start to the notification: window: until both windows
burn too fast, by the formula; chance: later than that because fewer requests
were hit (below 0: earlier, because more were); scrape, evaluation: until the
next of each; for: the alert's own wait; group_wait: until Alertmanager notified
"""


def score(found: Score) -> Group:
    """Return the alerts, how each detection time splits up, and the four attributes of the alerting strategy."""
    parts: list[Table | Text] = []
    if found.alerts:
        parts += [_alerts(slo, list(own)) for slo, own in groupby(found.alerts, key=lambda each: each.slo)]
        parts.append(styled(_LEGEND, "dim"))
    else:
        parts.append(Text("No alert was forecast, and none fired."))
    if split := [each for each in found.alerts if each.split]:
        parts += [_splits(slo, list(own)) for slo, own in groupby(split, key=lambda each: each.slo)]
        parts.append(styled(_SPLIT_LEGEND, "dim"))
    table = Table.grid(padding=(0, 2))
    table.add_row("precision", _share(found.precision), "of the alerts that fired were forecast")
    table.add_row("recall", _share(found.recall), "of the forecast alerts fired")
    table.add_row("detection", _both(found.detection), "from the fault's start to the first page")
    table.add_row("reset", _both(found.reset), "from the fault's end until no page fired")
    return Group(*parts, table, *(styled(f"missing: {reason}", "yellow") for reason in found.missing))


def _alerts(slo: str, alerts: list[ScoredAlert]) -> Table:
    columns = ("alert", "fires", "expected\nrange", "notified", "resolves", "verdict")
    table = _compact(empty_table(slo, "bold", *columns))
    for each in alerts:
        fires, notified, resolves = (
            f"{_seconds(getattr(each.forecast, of, None))}→{_seconds(getattr(each.fact, of, None))}"
            for of in ("firing", "notified", "resolved")
        )
        word, style = _WORDS.get(each.verdict) or (_off(each), "bold red")
        expected = "…".join(_seconds(end) for end in (each.earliest, each.latest))
        table.add_row(_name(each), fires, expected, notified, resolves, Text(word, style))
    return table


def _off(each: ScoredAlert) -> str:
    """Return in which direction the time that is furthest off is off; an alert that still fires is late."""
    known = [time for time in (each.off.firing, each.off.notified, each.off.resolved) if time is not None]
    furthest = max(known, key=abs, default=0.0)
    return "early" if furthest < 0 else "late"


def _splits(slo: str, alerts: list[ScoredAlert]) -> Table:
    columns = ("alert", "window", "chance", "scrape", "evaluation", "for", "group_wait")
    table = _compact(empty_table(f"{slo}: where the time went", "bold", *columns))
    for each in alerts:
        if split := each.split:
            parts = (split.window, split.chance, split.scrape, split.evaluation, split.pending, split.group_wait)
            table.add_row(_name(each), *map(_seconds, parts))
    return table


def _compact(table: Table) -> Table:
    """Return the table with room for times of five digits."""
    table.pad_edge = False
    table.show_edge = False
    return table


def _name(each: ScoredAlert) -> str:
    return f"{each.severity} {each.long_window}/{each.short_window}"


def _both(times: ForecastAndFact) -> str:
    return f"{_seconds(times.forecast)}→{_seconds(times.fact)} s"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}" if abs(seconds) < 10 else f"{seconds:.0f}"
