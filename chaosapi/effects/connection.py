"""How an effect breaks the connection itself, below HTTP."""

import functools
import logging
import socket
import struct

from starlette.types import Receive, Scope

_LINGER_OFF = struct.pack("ii", 1, 0)


async def drop(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Close the connection without what is still due of the answer; return once the server has noticed.

    With `reset` the client sees a TCP RST: SO_LINGER 0 throws away what was not sent (socket(7)). Otherwise what was
    written still arrives, and then the end. Needs uvicorn's connection, which the telemetry layer finds; under
    another server the request just ends unanswered, and one warning says so.
    """
    transport = scope.get("chaosapi.transport")
    if transport is None:
        _warn_once()
        return
    if reset:
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.fileno() >= 0:  # below: the client was faster
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
        transport.abort()
    else:
        transport.close()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Return when the client has left; what it still sends is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


@functools.cache
def _warn_once() -> None:
    logging.getLogger(__name__).warning("this server hides its connections: requests are left unanswered instead")
