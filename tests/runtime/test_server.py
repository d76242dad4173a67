"""The service's uvicorn server; tests/runtime/test_draining.py tests SIGTERM."""

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
from tests.patience import until


@contextmanager
def serving(settings: Settings = Settings(port=0)) -> Iterator[None]:  # noqa: B008 - frozen
    """Run a server until the block ends."""
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


def test_objects_from_startup_are_never_collected_again() -> None:
    """A full collection over all modules would delay every request."""
    before = gc.get_freeze_count()
    with serving():
        until(lambda: gc.get_freeze_count() > before + 10_000)


def test_the_switch_interval_is_short_with_an_admin_port() -> None:
    """Only while the server runs; as a guest, chaosapi leaves the interpreter of its host unchanged."""
    before = sys.getswitchinterval(), gc.get_threshold()
    with serving():
        assert (sys.getswitchinterval(), gc.get_threshold()) == before
    with serving(Settings(port=0, admin_port=0)):
        assert sys.getswitchinterval() < before[0]
        assert gc.get_threshold()[2] > before[1][2]
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_free_memory_is_returned_only_in_the_services_own_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a host app's process it is not."""
    told: list[str] = []

    async def run(_: heap.GiveBack) -> None:
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
