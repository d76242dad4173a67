"""Faults at points, that is on calls to dependencies, in a tiny app; the fake clock advances only in waits."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chaosapi import DependencyError, point
from chaosapi.calls import Calls, Observers, current_calls
from chaosapi.faults import changes
from chaosapi.injection.dependencies import DependencyCall
from chaosapi.telemetry.faults import FaultMetrics
from tests.conftest import Clock, MakeClient
from tests.garbage import alive, collection_off
from tests.injection.test_conditions import RETRIES, retries
from tests.tiny_app import World, constant, near

Handler = Callable[[], Awaitable[None]]
HANG = {"type": "hang", "at_most": "1h"}


class Caller(World):
    """An app that calls a dependency, and records the outcome."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.handler: Handler = self.call
        self.work_done = 0
        self.seen: list[str] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handler()
        await PlainTextResponse("fine")(scope, receive, send)

    async def call(self, name: str = "db") -> None:
        """Make one call and record its outcome."""
        try:
            async with point(name):
                self.work_done += 1
        except DependencyError as error:
            self.seen.append(str(error))
        except (ConnectionError, RuntimeError) as error:
            self.seen.append(type(error).__name__)
        else:
            self.seen.append("fine")

    def at(self, effect: dict[str, Any], *points: str, name: str = "f", **fields: Any) -> None:
        """Inject a fault at the points."""
        target = {"points": list(points or ("db",)), **fields.pop("target", {})}
        self.inject(name, effect, target=target, **fields)


@pytest.fixture
def caller(clock: Clock) -> Caller:
    """Return an app that calls `db` once for each request."""
    return Caller(clock)


def run(*steps: Awaitable[Any]) -> list[Any]:
    """Run the steps one by one; no task of them may be left."""

    async def story() -> list[Any]:
        answers = [await step for step in steps]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return answers

    return asyncio.run(story())


def test_without_a_fault_a_point_has_no_effect(caller: Caller) -> None:
    """The block runs at once."""
    assert run(caller.get()) == [(200, 0)]
    assert (caller.work_done, caller.seen) == (1, ["fine"])


def test_latency_delays_the_call_and_is_measured(caller: Caller) -> None:
    """The request is delayed by as much; the receipt has the planned and the measured delay."""
    caller.at(constant(3))
    assert run(caller.get()) == [(200, 3)]
    assert caller.seen == ["fine"]
    assert caller.delay("f") == {"planned": near(3), "measured": near(3)}


@pytest.mark.parametrize(
    ("effect", "outcome", "seconds"),
    [(constant(3), "ok", 3), ({"type": "error", "status": 503}, "error", 0), ({"type": "reset"}, "error", 0)],
)
def test_the_record_of_a_call_has_what_faults_did_to_it(
    caller: Caller, effect: dict[str, Any], outcome: str, seconds: float
) -> None:
    """As the caller sees it."""
    calls = Calls(Observers(), lambda: caller.clock.now)

    async def recorded() -> None:
        current_calls.set(calls)
        await caller.call()

    caller.handler = recorded
    caller.at(effect)
    run(caller.get())
    assert [(done.dependency, done.outcome, done.seconds) for done in calls] == [("db", outcome, near(seconds))]


def test_a_floor_pads_the_call_and_counts_its_work(caller: Caller) -> None:
    """A call that takes two of five seconds waits three more."""

    async def slow() -> None:
        async with point("db"):
            caller.clock.now += 2
        caller.seen.append("fine")

    caller.handler = slow
    caller.at(constant(5, "floor"))
    assert run(caller.get()) == [(200, 5)]


@pytest.mark.parametrize(("when", "work"), [("before", 0), ("after", 1)])
def test_an_error_is_raised_before_or_after_the_call(caller: Caller, when: str, work: int) -> None:
    """The caller gets the status, and does not learn whether the call was made."""
    caller.at({"type": "error", "status": 429, "when": when})
    assert run(caller.get()) == [(200, 0)]
    assert (caller.work_done, caller.seen) == (work, ["db answered 429"])


def test_a_reset_is_a_connection_reset_error(caller: Caller) -> None:
    """As drivers report it."""
    caller.at({"type": "reset"})
    run(caller.get())
    assert (caller.work_done, caller.seen) == (0, ["ConnectionResetError"])


