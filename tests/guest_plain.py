"""An ASGI app without a framework, with chaosapi installed: `uvicorn tests.guest_plain:app`."""

import os

from starlette.types import Receive, Scope, Send

import chaosapi
from chaosapi.settings import Settings


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the process id; without lifespan support."""
    assert scope["type"] == "http"
    body = f"{os.getpid()}".encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


app = chaosapi.ChaosMiddleware(plain, routes=["/pid"], settings=Settings(access_log=False))
