"""The audit: the actors that it names, and the changes that it refuses to store."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from chaosapi.api.audit import AuditedChanges
from chaosapi.effects import Error
from chaosapi.effects.error import Json
from chaosapi.errors import Invalid
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import Applied, AuditEntry, State
from chaosapi.injection.engine import Engine
from chaosapi.routing import RouteTable
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.store import MemoryStore
from tests.conftest import MakeClient

ERROR = {"effect": {"type": "error"}}


def actor(client: TestClient, name: str, **headers: str) -> str:
    """Make a change under a name; return the actor in the audit."""
    sent = [(b"x-chaos-actor", name.encode())]
    sent += [(key.encode(), value.encode()) for key, value in headers.items()]
    client.post("/admin/faults", json=ERROR, headers=sent).raise_for_status()
    entries = client.get("/admin/audit?limit=1", headers=headers).json()["entries"]
    return str(entries[0]["actor"])


def test_without_a_token_the_actor_is_marked_as_unverified(client: TestClient) -> None:
    """A client chooses the header; without a header the actor is the peer's address."""
    assert actor(client, "alice") == "alice (unverified)"
    assert actor(client, "127.0.0.1") == "127.0.0.1 (unverified)"
    assert actor(client, "") == "testclient"
    assert actor(client, "  ") == "testclient"


def test_with_the_token_the_actor_is_verified_except_for_reserved_names(make_client: MakeClient) -> None:
    """A holder of the token may choose a name, but not sign as the guard."""
    client = make_client(admin_token="secret")
    authorization = "Bearer secret"
    assert actor(client, "alice", authorization=authorization) == "alice"
    assert actor(client, "Jörg 李", authorization=authorization) == "Jörg 李"
    for ours in ("guard", "Store", "killswitch"):
        assert actor(client, ours, authorization=authorization) == f"{ours} (unverified)"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("al\x1b[31mice", "al[31mice"),
        ("al\u202eice", "alice"),
        ("al\u2066ice\u2069", "alice"),
        ("al\u200bice", "alice"),
        ("al\u2028ice", "alice"),
        ("al\x9b1mice", "al1mice"),
        ("\u202e", "testclient"),
        ("a" * 1000, "a" * 200),
    ],
)
def test_an_actor_has_no_control_characters(client: TestClient, name: str, kept: str) -> None:
    """Terminal escapes and direction marks are removed, and the length is limited."""
    assert actor(client, name).removesuffix(" (unverified)") == kept


def unchecked(body: Any) -> Fault:
    """Return a fault that bypasses validation, as a bug in validation would."""
    return Fault(name="f", effect=Error()).model_copy(
        update={"effect": Error().model_copy(update={"body": Json(json.dumps(body))})}
    )


def nested(levels: int) -> Any:
    """Return nested lists."""
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    "body",
    [
        {"a": "\ud800"},
        {"\udfff": 1},
        nested(197),
        nested(300),
        [float("nan")],
    ],
    ids=["text", "key", "just too deep", "too deep", "no number"],
)
def test_a_fault_that_cannot_be_read_back_is_not_stored(body: Any) -> None:
    """The last check before the store refuses the fault, and the store keeps working."""
    store = MemoryStore(lambda: 1.0)
    engine = Engine(RouteTable.of([]), store.now)
    kill = KillSwitch(store, engine, engine.load, None)
    request = Request({"type": "http", "headers": [], "client": None})

    def apply(fault: Fault) -> State:
        change = changes.create(fault, 1.0)
        audited = AuditedChanges(store, kill, trusted=False)
        return asyncio.run(audited.apply(request, change, "create", now=1.0, fault="f")).after

    with pytest.raises(Invalid, match="cannot be stored"):
        apply(unchecked(body))
    assert asyncio.run(store.audit(10)) == []
    assert apply(unchecked({"a": ["é"]})).revision == 1


class OutrunStore(MemoryStore):
    """A store that first computes each change on an older state, as Redis does after a lost race."""

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        change(State())
        return await super().apply(change, entry)


def test_a_recomputed_change_returns_the_state_of_the_last_computation() -> None:
    """PUT decides between 200 and 201 by this state, so the outdated one would give a wrong status."""
    store = OutrunStore(lambda: 1.0)
    engine = Engine(RouteTable.of([]), store.now)
    audited = AuditedChanges(store, KillSwitch(store, engine, engine.load, None), trusted=False)
    request = Request({"type": "http", "headers": [], "client": None})

    async def replace_twice() -> list[Applied]:
        faults = [Fault(name="f", effect=Error(), rate=rate) for rate in (0.1, 0.2)]
        return [await audited.apply(request, changes.replace(each, 1.0), "replace", now=1.0) for each in faults]

    first, second = asyncio.run(replace_twice())
    assert first.before == State()
    assert second.before == first.after
    assert second.after.find("f").spec.rate == 0.2


def test_a_change_acknowledged_by_one_worker_is_visible_on_all(make_client: MakeClient, tmp_path: Path) -> None:
    """At once, by its name and in the list, also its end; without the store they show the last snapshot."""
    file = tmp_path / "faults.db"
    here, there = (make_client(store=f"sqlite:///{file}") for _ in range(2))
    for number in range(10):
        name = f"f-{number}"
        path = f"/admin/faults/{name}"
        here.put(path, json=ERROR).raise_for_status()
        listed = there.get("/admin/faults?limit=1").json()["faults"]
        assert (listed[0]["name"], listed[0]["state"]) == (name, "active")
        here.delete(path).raise_for_status()
        assert there.get(path).json()["state"] == "ended"
        here.put(path, json=ERROR).raise_for_status()
        assert there.get(f"{path}/score").status_code == 200
    assert there.get("/admin/faults/nobody").status_code == 404
    file.rename(tmp_path / "elsewhere")
    assert there.get("/admin/faults/nobody").status_code == 404
    assert there.get("/admin/faults/f-9").status_code == 200
    assert there.get("/admin/faults").status_code == 200
