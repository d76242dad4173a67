"""The kill switch and the halt over HTTP: they answer whatever has become of the store."""

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
    """Tell whether users are failed."""
    return client.get("/api/products").status_code == 503


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the file of the store."""
    return tmp_path / "faults.db"


@pytest.fixture
def client(make_client: MakeClient, path: Path) -> TestClient:
    """Give a client of a service on a file, which fails its users."""
    client = make_client(store=f"sqlite:///{path}")
    client.post("/admin/faults", json=ERROR).raise_for_status()
    assert failing(client)
    return client


def test_with_a_store_that_is_gone_faults_end_and_the_answer_says_so(client: TestClient, path: Path) -> None:
    """Until the store is back no change is made; then it has the call, and the fault stays ended."""
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


def test_a_halt_without_a_store_holds(client: TestClient, path: Path) -> None:
    """It is shown, it refuses new faults, and only a store that has it can lift it."""
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
def test_a_store_that_holds_garbage_is_written_over(client: TestClient, path: Path, call: str) -> None:
    """The answer says how many faults ended here, and that the store knows."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE state SET revision = 70, state = ?", (GARBAGE,))
        db.commit()
    assert client.post("/admin/faults", json=ERROR).status_code == 503
    answer = client.request(*call.split())
    assert answer.status_code == 200
    assert (answer.json()["stored"], answer.json()["revision"]) == (True, 71)
    assert not failing(client)
    assert client.get("/admin/faults").json()["faults"] == []


def test_the_description_does_not_speak_of_a_store_that_keeps_it_from_working(client: TestClient) -> None:
    """Lifting a halt is a change like any other."""
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
def test_nothing_said_beside_it_keeps_a_stop_from_working(client: TestClient, call: str, wait: str | bytes) -> None:
    """A wait that cannot be read is none, one that is too long is the longest; a slash more means the same."""
    method, address = call.split()
    assert client.request(method, f"{address}?wait={quote(wait)}", follow_redirects=False).status_code == 200
    assert not failing(client)


async def asked(app: ASGIApp, method: str, path: str, receive: Receive) -> int:
    """Send a request whose body comes as it comes; return the status."""
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
    """It is stored without the reason where that does not come, or the client leaves while it sends it."""
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


def test_the_reason_of_a_halt_may_come_after_its_head(client: TestClient) -> None:
    """Many clients send the body apart."""

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
def test_no_body_keeps_a_halt_from_working(
    client: TestClient, address: str, body: bytes, headers: dict[str, str], reason: str
) -> None:
    """A reason that can be read is kept; what cannot be understood is left out."""
    halted = client.post(address, content=body, headers={"content-type": "application/json", **headers})
    assert (halted.status_code, halted.json()["halt"]["reason"]) == (200, reason)
    assert not failing(client)
    assert client.post("/admin/faults", json=ERROR).status_code == 409
