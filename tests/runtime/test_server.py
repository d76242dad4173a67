"""uvicorn as the service runs it; what SIGTERM does is in test_draining.py."""

import asyncio
import gc
import sys
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
from chaosapi.runtime.lifespan import LifespanMiddleware
from chaosapi.runtime.server import Server
from chaosapi.settings import Settings
from tests.effects.hosts import until


@contextmanager
def serving(settings: Settings = Settings(port=0)) -> Iterator[None]:  # noqa: B008 - frozen
    """Run a server for as long as the block lasts."""
    server = Server(LifespanMiddleware(Starlette(), []), settings)
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
        until(lambda: gc.get_freeze_count() > before + 10_000)


def test_threads_take_short_turns_where_the_admin_port_has_one() -> None:
    """And only while it serves; a guest leaves its host's interpreter as it is, with an admin port too."""
    before = sys.getswitchinterval(), gc.get_threshold()
    with serving():
        assert (sys.getswitchinterval(), gc.get_threshold()) == before
    with serving(Settings(port=0, admin_port=0)):
        assert sys.getswitchinterval() < before[0]
        assert gc.get_threshold()[2] > before[1][2]
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


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
