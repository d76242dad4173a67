"""The kill switch and the halt over HTTP: they work in any state of the store."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive

from tests.conftest import MakeClient
from tests.patience import patience
from tests.store.test_poisoned import GARBAGE

ERROR = {"effect": {"type": "error"}}
ALONE = {"applied": 1, "known": 1}


def failing(client: TestClient) -> bool:
    """Return whether user requests fail."""
    return client.get("/api/products").status_code == 503


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of the store."""
    return tmp_path / "faults.db"


@pytest.fixture
def client(make_client: MakeClient, path: Path) -> TestClient:
    """Return a client of a service on an SQLite file with a fault that fails all users."""
    client = make_client(store=f"sqlite:///{path}")
    client.post("/admin/faults", json=ERROR).raise_for_status()
    assert failing(client)
    return client


def test_without_the_store_the_kill_switch_ends_faults_and_reports_it(client: TestClient, path: Path) -> None:
    """No change is accepted until the store is back; the stop is stored then, and the fault stays ended."""
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    ended = client.delete("/admin/faults", params={"reason": "enough"})
    assert (ended.status_code, ended.json()) == (200, {"ended": 1, "revision": 1, "stored": False, "replicas": ALONE})
    assert not failing(client)
    assert [fault["state"] for fault in client.get("/admin/faults").json()["faults"]] == ["ended"]
    assert client.post("/admin/faults", json=ERROR).status_code == 503
    elsewhere.rename(path)
    client.post("/admin/faults", json=ERROR).raise_for_status()  # waits for what was to be stored before
    assert failing(client)
    assert "enough" in [entry["reason"] for entry in client.get("/admin/audit").json()["entries"]]
    assert client.delete("/admin/faults").json() == {"ended": 1, "revision": 4, "stored": True, "replicas": ALONE}


def test_a_halt_without_the_store_refuses_faults(client: TestClient, path: Path) -> None:
    """The halt is shown, and it can be lifted only after it is stored."""
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    halted = client.post("/admin/halt", json={"reason": "incident"})
    assert halted.status_code == 200
    assert (halted.json()["stored"], halted.json()["halt"]["reason"]) == (False, "incident")
    assert client.get("/admin/faults").json()["halt"]["reason"] == "incident"
    assert client.post("/admin/faults", json=ERROR).status_code == 503
    assert client.delete("/admin/halt").status_code == 503
    elsewhere.rename(path)
    lifted = client.delete("/admin/halt")
    assert (lifted.status_code, lifted.json()["halt"]) == (200, None)
    assert not failing(client)


@pytest.mark.parametrize("call", ["DELETE /admin/faults", "POST /admin/halt"])
def test_a_stop_overwrites_an_unreadable_store(client: TestClient, path: Path, call: str) -> None:
    """The response has the number of ended faults, and `stored` is true."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE state SET revision = 70, state = ?", (GARBAGE,))
        db.commit()
    assert client.post("/admin/faults", json=ERROR).status_code == 503
    answer = client.request(*call.split())
    assert answer.status_code == 200
    assert (answer.json()["stored"], answer.json()["revision"]) == (True, 71)
    assert not failing(client)
    assert client.get("/admin/faults").json()["faults"] == []


def test_the_stop_routes_describe_no_store_errors(client: TestClient) -> None:
    """Lifting a halt is an ordinary change, which needs the store."""
    paths = client.get("/admin/openapi.json").json()["paths"]
    assert "503" not in paths["/admin/faults"]["delete"]["responses"]
    assert "503" not in paths["/admin/halt"]["post"]["responses"]
    assert "503" in paths["/admin/halt"]["delete"]["responses"]


@pytest.mark.parametrize(
    "wait", ["1h", "31", "-1", "nonsense", "", "nan", "9" * 400, "\ud800".encode("utf-8", "surrogatepass")]
)
@pytest.mark.parametrize(
    "call", ["DELETE /admin/faults", "DELETE /admin/faults/", "POST /admin/halt", "POST /admin/halt/"]
)
def test_a_stop_works_with_any_parameters(client: TestClient, call: str, wait: str | bytes) -> None:
    """A malformed wait is 0, a too long wait is the maximum, and a trailing slash is ignored."""
    method, address = call.split()
    assert client.request(method, f"{address}?wait={quote(wait)}", follow_redirects=False).status_code == 200
    assert not failing(client)


async def asked(app: ASGIApp, method: str, path: str, receive: Receive) -> int:
    """Send a request with these parts of a body; return the status."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-length", b"18")],
        "client": ("127.0.0.1", 1),
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(patience(10)):
        await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize("parts", [[], [b'{"reason": '], [b'{"reason": ', None]], ids=["none", "half", "client leaves"])
def test_a_halt_ends_faults_before_its_body_is_read(client: TestClient, parts: list[bytes | None]) -> None:
    """The halt is stored without a reason if the body does not arrive or the client disconnects."""
    coming = iter(parts)
    failed: list[bool] = []

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def slow() -> Message:
        failed.append(await asked(client.app, "GET", "/api/products", nothing) == 503)
        part = next(coming, b"")
        if part is None:
            return {"type": "http.disconnect"}
        if not part:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": True}

    assert client.portal is not None
    assert client.portal.call(asked, client.app, "POST", "/admin/halt", slow) == 200
    assert set(failed) == {False}
    assert client.get("/admin/faults").json()["halt"]["reason"] == ""
    assert client.get("/admin/audit").json()["entries"][0]["action"] == "halt"


def test_the_reason_of_a_halt_may_arrive_in_a_later_packet(client: TestClient) -> None:
    """Many clients send head and body in separate packets."""

    async def apart() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b'{"reason": "fire"}'}

    assert client.portal is not None
    assert client.portal.call(asked, client.app, "POST", "/admin/halt", apart) == 200
    assert client.get("/admin/faults").json()["halt"]["reason"] == "fire"


@pytest.mark.parametrize("address", ["/admin/halt", "/admin/halt/"])
@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b'{"reason": "x", "by": "me"}', {}, "x"),
        (b'{"reason": "x"}', {"content-type": "text/plain"}, "x"),
        (b'{"reason": null}', {}, ""),
        (b'{"reason": ["x"]}', {}, ""),
        (b'{"reason": "\\ud800"}', {}, ""),
        (b'{"reason": "x", "reason": "y"}', {}, ""),
        (b"null", {}, ""),
        (b'["x"]', {}, ""),
        (b"stop", {}, ""),
        (b"\xff\xfe", {}, ""),
        (b"[" * 5000, {}, ""),
        (b'{"reason": "' + b"x" * 2_000_000 + b'"}', {}, ""),
        (b"reason=stop", {"content-type": "application/x-www-form-urlencoded"}, ""),
        (b"stop", {"content-type": "multipart/form-data"}, ""),
        (b'{"reason": "x"}', {"content-encoding": "gzip"}, ""),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_halt_works_with_any_body(
    client: TestClient, address: str, body: bytes, headers: dict[str, str], reason: str
) -> None:
    """A valid reason is kept; a malformed body is ignored."""
    halted = client.post(address, content=body, headers={"content-type": "application/json", **headers})
    assert (halted.status_code, halted.json()["halt"]["reason"]) == (200, reason)
    assert not failing(client)
    assert client.post("/admin/faults", json=ERROR).status_code == 409