def test_an_exception_is_raised_in_the_callers_frame(caller: Caller) -> None:
    """As for a bug in the driver."""
    caller.at({"type": "exception", "message": "pool exhausted"})
    run(caller.get())
    assert (caller.work_done, caller.seen) == (0, ["RuntimeError"])


def test_a_hang_ends_with_the_callers_time_out(caller: Caller) -> None:
    """Afterwards no request is held, and no task is left."""

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), point("db"):
                pytest.fail("a hanging dependency did the work")

    async def forever() -> None:
        await asyncio.Future()

    caller.handler = impatient
    caller.on_hold = forever
    caller.at(HANG)
    assert run(caller.get()) == [(200, 0)]
    assert caller.faults.held == 0
    assert caller.receipt("f")["injected"] == 1


def test_a_hang_without_a_time_out_ends_with_a_connection_error(caller: Caller) -> None:
    """At `at_most`, or when the fault is ended."""
    caller.at(HANG)
    assert run(caller.get()) == [(200, 3600)]

    async def kill() -> None:
        caller.clock.now += 7
        caller.change(changes.end_all(caller.clock.now))

    caller.on_hold = kill
    assert run(caller.get()) == [(200, 7)]
    assert caller.seen == ["ConnectionResetError"] * 2


@pytest.mark.parametrize("effect", [constant(5, "floor"), {"type": "error", "when": "after"}], ids=["floor", "after"])
def test_an_error_of_the_call_itself_reaches_the_caller(caller: Caller, effect: dict[str, Any]) -> None:
    """An injected error does not hide a real one."""

    async def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            async with point("db"):
                _ = 1 // 0

    caller.handler = failing
    caller.at(effect)
    assert run(caller.get()) == [(200, 0)]


def test_every_call_counts_and_a_retry_has_its_own_dice(caller: Caller) -> None:
    """Of 2,000 requests with two calls each, a quarter fails twice: within 5.5 standard deviations, p < 4e-8."""

    async def twice() -> None:
        await caller.call()
        await caller.call()

    caller.handler = twice
    caller.at({"type": "error"}, rate=0.5)
    run(*(caller.get(f"r-{number}") for number in range(2000)))
    assert caller.receipt("f")["matched"] == 4000
    assert caller.receipt("f")["injected"] == 4000 - caller.work_done
    pairs = list(zip(caller.seen[::2], caller.seen[1::2], strict=True))
    assert sum("fine" not in pair for pair in pairs) == pytest.approx(500, abs=5.5 * (2000 * 0.25 * 0.75) ** 0.5)


def test_a_call_is_released_when_the_condition_stops_to_hold(caller: Caller) -> None:
    """As at the end of the fault; the next one is not held. When it holds again, calls are held again."""

    async def act() -> None:
        caller.on_hold = None
        caller.clock.now += 7
        caller.change(retries(0))

    condition: dict[str, Any] = {"while": RETRIES}
    caller.at(HANG, **condition)
    caller.on_hold = act
    (answer,) = run(caller.get("r"))
    assert answer == (200, 7)
    run(caller.get("s"))
    caller.change(retries(1))
    assert run(caller.get("t")) == [(200, 3600)]
    assert caller.seen == ["ConnectionResetError", "fine", "ConnectionResetError"]
    assert (caller.receipt("f")["injected"], caller.receipt("f")["spared"]) == (2, 1)


def test_the_same_request_id_has_the_same_failures(caller: Caller) -> None:
    """Call by call."""

    async def thrice() -> None:
        for _ in range(3):
            await caller.call()

    caller.handler = thrice
    caller.at({"type": "error"}, rate=0.5)
    for _ in range(2):
        run(*(caller.get(f"r-{number}") for number in range(20)))
    assert caller.seen[:60] == caller.seen[60:]
    assert len(set(caller.seen)) == 2


def test_a_sticky_user_has_the_same_failures_at_every_call(caller: Caller) -> None:
    """In every request; another user may have other failures."""
    caller.at({"type": "error"}, rate=0.5, target={"sticky_by": "x-user-id"})
    for user in map(str, range(20)):
        caller.seen.clear()
        run(*(caller.get(f"{user}-{number}", x_user_id=user) for number in range(5)))
        assert len(set(caller.seen)) == 1
    assert 0 < caller.receipt("f")["injected"] < 100


