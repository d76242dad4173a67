"""The console as an application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from nicegui import Client, ui
from starlette.types import ASGIApp

from chaosapi.console import login
from chaosapi.console.access import AccessMiddleware, Sessions
from chaosapi.console.bounds import drop_abandoned_page
from chaosapi.console.page import page
from chaosapi.console.sources import Addresses, Sources

EVERY = 2.0
"""Seconds between two looks at the sources, and between two updates of a page."""


def create(addresses: Addresses, *, token: str | None, password: str | None, every: float = EVERY) -> ASGIApp:
    """Make the console; `token` is the admin token where it has one itself, `password` what people log in with.

    NiceGUI keeps its pages in its own module, so a process has one console.
    """
    room = Sources(addresses, token, time.time)
    sessions = Sessions(password, time.monotonic)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(room.poll_all(every))
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(login.router(sessions))
    ui.page("/", title="chaosapi console")(page(room, every))
    ui.run_with(
        app,
        tailwind=False,
        dark=None,
        show_welcome_message=False,
        message_history_length=100,
        reconnect_timeout=10,
    )
    return AccessMiddleware(app, sessions, lambda: drop_abandoned_page(Client.instances, room.views))
