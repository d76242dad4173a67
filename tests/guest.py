"""An app with chaosapi installed, for servers in separate processes: `uvicorn tests.guest:app`."""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

import chaosapi
from chaosapi.settings import Settings

app = FastAPI()


@app.get("/page")
async def page() -> PlainTextResponse:
    """Return a body larger than a socket's buffer."""
    return PlainTextResponse("x" * 1_000_000)


@app.get("/word")
async def word() -> str:
    """Return a small body."""
    return "fine"


@app.get("/pid")
async def pid() -> int:
    """Name the process that answers."""
    return os.getpid()


@app.get("/call")
async def call() -> str:
    """Call a dependency."""
    try:
        async with chaosapi.point("db"):
            return "fine"
    except (chaosapi.DependencyError, ConnectionError, RuntimeError):
        return "failed"


@app.get("/events")
async def events() -> StreamingResponse:
    """Stream until the client leaves."""

    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(ticks(), media_type="text/event-stream")


_ADMIN_PORT = os.environ.get("GUEST_ADMIN_PORT")
chaosapi.install(
    app,
    Settings(access_log=False, max_held=1000, admin_port=int(_ADMIN_PORT) if _ADMIN_PORT else None),
    points=["db"],
)
