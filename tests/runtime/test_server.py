"""uvicorn as the service runs it; what SIGTERM does is in test_draining.py."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette

import chaosapi
from chaosapi.runtime import heap
from chaosapi.runtime.lifespan import Life
from chaosapi.runtime.server import Server
from chaosapi.settings import Settings
from tests.effects.hosts import until


@contextmanager
def serving() -> Iterator[None]:
    """Run a server for as long as the block lasts."""
    server = Server(Life(Starlette(), []), Settings(port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()
        gc.unfreeze()


def test_what_was_there_at_the_start_is_never_collected_again() -> None:
    """A full collection that walked over all modules would hold up every request."""
    before = gc.get_freeze_count()
    with serving():
        assert gc.get_freeze_count() > before + 10_000


def test_free_memory_is_given_back_while_it_serves_and_never_in_somebody_elses_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process is ours here; in an app that chaosapi was installed in it is not."""
    told: list[str] = []

    async def run() -> None:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    monkeypatch.setattr(heap, "run", run)
    app = FastAPI()
    chaosapi.install(app)
    with TestClient(app) as client:
        assert client.get("/healthz").status_code == 200
    assert told == []
    with serving():
        until(lambda: told == ["begun"])
    assert told == ["begun", "ended"]
