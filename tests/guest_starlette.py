"""A Starlette app that has chaosapi installed: `uvicorn tests.guest_starlette:app`."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import chaosapi
from chaosapi.settings import Settings


async def pid(_: Request) -> PlainTextResponse:
    """Name the process that answers."""
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/pid", pid)])
chaosapi.install(app, Settings(access_log=False))