def test_other_routes_methods_and_points_are_untouched(caller: Caller) -> None:
    """A fault at a point may target some requests, and never acts on the requests themselves."""
    caller.at({"type": "error"}, target={"routes": ["/a"], "methods": ["POST"]}, name="here")
    caller.at({"type": "error"}, target={"routes": ["/b"]}, name="elsewhere")
    caller.at({"type": "error"}, "payments", name="other")
    run(caller.get(), caller.get(method="POST"))
    assert caller.seen == ["fine", "db answered 503"]
    matched = {name: caller.receipt(name)["matched"] for name in ("here", "elsewhere", "other")}
    assert matched == {"here": 1, "elsewhere": 0, "other": 0}


def test_one_fault_may_target_several_points(caller: Caller) -> None:
    """And several faults one point: delays act first, then the oldest fault that ends the call."""

    async def both() -> None:
        await caller.call("db")
        await caller.call("payments")

    caller.handler = both
    caller.at({"type": "error", "status": 500}, "db", "payments", name="old")
    caller.clock.now += 1
    caller.at({"type": "reset"}, name="new")
    caller.at(constant(2), name="slow")
    assert run(caller.get()) == [(200, 2)]
    assert caller.seen == ["db answered 500", "payments answered 500"]
    assert caller.receipt("new")["skipped"] == 1


def test_points_outside_a_request_are_untouched(caller: Caller) -> None:
    """Faults act only in requests and in tasks that requests started."""
    caller.at({"type": "error"})

    async def story() -> None:
        await caller.call()
        await caller.get()
        await caller.call()
        await asyncio.create_task(caller.call())

    asyncio.run(story())
    assert Counter(caller.seen) == {"fine": 3, "db answered 503": 1}
    assert caller.receipt("f")["matched"] == 1


def test_a_task_of_a_request_belongs_to_the_request(caller: Caller) -> None:
    """So concurrent calls are hit too."""

    async def side_by_side() -> None:
        await asyncio.gather(caller.call(), caller.call())

    caller.handler = side_by_side
    caller.at({"type": "error"})
    run(caller.get())
    assert caller.seen == ["db answered 503"] * 2


def test_a_cancelled_request_leaves_no_task_and_no_hold(caller: Caller) -> None:
    """Whatever the call does at that time."""
    caller.at(HANG)
    inside = asyncio.Event()

    async def stay() -> None:
        inside.set()
        await asyncio.Future()

    async def story() -> None:
        request = asyncio.create_task(caller.get())
        await inside.wait()
        assert caller.faults.held == 1
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    caller.on_hold = stay
    run(story())
    assert caller.faults.held == 0


def test_metrics_and_receipt_agree(caller: Caller) -> None:
    """Both count calls at points."""
    registry = CollectorRegistry()
    registry.register(FaultMetrics(caller.engine))
    caller.at({"type": "error"}, rate=0.5)
    run(*(caller.get(f"r-{number}") for number in range(30)))
    labels = {"fault": "f", "effect": "error"}
    for count in ("matched", "injected"):
        assert registry.get_sample_value(f"chaosapi_fault_{count}_total", labels) == caller.receipt("f")[count]


def test_beyond_max_held_a_call_is_not_held(clock: Clock) -> None:
    """As for whole requests; the skip is counted."""
    caller = Caller(clock)
    caller.held.most = 0
    caller.at(constant(5))
    assert run(caller.get()) == [(200, 0)]
    assert caller.receipt("f")["skipped"] == 1


def test_an_unknown_point_is_refused_with_the_known_ones(make_client: MakeClient) -> None:
    """So is an effect that cannot act at a point."""
    client = make_client()
    answer = client.post("/admin/faults", json={"effect": {"type": "error"}, "target": {"points": ["db", "dbb"]}})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "target.points.1")
    assert error["message"] == "no point is called dbb; there are db, payments, search-index"
    answer = client.post("/admin/faults", json={"effect": {"type": "truncate"}, "target": {"points": ["db"]}})
    assert answer.status_code == 422
    assert "cannot act on a call to a dependency; these can: error, latency" in answer.json()["detail"]


@pytest.mark.parametrize("effect", [constant(3), {"type": "error"}, {"type": "exception"}])
def test_a_call_leaves_nothing_to_the_garbage_collector(caller: Caller, effect: dict[str, Any]) -> None:
    """Whether the dependency answers or not."""
    caller.at(effect)
    with collection_off():
        run(caller.get())
        assert alive(DependencyCall) == 0
