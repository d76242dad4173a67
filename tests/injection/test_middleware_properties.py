"""Properties of every request, for any combination of effects."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from chaosapi import scope as keys
from chaosapi.effects import EFFECTS, RequestEffect
from tests.conftest import Clock
from tests.tiny_app import World, client

EXAMPLES = [effect.example for effect in EFFECTS if issubclass(effect, RequestEffect)]
FAULTS = st.lists(st.tuples(st.sampled_from(EXAMPLES), st.sampled_from([0.3, 1.0])), max_size=6)


class Ticking(World):
    """A sleep of at least a microsecond: a shorter one would be lost in the clock's precision."""

    async def hold(self, turn: asyncio.Future[None], seconds: float) -> None:
        await super().hold(turn, max(seconds, 1e-6))


async def ask(world: World, number: int) -> list[Message]:
    """Send one request; return the messages of the response, also if the app raised."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "headers": [],
        keys.HANDLER: "/a",
        keys.REQUEST_ID: f"r-{number}",
    }
    try:
        await world.faults(scope, client(), send)
    except Exception:  # noqa: BLE001 - whatever the exception effect raises is the server's to answer
        assert sent == []
    return sent


@settings(max_examples=200, deadline=None, derandomize=True)
@given(FAULTS)
def test_a_response_starts_at_most_once_and_no_request_stays_held(faults: list[tuple[dict[str, Any], float]]) -> None:
    """For any faults: at most one start, no body before it, no held request and no task afterwards."""

    async def story() -> None:
        world = Ticking(Clock())
        for number, (effect, rate) in enumerate(faults):
            world.inject(f"f-{number}", effect, rate=rate)
            world.clock.now += 1
        for number in range(5):
            kinds = [message["type"] for message in await ask(world, number)]
            assert kinds[:1] in ([], ["http.response.start"])
            assert kinds.count("http.response.start") == len(kinds[:1])
        assert world.faults.held == 0
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())
