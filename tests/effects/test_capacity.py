"""The queue with a fake clock, compared with an ideal queue; and through a real server."""

import heapq
import itertools
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import ValidationError
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chaosapi.calls import Calls, Observers, current_calls
from chaosapi.effects.capacity import Capacity
from chaosapi.faults import changes
from chaosapi.faults.dice import Dice
from chaosapi.faults.fault import Fault
from chaosapi.injection.dependencies import DependencyError, point
from chaosapi.inner import InnerMiddleware
from tests.conftest import Clock, Serve
from tests.tiny_app import Answer, Crowd, near


@pytest.fixture
def crowd(clock: Clock) -> Crowd:
    """Return clients of a service without faults."""
    return Crowd(clock)


@dataclass(frozen=True)
class Visit:
    """One client: its arrival, and its patience."""

    comes: float
    patience: float | None


def ideal(effect: Capacity, visits: list[Visit], services: list[float]) -> list[tuple[int | None, float]]:
    """Play a queue for c servers, first come, first served (Kiefer and Wolfowitz 1955), with limits to queue and wait.

    Returns the status and the time that each visit takes.
    """
    free = [0.0] * effect.concurrency
    waits: list[float] = []
    seen: list[tuple[int | None, float]] = []
    for visit, service in zip(visits, services, strict=True):
        wait = max(0.0, free[0] - visit.comes)
        patience = float("inf") if visit.patience is None else visit.patience
        if wait and sum(end > visit.comes for end in waits) >= effect.queue:
            seen.append((503, 0.0))
            continue
        waits.append(visit.comes + min(wait, patience, effect.queue_timeout))
        if wait < min(patience, effect.queue_timeout):
            took = min(wait + service, patience)
            heapq.heapreplace(free, visit.comes + took)
            seen.append((200, took))
        else:
            seen.append((None, patience) if patience < effect.queue_timeout else (503, effect.queue_timeout))
    return seen


@pytest.mark.parametrize("seed", range(50))
def test_it_serves_as_an_ideal_queue_does(seed: int, crowd: Crowd) -> None:
    """To the microsecond, for clients that are served, refused, timed out or disconnect; no place is left in use."""
    chance = random.Random(seed)
    comes = itertools.accumulate(chance.uniform(0.01, 2) for _ in range(chance.randint(1, 40)))
    visits = [Visit(due, chance.choice([None, chance.uniform(0.01, 5)])) for due in comes]
    service = {"type": "exponential", "mean": 1.5}
    limits = {
        "concurrency": chance.randint(1, 4),
        "queue": chance.randint(0, 6),
        "queue_timeout": chance.uniform(0.01, 8),
    }
    crowd.inject("c", {"type": "capacity", **limits, "service_time": service}, seed=seed)
    effect = Capacity.model_validate({**limits, "service_time": service})
    dice = Dice.of(seed, "c")
    assert effect.service_time
    services = [effect.service_time.sample(dice.draw(f"r-{place}")) for place in range(len(visits))]
    answers = crowd.play(*(crowd.visit(each.comes, f"r-{place}", each.patience) for place, each in enumerate(visits)))
    expected = ideal(effect, visits, services)
    assert [answer.status for answer in answers] == [status for status, _ in expected]
    assert [answer.took for answer in answers] == pytest.approx([took for _, took in expected], abs=2e-6)
    refused = [status for status, _ in expected].count(503)
    assert readings(crowd) == {"in_use": 0, "queued": 0, "rejected_total": refused}
    assert crowd.faults.held == 0
    assert crowd.receipt("c")["injected"] == crowd.receipt("c")["matched"] == len(visits)


def limited(crowd: Crowd, **fields: Any) -> None:
    """Inject the fault `c`."""
    crowd.inject("c", {"type": "capacity", "queue_timeout": "1h", **fields})


def readings(crowd: Crowd) -> dict[str, float]:
    """Return the fault's gauges."""
    (run,) = crowd.engine.active_faults()
    return {name.removeprefix("capacity_"): value for name, value in run.compiled.readings().items()}


def outcome(answers: list[Answer]) -> list[tuple[int | None, float]]:
    """Return the status and the time of each answer."""
    return [(answer.status, answer.took) for answer in answers]


def second() -> dict[str, Any]:
    """Return a service time of a second."""
    return {"type": "constant", "value": "1s"}


