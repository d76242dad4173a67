"""Calls to dependencies as a fault sees them, in a tiny app; time passes only by waiting."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chaosapi import DependencyError, point
from chaosapi.faults import changes
from chaosapi.injected_error import InjectedError
from chaosapi.injection.dependencies import DependencyCall
from chaosapi.telemetry.faults import FaultMetrics
from tests.conftest import Clock, MakeClient
from tests.garbage import alive, collection_off
from tests.world import World, constant, near

Handler = Callable[[], Awaitable[None]]
HANG = {"type": "hang", "at_most": "1h"}


class Caller(World):
    """An app that calls a dependency, and notes what came of it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.handler: Handler = self.call
        self.work_done = 0
        self.seen: list[str] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handler()
        await PlainTextResponse("fine")(scope, receive, send)

    async def call(self, name: str = "db") -> None:
        """Make one call and note its end."""
        try:
            async with point(name):
                self.work_done += 1
        except DependencyError as error:
            self.seen.append(str(error))
        except (ConnectionError, InjectedError) as error:
            self.seen.append(type(error).__name__)
        else:
            self.seen.append("fine")

    def at(self, effect: dict[str, Any], *points: str, name: str = "f", **fields: Any) -> None:
        """Inject a fault at points."""
        target = {"points": list(points or ("db",)), **fields.pop("target", {})}
        self.inject(name, effect, target=target, **fields)


@pytest.fixture
def caller(clock: Clock) -> Caller:
    """Return an app that calls `db` once a request."""
    return Caller(clock)


def run(*steps: Awaitable[Any]) -> list[Any]:
    """Run the steps one by one; nothing that they started may be left."""

    async def story() -> list[Any]:
        answers = [await step for step in steps]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return answers

    return asyncio.run(story())


def test_without_a_fault_a_point_is_not_there(caller: Caller) -> None:
    """The block runs at once."""
    assert run(caller.get()) == [(200, 0)]
    assert (caller.work_done, caller.seen) == (1, ["fine"])


def test_latency_comes_before_the_work_and_is_measured(caller: Caller) -> None:
    """The request is as much later; plan and fact stand in the receipt."""
    caller.at(constant(3))
    assert run(caller.get()) == [(200, 3)]
    assert caller.seen == ["fine"]
    assert caller.delay("f") == {"planned": near(3), "measured": near(3)}


def test_a_floor_pads_the_call_and_counts_its_work(caller: Caller) -> None:
    """A dependency that needs two seconds of five makes the caller wait three more."""

    async def slow() -> None:
        async with point("db"):
            caller.clock.now += 2
        caller.seen.append("fine")

    caller.handler = slow
    caller.at(constant(5, "floor"))
    assert run(caller.get()) == [(200, 5)]


@pytest.mark.parametrize(("when", "work"), [("before", 0), ("after", 1)])
def test_an_error_comes_before_or_after_the_work(caller: Caller, when: str, work: int) -> None:
    """The caller learns the status either way, and not whether anything was done."""
    caller.at({"type": "error", "status": 429, "when": when})
    assert run(caller.get()) == [(200, 0)]
    assert (caller.work_done, caller.seen) == (work, ["db answered 429"])


def test_no_answer_is_a_reset_connection(caller: Caller) -> None:
    """As a driver reports it."""
    caller.at({"type": "reset"})
    run(caller.get())
    assert (caller.work_done, caller.seen) == (0, ["ConnectionResetError"])


def test_an_exception_is_raised_in_the_callers_own_frame(caller: Caller) -> None:
    """Like a bug in the driver."""
    caller.at({"type": "exception", "message": "pool exhausted"})
    run(caller.get())
    assert (caller.work_done, caller.seen) == (0, ["InjectedError"])


def test_a_hang_ends_with_the_callers_own_time_out(caller: Caller) -> None:
    """Nothing is held any more, and no task is left."""

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), point("db"):
                pytest.fail("a hanging dependency did the work")

    async def forever() -> None:
        await asyncio.Future()

    caller.handler, caller.on_hold = impatient, forever
    caller.at(HANG)
    assert run(caller.get()) == [(200, 0)]
    assert caller.faults.held == 0
    assert caller.receipt("f")["injected"] == 1


