from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import replay
from chaosapi.forecast.observed import DeliveredNotification, Observed, RecordedEpisode
from chaosapi.forecast.past import Past
from chaosapi.forecast.score import score
from chaosapi.forecast.scorecard import Score
from tests.forecast.conftest import Ask

START = 1_800_000_000.0
QUICK = {
    "alertname": "ErrorBudgetBurn",
    "slo": "availability",
    "service": "shop",
    "severity": "page",
    "long_window": "1m",
    "short_window": "5s",
}
BODY: dict[str, Any] = {"name": "f", "effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "60s"}}


def record(start: float = START, ended: float | None = None, **fields: Any) -> Record:
    """Return the record of a fault."""
    spec = Fault.model_validate(BODY | fields)
    return Record(name=spec.name or "f", spec=spec, created_at=start, revision=1, ended_at=ended)


def delivered(
    firing: float, told: float, resolved: float | None = None, told_so: float | None = None
) -> DeliveredNotification:
    """Return the webhook's delivery of page-quick; seconds after the start."""
    moments = [
        None if each is None else datetime.fromtimestamp(START + each, UTC)
        for each in (firing, told, resolved, told_so)
    ]
    names = ("starts_at", "received_at", "ends_at", "resolved_received_at")
    return DeliveredNotification.model_validate({"labels": QUICK, **dict(zip(names, moments, strict=True))})


def recorded(firing: float, resolved: float | None, **labels: str) -> RecordedEpisode:
    """Return an episode of ALERTS; seconds after the start."""
    end = None if resolved is None else START + resolved
    return RecordedEpisode(labels=QUICK | labels, pending=START + firing, firing=START + firing, resolved=end)


@pytest.fixture
def scored(ask: Ask) -> Any:
    """Return a function that scores the fault by observations."""

    def score_(facts: Observed, *others: Record, one: Record | None = None, now: float = 600) -> Score:
        chosen = one or record()
        return score("f", replay.replay_fault(chosen, others, ask(BODY)), facts, START + now)

    return score_


def quick(found: Score) -> Any:
    """Return the result for page-quick."""
    return next(each for each in found.alerts if each.slo == "availability" and each.long_window == "1m")


def test_a_page_as_forecast(scored: Any) -> None:
    """Forecast from 5 s to 64 s; a second later is a hit too; the detection is split into parts of 0.1 s precision."""
    facts = Observed(
        delivered=[delivered(5.9, 6.0, 64.9, 65.0)],
        recorded=[recorded(5.9, 64.9)],
        scrapes=[START + 0.5 + second for second in range(120)],
    )
    page = quick(scored(facts))
    assert (page.forecast.firing, page.forecast.notified) == (5, 5)
    assert (page.fact.firing, page.fact.notified, page.fact.resolved, page.fact.resolved_notified) == (5.9, 6, 64.9, 65)
    assert page.verdict == "as forecast"
    assert page.off.firing == pytest.approx(0.9)
    split = page.split
    assert split.window == pytest.approx(4.4, abs=0.1)  # theory: 14.4 × 0.001 × 60 / 0.2 = 4.32
    assert (split.evaluation, split.pending, split.group_wait) == pytest.approx((0.4, 0, 0.1), abs=0.001)
    assert split.chance == 0
    assert split.window + split.scrape + split.evaluation == pytest.approx(5.9)


@pytest.mark.parametrize(("fired", "chance"), [(9.9, 3.5), (5.9, 0), (3.9, -1)])
def test_what_chance_adds_to_the_detection_time_is_a_part_of_its_own(scored: Any, fired: float, chance: float) -> None:
    """Scrape and evaluation together wait no longer than their intervals, however late or early the alert fired."""
    facts = Observed(recorded=[recorded(fired, 64.9)], scrapes=[START + 0.5 + second for second in range(120)])
    split = quick(scored(facts)).split
    assert split.chance == pytest.approx(chance, abs=0.1)
    assert split.scrape >= 0
    assert 0 < split.evaluation <= 1
    assert split.scrape + split.evaluation <= 2
    assert split.window + split.chance + split.scrape + split.evaluation == pytest.approx(fired)


def test_the_four_attributes(scored: Any) -> None:
    """One of two pages fired, and a false alarm: precision, recall, and the times of the page."""
    false = recorded(20, 25, slo="latency")
    found = scored(Observed(delivered=[delivered(6, 6.1)], recorded=[recorded(6, 64), false]))
    said = sum(each.forecast is not None for each in found.alerts)
    assert found.precision == 1 / 2
    assert found.recall == 1 / said
    assert found.detection.fact == pytest.approx(6.1)
    assert found.reset.fact == pytest.approx(4)
    assert {each.verdict for each in found.alerts if each.slo == "latency"} == {"unexpected"}
    assert {each.verdict for each in found.alerts if (each.slo, each.long_window) == ("availability", "6m")} == {
        "missed"
    }


def test_alerts_of_a_fault_that_has_no_forecast_are_not_unexpected(ask: Ask) -> None:
    """What a failing call leads to is up to the app: neither the alerts nor the precision accuse the forecast."""
    at_a_point = record(target={"points": ["payments"]})
    replayed = replay.replay_fault(at_a_point, [], ask(BODY))
    found = score("f", replayed, Observed(recorded=[recorded(6, 64)]), START + 600)
    assert quick(found).verdict == "not forecast"
    assert (found.precision, found.recall) == (None, None)
    assert found.missing[0] == "f: what a failing call to payments leads to is up to the app"


def test_an_alert_beside_a_fault_that_has_no_forecast_is_scored(ask: Ask) -> None:
    """The other fault's forecast is met."""
    at_a_point = record(name="p", target={"points": ["payments"]})
    replayed = replay.replay_fault(record(), [at_a_point], ask(BODY))
    found = score("f", replayed, Observed(recorded=[recorded(5.9, 64.9)]), START + 600)
    assert quick(found).verdict == "as forecast"


@pytest.mark.parametrize(
    ("firing", "rps", "verdict"), [(8.5, 5, "by chance"), (8.5, 100_000, "off"), (6.9, 100_000, "as forecast")]
)
def test_the_tolerance_of_a_forecast(ask: Ask, firing: float, rps: float, verdict: str) -> None:
    """Beyond a scrape and an evaluation only chance explains a difference, and with much traffic there is none."""
    model = ask(BODY, traffic={"rps": rps})
    facts = Observed(delivered=[], recorded=[recorded(firing, 64)])
    assert quick(score("f", replay.replay_fault(record(), [], model), facts, START + 600)).verdict == verdict


def test_an_alert_that_does_not_resolve_is_off(scored: Any) -> None:
    """Long after its forecast end; an alert that is not due yet is pending."""
    assert quick(scored(Observed(recorded=[recorded(5.5, None)]))).verdict == "off"
    assert quick(scored(Observed(recorded=[]), now=2)).verdict == "to come"
    assert quick(scored(Observed(recorded=[recorded(5.5, None)]), now=20)).verdict == "as forecast"


def test_deliveries_alone_give_the_notifications(scored: Any) -> None:
    """Without Prometheus the score has the times of the webhook, and lists what is missing."""
    found = scored(Observed(delivered=[delivered(5.9, 6.0, 64.9, 65.0)]))
    page = quick(found)
    assert (page.fact.firing, page.fact.notified, page.fact.resolved) == (5.9, 6, 64.9)
    assert page.split is None
    assert [reason.partition(":")[0] for reason in found.missing] == [
        "Prometheus was not queried",
        "the times of the scrapes are not known",
    ]


def test_alerts_that_are_not_due_do_not_count_for_recall(scored: Any) -> None:
    """Nothing is due at two seconds; at seven only page-quick is, and it fired."""
    assert scored(Observed(recorded=[]), now=2).recall is None
    due = scored(Observed(recorded=[recorded(5.5, None)]), now=8)
    assert {each.verdict for each in due.alerts if not each.fact} == {"to come"}
    assert due.recall == 1


def test_without_prometheus_a_ticket_is_due_at_its_notification(scored: Any) -> None:
    """Pages inhibit it until 89 s, although it fires at 22 s: only Prometheus's data shows it missing before."""

    def verdicts(now: float, **known: Any) -> set[str]:
        found = scored(Observed(delivered=[], **known), now=now)
        return {each.verdict for each in found.alerts if each.severity == "ticket"}

    assert verdicts(80, recorded=[]) == {"missed"}
    assert verdicts(80) == {"to come"}
    assert verdicts(120) == {"missed"}


def test_without_prometheus_an_alert_without_notification_is_not_missed(ask: Ask) -> None:
    """It ends before group_wait: it fires, and only Prometheus has it."""
    model = ask(BODY, group_wait=30)
    short = record(schedule={"duration": "10s"})
    blind, seeing = (
        score("f", replay.replay_fault(short, [], model), facts, START + 600)
        for facts in (Observed(delivered=[]), Observed(recorded=[]))
    )
    assert quick(seeing).verdict == "missed"
    assert (blind.alerts, blind.recall) == ([], None)


def test_an_alert_is_identified_by_the_specs_labels(ask: Ask) -> None:
    """A severity from the spec identifies the page; an alert of another service does not match."""
    model = ask(BODY)
    first = model.spec.slos[0]
    labels = {"severity": "critical", "team": "{{ $labels.job }}"}
    page = first.alerting.page_alert.model_copy(update={"labels": labels})
    renamed = first.model_copy(update={"alerting": first.alerting.model_copy(update={"page_alert": page})})
    model = replace(model, spec=model.spec.model_copy(update={"slos": [renamed, *model.spec.slos[1:]]}))

    def verdict(**labels: str) -> str:
        facts = Observed(recorded=[recorded(5.5, 64, **labels)])
        return str(quick(score("f", replay.replay_fault(record(), [], model), facts, START + 600)).verdict)

    assert verdict(severity="critical", team="shop") == "as forecast"
    assert verdict(severity="critical", service="other") == "missed"
    assert verdict() == "missed"


def test_a_fault_that_was_ended_early_is_scored_by_its_real_duration(scored: Any) -> None:
    """It was ended after the page, and resolves soon after."""
    page = quick(scored(Observed(), one=record(ended=START + 10)))
    assert page.forecast.resolved == 14


def test_windows_contain_earlier_faults(scored: Any) -> None:
    """The long windows still contain a fault two minutes ago, so page-slow needs only its short window."""
    before = record(START - 120, START - 60, name="before")
    found = scored(Observed(), before)
    alone, after = (
        next(each for each in one.alerts if (each.slo, each.long_window) == ("availability", "6m"))
        for one in (scored(Observed()), found)
    )
    assert alone.forecast.firing == 11
    assert after.forecast.firing <= 2


def test_alerts_of_the_next_fault_count_for_that_fault(scored: Any) -> None:
    """An alert that fires after another fault's start counts for the other fault."""
    after = record(START + 300, name="after")
    found = scored(Observed(recorded=[recorded(5.5, 64), recorded(305.5, 365)]), after)
    firing = [each.fact.firing for each in found.alerts if each.fact]
    assert firing == [5.5]
    second = scored(Observed(recorded=[recorded(5.5, 64), recorded(305.5, 365)]), record(), one=after)
    assert [each.fact.firing for each in second.alerts if each.fact] == [5.5]


def test_an_alert_that_fired_before_the_fault_has_no_verdict(scored: Any) -> None:
    """A firing alert cannot fire again."""
    found = scored(Observed(recorded=[recorded(-40, 64)]))
    assert quick(found).verdict == "already firing"
    assert quick(found).fact is None
    assert found.precision is None


def test_an_alert_that_flaps_was_foretold(ask: Ask) -> None:
    """At 20 requests/s, chance makes the page of checkouts fire several times: that is no mistake of the forecast."""
    model = ask(BODY, traffic={"rps": 20})
    labels = {"slo": "checkout-availability"}
    spans = [(20, 28), (31, 35), (40, 55), (58, 62)]
    facts = Observed(recorded=[recorded(firing, resolved, **labels) for firing, resolved in spans])
    found = score("f", replay.replay_fault(record(), [], model), facts, START + 600)
    verdicts = [
        each.verdict for each in found.alerts if each.slo == "checkout-availability" and each.long_window == "1m"
    ]
    assert verdicts == ["by chance"] * 4
    assert found.precision == 1
    too_often = [(20 + 3 * number, 21 + 3 * number) for number in range(20)]
    facts = Observed(recorded=[recorded(firing, resolved, **labels) for firing, resolved in too_often])
    found = score("f", replay.replay_fault(record(), [], model), facts, START + 600)
    assert "off" in {each.verdict for each in found.alerts if each.long_window == "1m"}
    assert found.precision is not None
    assert found.precision < 0.5


def test_after_a_recorded_past_earlier_faults_count_as_far_as_they_go_on(ask: Ask) -> None:
    """What they did before is recorded; the model's clock begins with the fault."""
    past = Past("a test", {}, 1000)
    over = record(START - 300, START - 200, name="over")
    going_on = record(START - 30, START + 10, name="on")
    found = replay.replay_fault(record(), [over, going_on], replace(ask(BODY), past=past))
    assert (found.origin, found.start, found.end) == (START, 0.0, 60.0)
    assert [(each.name, each.schedule.start_after, each.schedule.duration) for each in found.model.faults] == [
        ("on", 0.0, 10.0),
        ("f", 0.0, 60.0),
    ]
