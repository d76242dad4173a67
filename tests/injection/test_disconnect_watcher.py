"""What one held request reads ahead of the app."""

import asyncio

import pytest
from starlette.types import Message

from chaosapi.injection.disconnect import DisconnectWatcher


@pytest.mark.parametrize(("chunk", "most"), [(2**18, 1), (2**15, 2), (1, 4)])
def test_little_of_a_long_body_is_read_ahead(chunk: int, most: int) -> None:
    """Thousands of held requests may have long bodies: each keeps one large message, or a few small ones."""
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        sent += 1
        return {"type": "http.request", "body": bytes(chunk), "more_body": True}

    async def hold() -> list[int]:
        watcher = DisconnectWatcher(receive, lambda: False)
        counts = []
        with watcher.watch(lambda: None):
            for _ in range(2):
                for _ in range(100):
                    await asyncio.sleep(0)
                counts.append(sent)
                await watcher.receive()
        watcher.close()
        return counts

    assert asyncio.run(hold()) == [most, most + 1]