def test_a_spike_saturates_the_queue_and_latency_rises_before_errors(crowd: Crowd) -> None:
    """Six concurrent requests for one place and a queue of four: latency rises, then one is refused."""
    limited(crowd, concurrency=1, queue=4, service_time=second())
    answers = crowd.play(*(crowd.visit(1) for _ in range(6)))
    assert outcome(answers) == [(200, 1), (200, 2), (200, 3), (200, 4), (200, 5), (503, 0)]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert b"Service Unavailable" in refused.body
    assert "retry-after" not in refused.headers


def test_the_receipt_has_the_service_time_and_the_time_with_the_wait(crowd: Crowd) -> None:
    """The planned delay is the service time; the measured delay includes the wait in the queue."""
    limited(crowd, concurrency=1, service_time=second())
    crowd.play(*(crowd.visit(1) for _ in range(3)))
    assert crowd.delay("c") == {"planned": near(1), "measured": near(2)}


def test_without_a_service_time_only_waiting_or_refused_requests_count(crowd: Crowd) -> None:
    """The first is served as usual; the second waits for it; the third finds the queue full."""
    limited(crowd, concurrency=1, queue=1)
    crowd.inject("slow", {"type": "latency", "distribution": second()})
    answers = crowd.play(*(crowd.visit(1) for _ in range(3)))
    assert outcome(answers) == [(200, 1), (200, 2), (503, 0)]
    assert (crowd.receipt("c")["matched"], crowd.receipt("c")["injected"]) == (3, 2)
    assert crowd.receipt("c")["achieved_rate"] == pytest.approx(0.666667)


def test_other_faults_act_within_the_capacity(crowd: Crowd) -> None:
    """An older delay too: slow requests use capacity. Requests that it refuses count as skipped for the others."""
    crowd.inject("slow", {"type": "latency", "distribution": second()})
    limited(crowd, concurrency=2, queue=0)
    assert outcome(crowd.play(*(crowd.visit(1) for _ in range(3)))) == [(200, 1), (200, 1), (503, 0)]
    slow = crowd.receipt("slow")
    assert (slow["matched"], slow["injected"], slow["skipped"]) == (3, 2, 1)


@pytest.mark.parametrize("change", [changes.end_all(5), changes.end("c", 5)], ids=["kill switch", "end"])
def test_at_the_faults_end_all_waiting_requests_go_to_the_app(crowd: Crowd, change: changes.Change) -> None:
    """At once, and so do requests that are served slowly."""
    limited(crowd, concurrency=1, service_time={"type": "constant", "value": "1h"})

    async def end() -> None:
        await crowd.until(5)
        crowd.change(change)

    assert outcome(crowd.play(*(crowd.visit(1) for _ in range(4)), end())) == [(200, 4)] * 4
    assert crowd.calls == 4


def test_the_schedules_end_releases_them_too(crowd: Crowd) -> None:
    """Without a call."""
    limited(crowd, concurrency=1, service_time={"type": "constant", "value": "1h"})
    crowd.change(changes.patch("c", {"schedule": {"duration": "10s"}}, Fault.model_validate, 0))
    assert outcome(crowd.play(*(crowd.visit(1) for _ in range(4)))) == [(200, 9)] * 4


def patched(crowd: Crowd, due: float, **fields: Any) -> Any:
    """Patch the effect at a time."""

    async def patch() -> None:
        await crowd.until(due)
        crowd.change(changes.patch("c", {"effect": fields}, Fault.model_validate, due))

    return patch()


def test_added_places_are_used_at_once(crowd: Crowd) -> None:
    """Patched from one to three after half a second: two waiting requests are served then."""
    limited(crowd, concurrency=1, service_time=second())
    answers = crowd.play(*(crowd.visit(1) for _ in range(4)), patched(crowd, 1.5, concurrency=3))
    assert outcome(answers) == [(200, 1), (200, 1.5), (200, 1.5), (200, 2)]


def test_removed_places_take_effect_as_requests_finish(crowd: Crowd) -> None:
    """No request is cut off: from two to one, the third waits for both."""
    limited(crowd, concurrency=2, service_time=second())
    answers = crowd.play(*(crowd.visit(due) for due in (1, 1.5, 1.6, 1.7)), patched(crowd, 1.8, concurrency=1))
    assert outcome(answers) == [(200, 1), (200, 1), (200, 1.9), (200, 2.8)]
    assert readings(crowd)["in_use"] == 0


