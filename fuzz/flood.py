"""Flood a service with requests: `python -m fuzz.flood PORT CONNECTIONS [SECONDS]`; prints a line when connected."""

import asyncio
import sys
import time
from typing import Final

from fuzz.wire import Connection

_ITEM: Final = b'{"product_id":"p-0001"}'
_POST: Final = b"POST /api/cart/c-1/items HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
_ASKED: Final = (
    b"GET /api/products HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /api/search?q=red HTTP/1.1\r\nhost: localhost\r\n\r\n",
    _POST + b"content-length: %d\r\n\r\n%s" % (len(_ITEM), _ITEM),
)


async def _client(port: int, until: float, number: int) -> None:
    while time.monotonic() < until:
        try:
            connection = await Connection.open("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        while not connection.closed and time.monotonic() < until:
            await connection.exchange(_ASKED[number % len(_ASKED)] * 8, 8, 5.0)
        connection.close()


async def _flood(port: int, connections: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    clients = [asyncio.create_task(_client(port, until, number)) for number in range(connections)]
    await asyncio.sleep(0.3)
    sys.stdout.write("in\n")
    sys.stdout.flush()
    await asyncio.gather(*clients)


if __name__ == "__main__":
    asyncio.run(_flood(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 60.0))
