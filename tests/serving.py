"""Serve an app with uvicorn in a thread of this process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import uvicorn
from starlette.types import ASGIApp

from tests.patience import patience


@contextmanager
def serving(app: ASGIApp, http: str = "httptools", root_path: str = "") -> Iterator[httpx2.Client]:
    """Serve the app, and give a client of it; `http` is the name of the HTTP implementation."""
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, http=http, root_path=root_path))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        with httpx2.Client(base_url="http://127.0.0.1:{}".format(*bound.getsockname()[1:])) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(patience(20))
        bound.close()
