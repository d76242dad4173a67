from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import replay
from chaosapi.forecast.observed import DeliveredNotification, Observed, RecordedEpisode
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
    """Make the record of a fault."""
    spec = Fault.model_validate(BODY | fields)
    return Record(name=spec.name or "f", spec=spec, created_at=start, revision=1, ended_at=ended)


def delivered(
    firing: float, told: float, resolved: float | None = None, told_so: float | None = None
) -> DeliveredNotification:
    """Make what the webhook knows of the quick page; seconds after the start."""
    moments = [
        None if each is None else datetime.fromtimestamp(START + each, UTC)
        for each in (firing, told, resolved, told_so)
    ]
    names = ("starts_at", "received_at", "ends_at", "resolved_received_at")
    return DeliveredNotification.model_validate({"labels": QUICK, **dict(zip(names, moments, strict=True))})


def recorded(firing: float, resolved: float | None, **labels: str) -> RecordedEpisode:
    """Make an episode of ALERTS; seconds after the start."""
    end = None if resolved is None else START + resolved
    return RecordedEpisode(labels=QUICK | labels, pending=START + firing, firing=START + firing, resolved=end)


@pytest.fixture
def scored(ask: Ask) -> Any:
    """Return a function that scores the fault by some facts."""

    def score_(facts: Observed, *others: Record, one: Record | None = None, now: float = 600) -> Score:
        chosen = one or record()
        return score("f", replay.replay_fault(chosen, others, ask(BODY)), facts, START + now)

    return score_


def quick(found: Score) -> Any:
    """Pick the quick page."""
    return next(each for each in found.alerts if each.slo == "availability" and each.long_window == "1m")


def test_a_page_as_forecast(scored: Any) -> None:
    """Forecast at 5 s and until 64 s; a second later is as good, and the detection is split to the last tenth."""
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
    assert split.window + split.scrape + split.evaluation == pytest.approx(5.9)


def test_the_four_attributes(scored: Any) -> None:
    """One of the two pages came, beside a false alarm: precision and recall tell, and the page's times."""
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


@pytest.mark.parametrize(
    ("firing", "rps", "verdict"), [(8.5, 5, "by chance"), (8.5, 100_000, "off"), (6.9, 100_000, "as forecast")]
)
def test_how_far_off_is_too_far(ask: Ask, firing: float, rps: float, verdict: str) -> None:
    """Beyond a scrape and an evaluation only chance excuses, and with much traffic there is none."""
    model = ask(BODY, traffic={"rps": rps})
    facts = Observed(delivered=[], recorded=[recorded(firing, 64)])
    assert quick(score("f", replay.replay_fault(record(), [], model), facts, START + 600)).verdict == verdict


def test_an_alert_that_does_not_let_go_is_off(scored: Any) -> None:
    """Long after it was to be resolved; and what is not due yet is still to come."""
    assert quick(scored(Observed(recorded=[recorded(5.5, None)]))).verdict == "off"
    assert quick(scored(Observed(recorded=[]), now=2)).verdict == "to come"
    assert quick(scored(Observed(recorded=[recorded(5.5, None)]), now=20)).verdict == "as forecast"


def test_deliveries_alone_tell_what_was_told(scored: Any) -> None:
    """Without Prometheus the service knows when its webhook was told, and says what is missing."""
    found = scored(Observed(delivered=[delivered(5.9, 6.0, 64.9, 65.0)]))
    page = quick(found)
    assert (page.fact.firing, page.fact.notified, page.fact.resolved) == (5.9, 6, 64.9)
    assert page.split is None
    assert [reason.partition(":")[0] for reason in found.missing] == [
        "Prometheus was not queried",
        "the times of the scrapes are not known",
    ]


def test_what_is_to_come_counts_for_no_recall(scored: Any) -> None:
    """Nothing is due at two seconds; at seven only the quick page is, and it came."""
    assert scored(Observed(recorded=[]), now=2).recall is None
    due = scored(Observed(recorded=[recorded(5.5, None)]), now=8)
    assert {each.verdict for each in due.alerts if not each.fact} == {"to come"}
    assert due.recall == 1


def test_without_prometheus_a_ticket_is_due_when_it_is_told(scored: Any) -> None:
    """Pages silence it until 89 s, though it fires at 22 s: only who can see that misses it before."""

    def verdicts(now: float, **known: Any) -> set[str]:
        found = scored(Observed(delivered=[], **known), now=now)
        return {each.verdict for each in found.alerts if each.severity == "ticket"}

    assert verdicts(80, recorded=[]) == {"missed"}
    assert verdicts(80) == {"to come"}
    assert verdicts(120) == {"missed"}


def test_without_prometheus_nobody_misses_what_is_not_told(ask: Ask) -> None:
    """Over before group_wait is: it fires, and only Prometheus knows."""
    model, short = ask(BODY, group_wait=30), record(schedule={"duration": "10s"})
    blind, seeing = (
        score("f", replay.replay_fault(short, [], model), facts, START + 600)
        for facts in (Observed(delivered=[]), Observed(recorded=[]))
    )
    assert quick(seeing).verdict == "missed"
    assert (blind.alerts, blind.recall) == ([], None)


def test_an_alert_is_known_by_the_labels_that_the_spec_gives_it(ask: Ask) -> None:
    """A severity of the spec's own finds the page all the same; that of another service is not it."""
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


def test_a_fault_that_was_ended_lasted_only_so_long(scored: Any) -> None:
    """Ended as soon as it had paged, it resolves soon after."""
    page = quick(scored(Observed(), one=record(ended=START + 10)))
    assert page.forecast.resolved == 14


def test_windows_remember_the_faults_before(scored: Any) -> None:
    """With the long windows hot from a fault two minutes ago, the slow page takes what the short one needs."""
    before = record(START - 120, START - 60, name="before")
    found = scored(Observed(), before)
    alone, after = (
        next(each for each in one.alerts if (each.slo, each.long_window) == ("availability", "6m"))
        for one in (scored(Observed()), found)
    )
    assert alone.forecast.firing == 11
    assert after.forecast.firing <= 2


def test_alerts_of_the_next_fault_are_its_own(scored: Any) -> None:
    """What fires after another fault has begun counts for that one."""
    after = record(START + 300, name="after")
    found = scored(Observed(recorded=[recorded(5.5, 64), recorded(305.5, 365)]), after)
    firing = [each.fact.firing for each in found.alerts if each.fact]
    assert firing == [5.5]
    second = scored(Observed(recorded=[recorded(5.5, 64), recorded(305.5, 365)]), record(), one=after)
    assert [each.fact.firing for each in second.alerts if each.fact] == [5.5]


def test_what_fired_before_tells_nothing(scored: Any) -> None:
    """An alert that something else had fired cannot fire again."""
    found = scored(Observed(recorded=[recorded(-40, 64)]))
    assert quick(found).verdict == "already firing"
    assert quick(found).fact is None
    assert found.precision is None
