import asyncio
import json
import random
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from chaosapi.effects.corrupt import Corrupt


def body(client: TestClient, key: str = "r-1") -> bytes:
    """Return the received body."""
    answer = client.get("/api/products", headers={"x-request-id": key})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    return answer.content


@pytest.mark.parametrize("mode", ["garbage", "bits", "json"])
def test_the_body_is_damaged_and_the_length_is_right(client: TestClient, mode: str) -> None:
    """The damage of a request id is deterministic."""
    healthy = body(client)
    client.put("/admin/faults/f", json={"effect": {"type": "corrupt", "mode": mode}})
    damaged = body(client)
    assert len(damaged) == len(healthy)
    assert damaged != healthy
    assert damaged == body(client)
    assert mode == "json" or damaged != body(client, "r-2")


def test_broken_json_cannot_be_read(client: TestClient) -> None:
    """Only its first character differs."""
    client.put("/admin/faults/f", json={"effect": {"type": "corrupt", "mode": "json"}})
    with pytest.raises(json.JSONDecodeError):
        json.loads(body(client))


@pytest.mark.parametrize("healthy", [b"12", b"[]", b' {"a": 1}', b'"text"', b"null", b"7"])
def test_no_json_stays_valid(healthy: bytes) -> None:
    """Also a number without its first digit and a document after a space."""
    damaged = Corrupt(mode="json")._damage(bytearray(healthy), random.Random(1), first=True)  # noqa: SLF001 - the pure function that damages a body
    assert len(damaged) == len(healthy)
    with pytest.raises(json.JSONDecodeError):
        json.loads(damaged)


def test_bits_flip_in_about_every_hundredth_byte(client: TestClient) -> None:
    """Each by one bit; at least one in the shortest body."""
    healthy = body(client)
    client.put("/admin/faults/f", json={"effect": {"type": "corrupt", "mode": "bits"}})
    flips = [before ^ after for before, after in zip(healthy, body(client), strict=True) if before != after]
    assert 1 <= len(flips) < len(healthy) * 0.05
    assert all(flip.bit_count() == 1 for flip in flips)


@pytest.mark.parametrize("healthy", [b"7", b"ab"])
def test_a_short_body_is_never_left_as_it_was(healthy: bytes) -> None:
    """Of 1,000 random bytes some would be the right one."""
    for seed in range(1000):
        for mode in ("garbage", "bits", "json"):
            damaged = Corrupt(mode=mode)._damage(bytearray(healthy), random.Random(seed), first=True)  # noqa: SLF001 - the pure function that damages a body
            assert (damaged != healthy, len(damaged)) == (True, len(healthy))


def test_bits_of_a_large_body_take_draws_for_each_flip_and_not_for_each_byte() -> None:
    """A draw for each byte of a megabyte would hold the event loop for 0.1 s."""
    draws = 0

    class Counting(random.Random):
        def random(self) -> float:
            nonlocal draws
            draws += 1
            return super().random()

    healthy = bytes(100_000)
    damaged = Corrupt(mode="bits")._damage(bytearray(healthy), Counting(1), first=True)  # noqa: SLF001 - the pure function that damages a body
    assert 800 < sum(map(bool, damaged)) < 1200
    assert draws < 5000


@pytest.mark.parametrize("mode", ["garbage", "bits", "json"])
def test_other_requests_get_turns_while_a_large_body_is_damaged(mode: Any) -> None:
    """Ten megabytes at once would hold the event loop for 0.1 s."""
    healthy = b"x" * 2**22
    received: list[bytes] = []
    turns = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": healthy})

    async def send(message: Message) -> None:
        received.append(message.get("body", b""))

    async def count_turns() -> None:
        nonlocal turns
        while len(received) < 2:
            turns += 1
            await asyncio.sleep(0)

    tools = Mock(over=lambda: False, draw=0.5, give_way=lambda: asyncio.sleep(0))

    async def serve() -> None:
        injecting = Corrupt(mode=mode).inject(app, {"type": "http", "method": "GET"}, Mock(), send, tools)
        await asyncio.gather(injecting, count_turns())

    asyncio.run(serve())
    assert turns > 10
    assert len(received[1]) == len(healthy)
    assert received[1] != healthy
