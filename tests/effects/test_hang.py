import asyncio
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.effects.conftest import Inject, Raw
from tests.patience import patience

pytestmark = pytest.mark.slow


def held(url: str) -> float:
    """Return the number of held requests."""
    (line,) = [
        line for line in httpx2.get(f"{url}/admin/metrics").text.splitlines() if line.startswith("chaosapi_held")
    ]
    return float(line.split()[1])


async def until_held(url: str, count: float) -> None:
    """Wait until a number of requests is held."""
    while held(url) != count:
        await asyncio.sleep(0.02)


def test_the_connection_is_closed_without_a_response_at_the_latest(inject: Inject, raw: Raw) -> None:
    """After `at_most`; no byte is received."""
    url = inject({"type": "hang", "at_most": "300ms"})
    assert raw(url, "/api/products") == (b"", "closed")
    delay = httpx2.get(f"{url}/admin/faults/f").json()["receipt"]["delay"]
    assert delay["planned"]["p50"].startswith(("299", "300"))


@pytest.mark.parametrize("body", [b"", b"x" * 100])
def test_a_disconnect_ends_the_hold(inject: Inject, body: bytes) -> None:
    """Also after a body."""
    url = inject({"type": "hang", "at_most": "1h"}, schedule={"duration": "2h"})
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as client:
        head = f"POST /api/checkout HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        asyncio.run(asyncio.wait_for(until_held(url, 1), patience(30)))
    asyncio.run(asyncio.wait_for(until_held(url, 0), patience(30)))


def test_the_end_of_the_fault_releases_held_requests(inject: Inject) -> None:
    """The connection is closed, so that the client can retry."""
    url = inject({"type": "hang", "at_most": "1h"}, schedule={"duration": "2h"})

    async def story() -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=patience(30)) as client:
            request = asyncio.create_task(client.get("/api/products"))
            await until_held(url, 1)
            await client.delete("/admin/faults")
            with pytest.raises(httpx2.RemoteProtocolError):
                await request
            assert (await client.get("/api/products")).status_code == 200

    asyncio.run(story())