def test_a_hang_that_nobody_cuts_ends_without_an_answer(caller: Caller) -> None:
    """At `at_most`, or as soon as somebody ends the fault."""
    caller.at(HANG)
    assert run(caller.get()) == [(200, 3600)]

    async def kill() -> None:
        caller.clock.now += 7
        caller.change(changes.end_all(caller.clock.now))

    caller.on_hold = kill
    assert run(caller.get()) == [(200, 7)]
    assert caller.seen == ["ConnectionResetError"] * 2


@pytest.mark.parametrize("effect", [constant(5, "floor"), {"type": "error", "when": "after"}], ids=["floor", "after"])
def test_what_the_work_raises_reaches_the_caller(caller: Caller, effect: dict[str, Any]) -> None:
    """A real failure is not hidden by an injected one."""

    async def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            async with point("db"):
                _ = 1 // 0

    caller.handler = failing
    caller.at(effect)
    assert run(caller.get()) == [(200, 0)]


def test_every_call_counts_and_a_retry_rolls_anew(caller: Caller) -> None:
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


def test_the_same_request_meets_the_same_failures(caller: Caller) -> None:
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


def test_a_sticky_user_meets_the_same_at_every_call(caller: Caller) -> None:
    """However often they come; another user may meet something else."""
    caller.at({"type": "error"}, rate=0.5, target={"sticky_by": "x-user-id"})
    for user in map(str, range(20)):
        caller.seen.clear()
        run(*(caller.get(f"{user}-{number}", x_user_id=user) for number in range(5)))
        assert len(set(caller.seen)) == 1
    assert 0 < caller.receipt("f")["injected"] < 100


def test_routes_methods_and_other_points_are_left_alone(caller: Caller) -> None:
    """A fault at a point may be narrowed to some requests, and never acts on the requests themselves."""
    caller.at({"type": "error"}, target={"routes": ["/a"], "methods": ["POST"]}, name="here")
    caller.at({"type": "error"}, target={"routes": ["/b"]}, name="elsewhere")
    caller.at({"type": "error"}, "payments", name="other")
    run(caller.get(), caller.get(method="POST"))
    assert caller.seen == ["fine", "db answered 503"]
    matched = {name: caller.receipt(name)["matched"] for name in ("here", "elsewhere", "other")}
    assert matched == {"here": 1, "elsewhere": 0, "other": 0}


def test_one_fault_may_mean_several_points(caller: Caller) -> None:
    """And several faults one point: delays first, then the oldest answer."""

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


def test_nothing_acts_outside_a_request(caller: Caller) -> None:
    """Not before, not after, not beside: only in requests and what they started."""
    caller.at({"type": "error"})

    async def story() -> None:
        await caller.call()
        await caller.get()
        await caller.call()
        await asyncio.create_task(caller.call())

    asyncio.run(story())
    assert Counter(caller.seen) == {"fine": 3, "db answered 503": 1}
    assert caller.receipt("f")["matched"] == 1


def test_a_task_of_a_request_is_part_of_it(caller: Caller) -> None:
    """So calls side by side are hit too."""

    async def side_by_side() -> None:
        await asyncio.gather(caller.call(), caller.call())

    caller.handler = side_by_side
    caller.at({"type": "error"})
    run(caller.get())
    assert caller.seen == ["db answered 503"] * 2


def test_a_cancelled_request_leaves_no_task_and_holds_nothing(caller: Caller) -> None:
    """Wherever in the call it is cut."""
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
    """Both count calls."""
    registry = CollectorRegistry()
    registry.register(FaultMetrics(caller.engine))
    caller.at({"type": "error"}, rate=0.5)
    run(*(caller.get(f"r-{number}") for number in range(30)))
    labels = {"fault": "f", "effect": "error"}
    for count in ("matched", "injected"):
        assert registry.get_sample_value(f"chaosapi_fault_{count}_total", labels) == caller.receipt("f")[count]


def test_past_the_cap_of_held_requests_a_call_goes_through(clock: Clock) -> None:
    """As for whole requests, and counted."""
    caller = Caller(clock)
    caller.held.most = 0
    caller.at(constant(5))
    assert run(caller.get()) == [(200, 0)]
    assert caller.receipt("f")["skipped"] == 1


def test_an_unknown_point_is_refused_with_the_known_ones(make_client: MakeClient) -> None:
    """And so is an effect that has no meaning at a point."""
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
