"""Clients that each always have one request in flight: `python _crowd.py HOST PORT CONNECTIONS NAME`.

Each sends the next request as soon as the last is answered, with `x-crowd: NAME`. Ends when standard input does.
"""

import asyncio
import resource
import sys
from typing import cast

import uvloop

_AT_ONCE = 200


class Client(asyncio.Protocol):
    """One connection. Responses are not chunked here: their content-length tells their end."""

    _transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the first request."""
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Send the next request once the answer is complete."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            self._answer = b""
            self._transport.write(self._request)


async def crowd(host: str, port: int, connections: int, name: str) -> None:
    """Connect all clients, print a line, and let them send requests."""
    loop = asyncio.get_running_loop()
    request = f"GET /api/products/p-0001 HTTP/1.1\r\nhost: {host}:{port}\r\nx-crowd: {name}\r\n\r\n".encode()
    clients = []
    for start in range(0, connections, _AT_ONCE):
        batch = range(min(_AT_ONCE, connections - start))
        made = await asyncio.gather(*(loop.create_connection(lambda: Client(request), host, port) for _ in batch))
        clients += [client for _, client in made]
    for client in clients:
        client.send()
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
