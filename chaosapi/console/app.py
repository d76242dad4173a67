"""The console as an application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from nicegui import Client, ui
from starlette.types import ASGIApp

from chaosapi.console import login
from chaosapi.console.access import PAGES, AccessMiddleware, Sessions
from chaosapi.console.bounds import drop_abandoned_page
from chaosapi.console.page import overview
from chaosapi.console.query import query
from chaosapi.console.sources import Addresses, Sources

EVERY = 2.0
"""Seconds between two polls of a source, and between two updates of a page."""


def create(addresses: Addresses, *, token: str | None, password: str | None, every: float = EVERY) -> ASGIApp:
    """Create the console; `token` is its admin token, if it has one, `password` that of the login, if there is one.

    NiceGUI keeps its pages in module state, so a process can have one console only.
    """
    sources = Sources(addresses, token, time.time)
    sessions = Sessions(password, time.monotonic)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        polling = asyncio.create_task(sources.poll_all(every))
        yield
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(login.router(sessions))
    ui.page(PAGES["Overview"], title="chaosapi console")(overview(sources, every))
    ui.page(PAGES["Query"], title="chaosapi query")(query(sources, every))
    ui.run_with(
        app,
        tailwind=False,
        dark=None,
        language="en-US",
        show_welcome_message=False,
        message_history_length=100,
        reconnect_timeout=10,
    )
    return AccessMiddleware(app, sessions, lambda: drop_abandoned_page(Client.instances, sources.views))
