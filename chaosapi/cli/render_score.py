"""Render scorecards for a terminal of eighty columns."""

from itertools import groupby

from rich.console import Group
from rich.table import Table
from rich.text import Text

from chaosapi.cli.render_faults import empty_table
from chaosapi.forecast.scorecard import ForecastAndFact, Score, ScoredAlert
from chaosapi.terminal import styled

_WORDS = {
    "as forecast": ("yes", "green"),
    "by chance": ("by chance", "yellow"),
    "to come": ("to come", "dim"),
    "already firing": ("before", "yellow"),
}

_LEGEND = """\
expected range: of firing, by chance (two standard deviations)
holds: yes, at most a scrape, an evaluation and group_wait off; by chance,
further off, but within the expected range
"""


def score(found: Score) -> Group:
    """Return the alerts, how each detection time splits up, and the four attributes of the alerting strategy."""
    parts: list[Table | Text] = (
        [_alerts(found.alerts)] if found.alerts else [Text("No alert was forecast, and none fired.")]
    )
    if found.alerts:
        parts.append(styled(_LEGEND, "dim"))
    if any(each.split for each in found.alerts):
        parts.append(_splits(found.alerts))
    table = Table.grid(padding=(0, 2))
    table.add_row("precision", _share(found.precision), "of the alerts that fired were forecast")
    table.add_row("recall", _share(found.recall), "of the forecast alerts fired")
    table.add_row("detection", _both(found.detection), "until the first page was notified")
    table.add_row("reset", _both(found.reset), "from the fault's end until no page fired")
    return Group(*parts, table, *(styled(f"missing: {reason}", "yellow") for reason in found.missing))


def _alerts(alerts: list[ScoredAlert]) -> Table:
    title = "forecast → fact, in seconds since the fault's start"
    table = empty_table(title, "bold", "alert", "fires", "expected\nrange", "notified", "resolved", "holds")
    for slo, own in groupby(alerts, key=lambda each: each.slo):
        table.add_row(Text(slo, "bold", overflow="ignore"))
        for each in own:
            fires, notified, resolved = (
                f"{_seconds(getattr(each.forecast, of, None))} → {_seconds(getattr(each.fact, of, None))}"
                for of in ("firing", "notified", "resolved")
            )
            word, style = _WORDS.get(each.verdict, (each.verdict, "bold red"))
            chance = "…".join(_seconds(end) for end in (each.earliest, each.latest))
            table.add_row(_name(each), fires, chance, notified, resolved, Text(word, style))
    return table


def _splits(alerts: list[ScoredAlert]) -> Table:
    table = empty_table("where the time went, s", "bold", "alert", "window", "scrape", "evaluation", "for", "wait")
    for each in alerts:
        if split := each.split:
            waits = (split.window, split.scrape, split.evaluation, split.pending, split.group_wait)
            table.add_row(f"{each.slo} {each.severity} {each.long_window}", *map(_seconds, waits))
    return table


def _name(each: ScoredAlert) -> str:
    return f"{each.severity} {each.long_window}/{each.short_window}"


def _both(times: ForecastAndFact) -> str:
    return f"{_seconds(times.fact)} s, forecast {_seconds(times.forecast)} s"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
