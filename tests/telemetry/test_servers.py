"""What is counted is what the client saw, under each server that runs ASGI apps."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.patience import patience
from tests.servers import COMMANDS, running, until
from tests.telemetry.test_exchanges import Counted, inject, seen

pytestmark = pytest.mark.slow

SERVERS = [name for name in COMMANDS if name not in {"gunicorn-preload", "gunicorn-uvicorn"}]
ANSWERED = ["/raises", "/silent", "/garbage-message", "/garbage-header", "/known-length", "/chunked"]
"""What ends while the client waits, if only by the server's own answer."""
BROKEN = ["/breaks", "/unfinished"]
"""What breaks off after the app has started its answer."""


@pytest.fixture(scope="module", params=SERVERS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Give a client of the scripted app under each server."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with running(request.param, "tests.telemetry.scripted:app", folder) as served:
        until(lambda: served.get("/healthz").is_success)
        with httpx2.Client(base_url=served.url) as client:
            yield client


def test_every_answer_is_counted_with_the_status_that_the_client_saw(client: httpx2.Client) -> None:
    counted = {}
    saw = {}
    for path in ANSWERED:
        saw[path] = {seen(client, path, timeout=patience(20)): 1}
        counted[path] = Counted(client).wait(path)
    assert counted == saw


def test_no_answer_that_breaks_off_is_fast(client: httpx2.Client) -> None:
    for path in BROKEN:
        assert seen(client, path, timeout=patience(20)) in {"000", "500"}
        Counted(client).wait(path)
        assert Counted(client).fast(path, "30.0") == 0


def test_an_answer_ends_with_its_last_byte(client: httpx2.Client) -> None:
    """What the app does afterwards is no latency."""
    assert seen(client, "/goes-on") == "200"
    assert Counted(client).wait("/goes-on") == {"200": 1}
    assert Counted(client).fast("/goes-on", "1.0") == 1


def test_who_leaves_while_a_fault_holds_the_request_gets_no_answer(client: httpx2.Client) -> None:
    inject(
        client, {"type": "latency", "distribution": {"type": "constant", "value": 2}}, target={"routes": ["/streams"]}
    )
    for _ in range(3):
        assert seen(client, "/streams", timeout=0.2) == "000"
    deadline = time.monotonic() + patience(15)
    while Counted(client).statuses("/streams") != {"000": 3}:
        assert time.monotonic() < deadline, Counted(client).statuses("/streams")
        time.sleep(0.05)
    assert Counted(client).fast("/streams", "30.0") == 0
