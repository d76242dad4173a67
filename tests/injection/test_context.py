"""The tools of an effect on a request, and the marks on responses."""

import asyncio

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response

from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from tests.conftest import Clock, MakeClient
from tests.tiny_app import Crowd, constant, near


@pytest.fixture
def marked(make_client: MakeClient) -> TestClient:
    """Return a client of a service with CHAOSAPI_MARK_RESPONSES."""
    return make_client(mark_responses=True)


def test_responses_are_not_marked_by_default(client: TestClient) -> None:
    """Trainees must not see the cause."""
    client.put("/admin/faults/f", json={"effect": {"type": "error"}})
    headers = client.get("/api/products").headers
    assert not {"x-chaos-fault", "server-timing"} & set(headers)


def test_a_marked_response_names_the_faults_and_their_delays(clock: Clock) -> None:
    """In the order in which they acted; `dur` in milliseconds."""
    crowd = Crowd(clock, mark=True)
    crowd.inject("slow", constant(0.25))
    crowd.inject("broken", {"type": "error"})
    (answer,) = crowd.play(crowd.visit(1))
    assert answer.headers["x-chaos-fault"] == "slow, broken"
    assert answer.headers["server-timing"] == "slow;desc=latency;dur=250.0, broken;desc=error;dur=0.0"


def test_an_untouched_response_has_no_mark(marked: TestClient) -> None:
    """Without faults, with a fault on other requests, and with a fault that skipped the request."""
    marked.put("/admin/faults/others", json={"effect": {"type": "error"}, "target": {"routes": ["/api/search"]}})
    marked.put("/admin/faults/empty", json={"effect": {"type": "rate_limit", "requests_per_second": 1000}})
    assert not {"x-chaos-fault", "server-timing"} & set(marked.get("/api/products").headers)


def test_the_apps_500_after_an_injected_exception_is_marked(marked: TestClient) -> None:
    """The app's error handler sends the response."""
    marked.put("/admin/faults/f", json={"effect": {"type": "exception"}})
    answer = TestClient(marked.app, "http://localhost:8000", raise_server_exceptions=False).get("/api/products")
    assert (answer.status_code, answer.headers["x-chaos-fault"]) == (500, "f")


def test_a_damaged_body_is_marked_in_the_headers(marked: TestClient) -> None:
    """The content-length tells that a body will follow."""
    marked.put("/admin/faults/f", json={"effect": {"type": "corrupt"}})
    assert marked.get("/api/products").headers["x-chaos-fault"] == "f"


def test_a_rate_limits_refusal_names_only_the_limit(clock: Clock) -> None:
    """The error fault behind it did not act."""
    crowd = Crowd(clock, mark=True)
    crowd.inject("broken", {"type": "error"})
    crowd.inject("limit", {"type": "rate_limit", "requests_per_second": 1, "burst": 1})
    _, refused = crowd.play(crowd.visit(1), crowd.visit(1))
    assert refused.headers["x-chaos-fault"] == "limit"


@pytest.mark.parametrize("effect", [constant(3600), {"type": "hang", "at_most": "1h"}], ids=["latency", "hang"])
def test_a_patch_that_shortens_the_fault_releases_held_requests_in_time(
    clock: Clock, effect: dict[str, object]
) -> None:
    """The request is held from 1 s for an hour; at 5 s the fault is shortened to 20 s: released at 20 s."""
    crowd = Crowd(clock)
    crowd.inject("f", effect)

    async def shorten() -> None:
        await crowd.until(5)
        crowd.change(changes.patch("f", {"schedule": {"duration": "20s"}}, Fault.model_validate, 5))

    (answer,) = crowd.play(crowd.visit(1), shorten())
    assert answer.took == 19
    assert crowd.delay("f") == {"planned": near(3600), "measured": near(19)}


def test_a_patch_of_another_field_keeps_requests_held(clock: Clock) -> None:
    """The wait continues for the remaining time."""
    crowd = Crowd(clock)
    crowd.inject("f", constant(10))

    async def patch() -> None:
        await crowd.until(5)
        crowd.change(changes.patch("f", {"reason": "still learning"}, Fault.model_validate, 5))

    (answer,) = crowd.play(crowd.visit(1), patch())
    assert answer.took == 10


def test_a_disconnect_ends_the_wait_and_the_receipt_has_the_measured_delay(clock: Clock) -> None:
    """The planned delay is an hour, the measured delay two seconds."""
    crowd = Crowd(clock)
    crowd.inject("f", constant(3600))
    (answer,) = crowd.play(crowd.visit(1, stays=2))
    assert answer.took == 2
    assert crowd.delay("f") == {"planned": near(3600), "measured": near(2)}
    assert crowd.faults.held == 0


def test_a_cancelled_request_is_no_longer_held(clock: Clock) -> None:
    """A server cancels requests at shutdown."""
    crowd = Crowd(clock)
    crowd.inject("f", constant(3600))
    crowd.inject("c", {"type": "capacity", "concurrency": 1})

    async def story() -> None:
        tasks = [asyncio.create_task(crowd.ask(key)) for key in ("served", "queued")]
        while crowd.faults.held < 2:
            await asyncio.sleep(0)
        for _ in range(40):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())
    assert crowd.faults.held == 0
    shown = [dict(run.compiled.readings()) for run in crowd.engine.active_faults() if run.compiled.record.name == "c"]
    assert shown == [{"capacity_in_use": 0, "capacity_queued": 0, "capacity_rejected_total": 0}]


@pytest.mark.parametrize("effect", ["truncate", "corrupt"])
@pytest.mark.parametrize(("body", "injected"), [(b"some", 1), (b"", 0)])
def test_an_effect_that_finds_nothing_to_damage_is_skipped(
    clock: Clock, effect: str, body: bytes, injected: int
) -> None:
    """An empty body is skipped, counted with the reason, and not marked."""
    crowd = Crowd(clock, mark=True)
    crowd.faults.app = Response(body)
    crowd.inject("f", {"type": effect})
    (answer,) = crowd.play(crowd.visit(1))
    receipt = crowd.receipt("f")
    assert (receipt["matched"], receipt["injected"], receipt["skipped"]) == (1, injected, 1 - injected)
    assert ("x-chaos-fault" in answer.headers) == bool(injected)
    (run,) = crowd.engine.active_faults()
    assert run.counts.skipped == ({} if injected else {"empty_body": 1})
