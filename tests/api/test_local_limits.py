"""A replica's settings decide which faults act on it, whichever replica accepted them: two services on one store."""

import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import MakeClient

ERROR: dict[str, Any] = {"name": "f", "effect": {"type": "error"}}
HEALTH: dict[str, Any] = {"name": "f", "effect": {"type": "health"}}
CPU: dict[str, Any] = {"name": "f", "effect": {"type": "cpu", "cores": 0.001}}
MEMORY: dict[str, Any] = {"name": "f", "effect": {"type": "memory", "limit": "2MiB", "rate": "1KiB"}}
CRASH: dict[str, Any] = {"name": "f", "effect": {"type": "crash", "after": "1h"}, "schedule": {"duration": "2h"}}

LAWS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"effects_denied": "error"}, ERROR, "effect.type: error is switched off here (CHAOSAPI_EFFECTS_DENIED)"),
    ({"effects_denied": "health"}, HEALTH, "effect.type: health is switched off here (CHAOSAPI_EFFECTS_DENIED)"),
    ({"allow_crash": False}, CRASH, "effect.type: crash is switched off unless CHAOSAPI_ALLOW_CRASH=true"),
    ({"max_cpu": 0.0005}, CPU, "effect.cores: at most 0.0005 cores (CHAOSAPI_MAX_CPU)"),
    ({"max_memory": "1MiB"}, MEMORY, "effect.limit: at most 1048576 bytes (CHAOSAPI_MAX_MEMORY)"),
    ({"max_rate": 0.5}, ERROR, "rate: at most 0.5 (CHAOSAPI_MAX_RATE)"),
    ({"max_duration": "1m"}, ERROR, "schedule.duration: with start_after at most 60 s (CHAOSAPI_MAX_DURATION)"),
]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of an SQLite store."""
    return f"sqlite:///{tmp_path / 'faults.db'}"


def at_work() -> list[str]:
    """Return the threads of process effects."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.removeprefix("chaosapi-") in {"health", "cpu", "memory", "crash", "pause"}]


def denied(client: TestClient, name: str = "f") -> list[str]:
    """Return the reasons of the fault's denials, as this replica reports them."""
    return [each["reason"] for each in client.get(f"/admin/faults/{name}").json()["receipt"]["denied"]]


def skipped(client: TestClient) -> list[str]:
    """Return the reasons for which requests were skipped."""
    lines = client.get("/admin/metrics").text.splitlines()
    return [line for line in lines if line.startswith("chaosapi_fault_skipped_total") and 'reason="denied"' in line]


@pytest.mark.parametrize(("settings", "fault", "reason"), LAWS)
def test_a_fault_from_another_replica_does_not_act_against_local_settings(
    make_client: MakeClient, url: str, settings: dict[str, Any], fault: dict[str, Any], reason: str
) -> None:
    """Every replica reports which replica denies the fault, and why; also after a restart."""
    open_ = make_client(store=url, allow_crash=True)
    assert open_.post("/admin/faults", json=fault).status_code == 201
    acting = at_work()
    strict = make_client(**{"store": url, "allow_crash": True, **settings})
    assert denied(strict) == [reason]
    assert at_work() == acting  # those of the replica that allows it
    if fault["effect"]["type"] == "error":
        assert [strict.get("/api/products").status_code for _ in range(3)] == [200] * 3
        assert open_.get("/api/products").status_code == 503
    assert strict.get("/readyz").status_code == 200
    assert len(skipped(strict)) == 1
    while not denied(open_):
        pass  # the other one's next report
    (shown,) = open_.get("/admin/faults/f").json()["receipt"]["denied"]
    names = [each["id"] for each in open_.get("/admin/replicas").json()["replicas"]]
    assert shown["reason"] == reason
    assert shown["replica"] in names
    listed = strict.get("/admin/faults").json()["faults"]
    assert [each["receipt"]["denied"][0]["reason"] for each in listed] == [reason]
    open_.delete("/admin/faults").raise_for_status()


def test_older_faults_take_precedence_and_a_denied_fault_acts_later(make_client: MakeClient, url: str) -> None:
    """With a limit of one fault, the younger acts after the older has ended."""
    other = make_client(store=url)
    for name in ("older", "younger"):
        other.post("/admin/faults", json={**ERROR, "name": name, "target": {"headers": {"x-kind": name}}})
    small = make_client(store=url, max_faults=1)
    answers = [small.get("/api/products", headers={"x-kind": name}).status_code for name in ("older", "younger")]
    assert answers == [503, 200]
    why = "1 faults are live, which is the most (CHAOSAPI_MAX_FAULTS): end one first"
    assert [denied(small, name) for name in ("older", "younger")] == [[], [why]]
    small.delete("/admin/faults/older").raise_for_status()
    assert small.get("/api/products", headers={"x-kind": "younger"}).status_code == 503
    assert denied(small, "younger") == []


def test_a_patch_can_bring_a_fault_within_the_settings(make_client: MakeClient, url: str) -> None:
    """A patch beyond the settings stops the fault at once."""
    other = make_client(store=url)
    small = make_client(store=url, max_rate=0.5)
    other.post("/admin/faults?wait=30s", json=ERROR)
    while not denied(small):
        pass
    assert small.get("/api/products").status_code == 200
    other.patch("/admin/faults/f", json={"rate": 0.5}).raise_for_status()
    while denied(small):
        pass
    assert 503 in [small.get("/api/products").status_code for _ in range(100)]
