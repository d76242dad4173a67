"""A scorecard in a terminal."""

import io

from chaosapi.cli import render_score
from chaosapi.forecast.scorecard import Difference, ForecastAndFact, Score, ScoredAlert, ScoredTimes
from chaosapi.terminal import Terminal

FORECAST = ScoredTimes(firing=123, notified=123, resolved=234, resolved_notified=234)
FACT = ScoredTimes(firing=124, notified=124, resolved=235, resolved_notified=235)
PAGE = ScoredAlert(
    alert="ErrorBudgetBurn",
    slo="checkout-availability",
    severity="page",
    long_window="6h",
    short_window="30m",
    verdict="by chance",
    forecast=FORECAST,
    earliest=120,
    latest=130,
    fact=FACT,
    off=Difference(firing=6, notified=6, resolved=5),
    split=None,
)


def test_a_scorecard_explains_its_columns_in_eighty_columns() -> None:
    """The heads are plain words, and a legend says what "by chance" means."""
    both = ForecastAndFact(forecast=123, fact=124)
    found = Score(fault="f", precision=1, recall=1, detection=both, reset=both, alerts=[PAGE], missing=[])
    shown = io.StringIO()
    Terminal(file=shown, width=80).print(render_score.score(found))
    text = shown.getvalue()
    assert "notified" in text
    assert "120…130" in text
    assert "expected range: of firing, by chance" in text
    assert "checkout-availability" in text
    assert "by chance" in next(line for line in text.splitlines() if "page 6h/30m" in line)
    assert max(map(len, text.splitlines())) <= 80
