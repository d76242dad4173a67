"""The token bucket with a fake clock: admitted and refused requests."""

import random

import pytest
from pydantic import ValidationError

from chaosapi.effects.rate_limit import Bucket, RateLimit
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from tests.conftest import Clock
from tests.tiny_app import Answer, Crowd


@pytest.fixture
def crowd(clock: Clock) -> Crowd:
    """Return clients of a service without faults."""
    return Crowd(clock)


def statuses(answers: list[Answer]) -> list[int | None]:
    """Return the status of each answer."""
    return [answer.status for answer in answers]


def test_a_burst_is_admitted_and_then_the_rate(crowd: Crowd) -> None:
    """Two per second after a burst of three: the fourth waits for half a second, or is refused."""
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": 2, "burst": 3})
    answers = crowd.play(*(crowd.visit(due) for due in (1, 1, 1, 1, 1.4, 1.5, 1.6, 2)))
    assert statuses(answers) == [200, 200, 200, 429, 429, 200, 429, 200]
    assert (crowd.receipt("r")["matched"], crowd.receipt("r")["injected"]) == (8, 3)


@pytest.mark.parametrize(("rate", "says"), [(100, "1"), (0.4, "3"), (0.1, "10")])
def test_refusals_have_retry_after(crowd: Crowd, rate: float, says: str) -> None:
    """In whole seconds, rounded up, and never 0; a client that waits is admitted."""
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": rate, "burst": 1})
    first, refused, again = crowd.play(crowd.visit(1), crowd.visit(1), crowd.visit(1 + int(says)))
    assert (first.status, refused.status, again.status) == (200, 429, 200)
    assert refused.headers["retry-after"] == says
    assert refused.headers["content-type"] == "application/problem+json"
    assert b"Too Many Requests" in refused.body
    assert refused.took == 0


def test_a_rate_limit_acts_before_other_effects(crowd: Crowd) -> None:
    """Older faults neither delay nor count its refused requests."""
    crowd.inject("broken", {"type": "error", "status": 500})
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": 1, "burst": 1})
    assert statuses(crowd.play(crowd.visit(1), crowd.visit(1))) == [500, 429]
    broken = crowd.receipt("broken")
    assert (broken["matched"], broken["injected"], broken["skipped"]) == (2, 1, 1)


def test_a_patch_changes_the_rate_and_does_not_refill_the_bucket(crowd: Crowd) -> None:
    """Empty before, nearly empty after; then it refills at the new rate."""
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": 1, "burst": 1})

    async def patch() -> None:
        await crowd.until(1.1)
        change = {"effect": {"requests_per_second": 10, "burst": 5}}
        crowd.change(changes.patch("r", change, Fault.model_validate, 1.1))

    answers = crowd.play(*(crowd.visit(due) for due in (1, 1.12, 1.12, 1.25)), patch())
    assert statuses(answers) == [200, 200, 429, 200]


def test_after_its_end_all_requests_are_admitted(crowd: Crowd) -> None:
    """At once."""
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": 0.001, "burst": 1})
    crowd.play(crowd.visit(1))
    crowd.change(changes.end_all(2))
    assert statuses(crowd.play(*(crowd.visit(2) for _ in range(5)))) == [200] * 5


def test_burst_and_rate_are_never_exceeded() -> None:
    """In any interval, for any arrivals; and under load every token is used."""
    chance = random.Random(1)
    bucket = Bucket()
    now = 0.0
    taken = list[float]()
    for _ in range(5000):
        now += chance.expovariate(50)
        if bucket.take(now, 10, 5) == 0:
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, min(first + 60, len(taken))):
            assert last - first + 1 <= 5 + 10 * (taken[last] - start) + 1e-6
    assert len(taken) == pytest.approx(10 * now, rel=0.02)


def test_the_default_burst_is_one_second_of_the_rate(crowd: Crowd) -> None:
    """At least 1, or no request would be admitted."""
    crowd.inject("r", {"type": "rate_limit", "requests_per_second": 2.5})
    assert statuses(crowd.play(*(crowd.visit(1) for _ in range(4)))) == [200, 200, 200, 429]
    with pytest.raises(ValidationError, match="burst"):
        RateLimit.model_validate({"requests_per_second": 1, "burst": 0})
