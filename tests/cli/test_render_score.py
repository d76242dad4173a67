"""A scorecard in a terminal."""

import io

import pytest

from chaosapi.cli import render_score
from chaosapi.forecast.scorecard import (
    DetectionSplit,
    Difference,
    ForecastAndFact,
    Score,
    ScoredAlert,
    ScoredTimes,
    Verdict,
)
from chaosapi.terminal import Terminal


def times(since: float) -> ScoredTimes:
    return ScoredTimes(firing=since, notified=since + 1, resolved=since + 100, resolved_notified=since + 101)


def page(verdict: Verdict = "by chance", since: float = 123, off: float = 6) -> ScoredAlert:
    """Return an alert that fired, and was forecast."""
    return ScoredAlert(
        alert="ErrorBudgetBurn",
        slo="checkout-availability",
        severity="ticket",
        long_window="1h12m",
        short_window="6m",
        verdict=verdict,
        forecast=times(since),
        earliest=since - 3,
        latest=since + 7,
        fact=times(since + off),
        off=Difference(firing=off, notified=off, resolved=off),
        split=DetectionSplit(window=since, chance=-off, scrape=1, evaluation=1, pending=0, group_wait=since),
    )


def seconds(since: float) -> str:
    return f"{since:.1f}" if since < 10 else f"{since:.0f}"


def shown(*alerts: ScoredAlert) -> str:
    """Return what a terminal of eighty columns shows."""
    both = ForecastAndFact(forecast=123, fact=124)
    found = Score(fault="f", precision=1, recall=1, detection=both, reset=both, alerts=list(alerts), missing=[])
    output = io.StringIO()
    Terminal(file=output, width=80).print(render_score.score(found))
    return output.getvalue()


@pytest.mark.parametrize("since", [5, 123, 4321, 43210])
def test_a_scorecard_fits_into_eighty_columns(since: float) -> None:
    """Whole, also where alerts take hours."""
    text = shown(page(since=since), page("missed", since))
    line = next(line for line in text.splitlines() if "ticket 1h12m/6m" in line)
    for start, end in ((since, since + 6), (since + 1, since + 7), (since + 100, since + 106)):
        assert f"{seconds(start)}→{seconds(end)}" in line
    assert f"…{seconds(since + 7)}" in line
    assert "in range" in line
    assert "missed" in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_column_is_explained() -> None:
    """By a legend below its table; chance has a column of its own."""
    text = " ".join(shown(page()).split())
    for word in ("fires, notified, resolves: forecast→measured", "expected range: when chance", "in range: further"):
        assert word in text
    for word in ("window: until", "chance: later", "for: the alert", "group_wait: until"):
        assert word in text


@pytest.mark.parametrize(
    ("verdict", "off", "word"),
    [
        ("as forecast", 1, "hit"),
        ("off", 9, "late"),
        ("off", -9, "early"),
        ("unexpected", 0, "unexpected"),
        ("not forecast", 0, "not forecast"),
    ],
)
def test_verdicts_are_plain_words(verdict: Verdict, off: float, word: str) -> None:
    """Their names in JSON stay."""
    assert word in next(line for line in shown(page(verdict, off=off)).splitlines() if "ticket 1h12m/6m" in line)
