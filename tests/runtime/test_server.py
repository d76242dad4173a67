"""uvicorn as the service runs it; what SIGTERM does is in test_draining.py."""

import gc
import threading
import time

from starlette.applications import Starlette

from chaosapi.runtime.lifespan import Life
from chaosapi.runtime.server import Server
from chaosapi.settings import Settings


def test_what_was_there_at_the_start_is_never_collected_again() -> None:
    """A full collection that walked over all modules would hold up every request."""
    server = Server(Life(Starlette(), []), Settings(port=0))
    thread = threading.Thread(target=server.run)
    before = gc.get_freeze_count()
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        server.should_exit = True
        thread.join()
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()
