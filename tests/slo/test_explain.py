import json

import pytest

from chaosapi import assets
from chaosapi.slo import explain, spec, windows

SHOP = spec.load(assets.path("alerts") / "slo.yaml")
FACTS = explain.explain(SHOP, SHOP.slos[0], windows.load("production"))


def test_page_quick_has_the_sre_workbooks_numbers() -> None:
    """99.9 %, 1h/5m: 2 % of the budget, 51.8 s of an outage, 8 m 38 s of 10 % errors, never at 1 %."""
    quick = FACTS.pairs[0]
    assert (quick.burn_rate, quick.fires_above) == (14.4, 0.0144)
    assert quick.budget_spent == pytest.approx(0.02)
    assert quick.detection == {1.0: pytest.approx(51.84), 0.1: pytest.approx(518.4), 0.01: None, 0.001: None}
    assert quick.reset[1.0] == pytest.approx(300 * (1 - 0.0144))
    assert quick.exhaustion == pytest.approx(180_000)
    assert quick.fewest_requests == pytest.approx(69.44, abs=0.01)


def test_the_explanation_is_in_sentences() -> None:
    """The budget, the notification of a total outage, what never fires, and how few requests are too few."""
    assert explain.sentences(FACTS) == [
        "99.9% over 30d: 0.1% of all events may go wrong, or everything for 43m12s.",
        "A total outage pages after 52s, with 2% of the budget spent. Up to 0.6% errors, nothing pages.",
        (
            "A total outage opens a ticket after 4m19s, with 10% of the budget spent. "
            "Up to 0.1% errors, nothing opens a ticket."
        ),
        "0.1% errors indefinitely fire no alert at all, and spend the budget in 30d.",
        "Below 69 requests in 1h, one failure is enough for 1h/5m.",
    ]


def test_disabled_alerts_are_not_explained() -> None:
    """The sentences of an SLO without alerts say that no page and no ticket will be sent."""
    text = (assets.path("alerts") / "slo.yaml").read_text()
    mute = text.replace("name: ErrorBudgetBurn", "page_alert: {disable: true}\n      ticket_alert: {disable: true}")
    quiet = spec.parse(mute, "slo.yaml")[0]
    facts = explain.explain(quiet, quiet.slos[0], windows.load("lab"))
    assert not facts.pairs
    assert explain.sentences(facts)[-1] == "All its alerts are disabled: no page and no ticket will be sent."


def test_a_pair_that_never_fires_is_not_named_as_the_page() -> None:
    """At 90 % page-quick needs more than 100 % errors, so page-slow pages; at 80 % neither does."""
    said = {}
    for objective in ("90", "80"):
        text = (
            (assets.path("alerts") / "slo.yaml").read_text().replace("objective: 99.9\n", f"objective: {objective}\n")
        )
        loose = spec.parse(text, "slo.yaml")[0]
        said[objective] = explain.sentences(explain.explain(loose, loose.slos[0], windows.load("production")))
    assert said["90"][1].startswith("A total outage pages after 3h36m, with")
    assert said["80"][1] == "A total outage never pages."


def test_json_has_durations_as_text_and_null_for_never() -> None:
    """The JSON has the data of the table."""
    data = json.loads(json.dumps(explain.as_json(FACTS), allow_nan=False))
    assert data["period"] == "30d"
    assert data["pairs"][0]["detection"] == {"1": "51s840ms", "0.1": "8m38s400ms", "0.01": None, "0.001": None}