def test_a_disconnect_frees_the_place_in_the_queue(crowd: Crowd) -> None:
    """The next request moves up, and the app is not called; a place in service is freed too."""
    limited(crowd, concurrency=1, queue=2, service_time={"type": "constant", "value": "10s"})
    served, impatient, gone, last = crowd.play(
        crowd.visit(1, stays=4), crowd.visit(1.1, stays=0.5), crowd.visit(1.2, stays=1), crowd.visit(3)
    )
    assert (impatient.status, gone.status) == (None, None)
    assert (last.status, last.took) == (200, 12)
    assert served.took == 4
    assert crowd.calls == 2


def test_a_dependency_with_limited_capacity(crowd: Crowd) -> None:
    """At a point: the second call waits for the first, the third is refused."""
    calls: list[Callable[[], object]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with point("db"):
                calls.append(receive)
            await PlainTextResponse("stored")(scope, receive, send)
        except DependencyError as error:
            await PlainTextResponse(str(error.status), 500)(scope, receive, send)

    crowd.faults.app = InnerMiddleware(app)
    limited(crowd, concurrency=1, queue=1, service_time=second())
    crowd.change(changes.patch("c", {"target": {"points": ["db"]}}, Fault.model_validate, 0))
    assert outcome(crowd.play(*(crowd.visit(1) for _ in range(3)))) == [(200, 1), (200, 2), (500, 0)]
    assert len(calls) == 2
    assert readings(crowd) == {"in_use": 0, "queued": 0, "rejected_total": 1}


@pytest.mark.parametrize(("points", "kind", "name"), [(None, "queue", "/a"), (["db"], "pool", "db")])
def test_the_service_s_own_metrics_show_who_waits(crowd: Crowd, points: list[str] | None, kind: str, name: str) -> None:
    """Without the word fault: of three requests one is served, one waits a second, one is refused."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with point("db"):
                pass
            await PlainTextResponse("stored")(scope, receive, send)
        except DependencyError as error:
            await PlainTextResponse(str(error.status), error.status)(scope, receive, send)

    calls = Calls(Observers(waits=[crowd.queues.count_wait]), crowd.clock)
    crowd.faults.app = InnerMiddleware(app)
    limited(crowd, concurrency=1, queue=1, service_time=second())
    crowd.change(changes.patch("c", {"target": {"points": points}}, Fault.model_validate, 0))
    token = current_calls.set(calls)
    crowd.play(*(crowd.visit(1) for _ in range(3)))
    current_calls.reset(token)
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in crowd.queues.collect()
        for sample in family.samples
    }
    assert shown[f"chaosapi_{kind}_wait_seconds_count", name] == 3
    assert shown[f"chaosapi_{kind}_wait_seconds_sum", name] == near(1)
    assert shown[f"chaosapi_{kind}_rejected_total", name] == 1
    assert shown[f"chaosapi_{kind}_in_use", name] == shown[f"chaosapi_{kind}_waiting", name] == 0
    assert calls.waited_s == (0 if points else near(1))


def test_concurrency_is_required() -> None:
    """It has no default, because a low value depends on the service."""
    with pytest.raises(ValidationError, match="concurrency"):
        Capacity.model_validate({})


@pytest.mark.slow
def test_in_use_queued_and_rejected_are_exported(serve: Serve) -> None:
    """Through a real server: one is served, one waits, one is refused; after both disconnect, the gauges are 0."""
    url = serve()
    effect = {"type": "capacity", "concurrency": 1, "queue": 1, "queue_timeout": "1h"}
    effect["service_time"] = {"type": "constant", "value": "1h"}
    httpx2.put(f"{url}/admin/faults/c", json={"effect": effect}).raise_for_status()
    parts = urlsplit(url)

    def wait_for(in_use: int, queued: int, rejected: int) -> None:
        lines = [
            f'chaosapi_capacity_in_use{{fault="c"}} {in_use}.0',
            f'chaosapi_capacity_queued{{fault="c"}} {queued}.0',
            f'chaosapi_capacity_rejected_total{{fault="c"}} {rejected}.0',
        ]
        while not set(lines) <= set(httpx2.get(f"{url}/admin/metrics").text.splitlines()):
            time.sleep(0.01)

    with socket.create_connection((parts.hostname, parts.port)) as first:
        first.sendall(b"GET /api/products HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_for(1, 0, 0)
        with socket.create_connection((parts.hostname, parts.port)) as waiting:
            waiting.sendall(b"GET /api/products HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_for(1, 1, 0)
            assert httpx2.get(f"{url}/api/products").status_code == 503
            wait_for(1, 1, 1)
        wait_for(1, 0, 1)
    wait_for(0, 0, 1)
