"""The edge with a fake clock: limits, shedding and the queue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.edge.edge import Edge, RequestReader
from chaosapi.telemetry.queues import QueueMetrics
from chaosapi.world.world import World
from tests.conftest import Clock

TEMPLATE = "/api/products"


class Front:
    """An edge whose world a test changes, in front of an app that answers when the test lets it."""

    def __init__(self, **world: Any) -> None:
        self.world = World.model_validate(world)
        self.clock = Clock()
        self.queues = QueueMetrics([TEMPLATE], [])
        self.edge = Edge(
            lambda: self.world,
            RequestReader(
                lambda _: TEMPLATE, lambda route: self.queues.meter(route, ""), {"/api/checkout": "checkout"}
            ),
            self.clock,
        )
        self.app = self.edge.around(self._serve)
        self.serving = 0
        self.most = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    def change(self, **world: Any) -> None:
        self.world = World.model_validate(world)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.serving += 1
        self.most = max(self.most, self.serving)
        await self.let_go.wait()
        self.serving -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def request(
        self, request_id: str = "r", handler: str = TEMPLATE, app: Any = None, **headers: str
    ) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the response."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": "GET",
            "path": handler,
            "headers": [*pairs, (b"x-request-id", request_id.encode())],
            keys.HANDLER: handler,
            keys.SEND: send,
        }
        await (app or self.app)(scope, receive, send)
        return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}

    def refused(self) -> dict[tuple[str, str], float]:
        """Return the counts that are not 0, by reason and class."""
        (family,) = self.edge.metrics.collect()
        return {(s.labels["reason"], s.labels["class"]): s.value for s in family.samples if s.value}


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(_awaited(story), 60))


async def _awaited(story: Callable[[], Awaitable[None]]) -> None:
    await story()


def limit(value: str, rate: float) -> dict[str, Any]:
    return {"header": "X-Tenant", "value": value, "requests_per_second": rate}


def test_a_limit_lets_its_rate_pass_and_says_when_to_come_back() -> None:
    """Other values of the header pass; after a second there is room for as many requests again."""

    async def story() -> None:
        front = Front(limits=[limit("acme", 2)])
        answers = [await front.request(x_tenant="acme") for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]
        assert answers[2][1]["retry-after"] == "1"
        assert (await front.request(x_tenant="else"))[0] == (await front.request())[0] == 200
        front.clock.now += 0.5
        assert [(await front.request(x_tenant="acme"))[0] for _ in range(2)] == [200, 429]
        assert front.refused() == {("limit", "browse"): 2}

    run(story)


def test_a_limit_of_zero_blocks() -> None:
    """Another limit that changes does not refill the bucket of this one."""

    async def story() -> None:
        front = Front(limits=[limit("bad", 0), limit("acme", 1)])
        assert [(await front.request(x_tenant=name))[0] for name in ("bad", "acme", "bad", "acme")] == [
            429,
            200,
            429,
            429,
        ]
        front.change(limits=[limit("acme", 1)])
        assert [(await front.request(x_tenant=name))[0] for name in ("bad", "acme")] == [200, 429]
        assert front.refused() == {("block", "browse"): 2, ("limit", "browse"): 2}

    run(story)


def test_a_higher_share_sheds_those_too_that_a_lower_one_shed() -> None:
    """The share is exact in the long run; checkouts pass."""

    async def story() -> None:
        front = Front()
        shed: dict[float, set[str]] = {}
        for share in (0.0, 0.3, 0.6, 1.0):
            front.change(shed={"browse": share})
            shed[share] = {f"r-{n}" for n in range(500) if (await front.request(f"r-{n}"))[0] == 503}
            assert (await front.request(handler="/api/checkout"))[0] == 200
        assert set() == shed[0.0] < shed[0.3] < shed[0.6] < shed[1.0]
        assert abs(len(shed[0.3]) - 150) < 50
        assert len(shed[1.0]) == 500
        assert front.refused() == {("shed", "browse"): sum(map(len, shed.values()))}

    run(story)


def test_exempt_requests_pass() -> None:
    """They have no handler in their scope, in front of the faults."""

    async def story() -> None:
        front = Front(shed={"browse": 1, "cart": 1, "checkout": 1})
        scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await front.edge.around(front._serve, exempts=True)(scope, None, send)  # type: ignore[arg-type]  # noqa: SLF001
        assert sent[0]["status"] == 200

    run(story)


def test_the_queue_serves_in_order_and_refuses_beyond_its_length() -> None:
    """No more are served at once than the limit; its gauges are 0 again at the end."""

    async def story() -> None:
        front = Front(settings={"concurrency": 2, "queue": 3, "queue_timeout": "60s"})
        front.let_go.clear()
        running = [asyncio.create_task(front.request(f"r-{n}")) for n in range(7)]
        while sum(task.done() for task in running) < 2:
            await asyncio.sleep(0)
        assert [task.done() for task in running] == [False] * 5 + [True] * 2
        assert [(await task)[1].get("retry-after") for task in running[5:]] == ["1", "1"]
        meter = front.queues.meter(TEMPLATE, "")
        assert (front.serving, meter.in_use[0], meter.waiting[0]) == (2, 2, 3)
        front.let_go.set()
        assert [(await task)[0] for task in running] == [200] * 5 + [503] * 2
        assert (front.most, meter.in_use[0], meter.waiting[0]) == (2, 0, 0)
        assert front.refused() == {("queue_full", "browse"): 2}

    run(story)


def test_a_request_does_not_wait_longer_than_the_time_out() -> None:
    """It leaves the queue; later requests are served."""

    async def story() -> None:
        front = Front(settings={"concurrency": 1, "queue_timeout": "10ms"})
        front.let_go.clear()
        first = asyncio.create_task(front.request("first"))
        while not front.serving:
            await asyncio.sleep(0)
        assert (await front.request("late"))[0] == 503
        front.let_go.set()
        assert ((await first)[0], (await front.request("next"))[0]) == (200, 200)
        assert front.refused() == {("queue_timeout", "browse"): 1}

    run(story)


def test_a_change_frees_those_that_wait() -> None:
    """With the next request: a higher limit, or none."""

    async def story() -> None:
        for concurrency in (5, 0):
            front = Front(settings={"concurrency": 1, "queue_timeout": "60s"})
            front.let_go.clear()
            running = [asyncio.create_task(front.request(f"r-{n}")) for n in range(3)]
            while front.queues.meter(TEMPLATE, "").waiting[0] < 2:
                await asyncio.sleep(0)
            front.change(settings={"concurrency": concurrency})
            running.append(asyncio.create_task(front.request("new")))
            while front.serving < 4:
                await asyncio.sleep(0)
            front.let_go.set()
            assert [(await task)[0] for task in running] == [200] * 4

    run(story)


def test_a_cancelled_request_gives_its_place_back() -> None:
    """While it waits, and while it is served."""

    async def story() -> None:
        front = Front(settings={"concurrency": 1, "queue_timeout": "60s"})
        front.let_go.clear()
        running = [asyncio.create_task(front.request(f"r-{n}")) for n in range(3)]
        while front.queues.meter(TEMPLATE, "").waiting[0] < 2:
            await asyncio.sleep(0)
        running[1].cancel()
        running[0].cancel()
        front.let_go.set()
        assert (await running[2])[0] == 200
        await asyncio.gather(*running, return_exceptions=True)
        meter = front.queues.meter(TEMPLATE, "")
        assert (meter.in_use[0], meter.waiting[0]) == (0, 0)

    run(story)
