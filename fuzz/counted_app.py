"""The app whose counts are compared: `uvicorn fuzz.counted_app:app`."""

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

import chaosapi
from chaosapi.settings import Settings

app = FastAPI()


async def answer(request: Request) -> PlainTextResponse:
    """Answer with some text, also to HEAD."""
    await request.body()
    return PlainTextResponse("some text that is long enough to be damaged")


for name in ("plain", "error", "slow", "cut", "bad", "reset", "raise", "mixed", "held"):
    app.add_api_route(f"/{name}/{{number}}", answer, methods=["GET", "HEAD", "POST"])
chaosapi.install(app, Settings(access_log=False, mark_responses=True, max_held=100_000))
