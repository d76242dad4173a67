"""The log lines of changes."""

import asyncio

import pytest

from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry
from chaosapi.store import MemoryStore
from chaosapi.store.audit_trail import log_change
from tests.captured import captured
from tests.conftest import MakeClient

SPEC = Fault.model_validate(
    {"name": "slow", "effect": {"type": "error"}, "rate": 0.25, "schedule": {"duration": "1m30s"}}
)


def logged(store: MemoryStore, action: str, change: Change, *, fault: str | None = None, reason: str = "") -> list[str]:
    """Make a change; return the lines as text."""
    entry = AuditEntry.model_validate({"at": 1.0, "actor": "ann", "action": action, "fault": fault, "reason": reason})
    with captured("chaosapi.audit") as lines:
        log_change(entry, asyncio.run(store.apply(change, entry)))
    return [" ".join(f"{name}={value}" for name, value in line.items() if name != "level") for line in lines]


def test_a_change_has_a_line_that_names_who_what_and_why() -> None:
    store = MemoryStore()
    assert logged(store, "create", changes.create(SPEC, 1.0), fault="slow", reason="game day") == [
        "event=fault created revision=1 actor=ann fault=slow reason=game day effect=error rate=0.25 duration=1m30s"
    ]
    assert logged(store, "end", changes.end("slow", 2.0), fault="slow") == [
        "event=fault ended revision=2 actor=ann fault=slow"
    ]
    assert logged(store, "halt", changes.halt("stop", 3.0)) == ["event=chaos halted revision=3 actor=ann"]


def test_what_changes_nothing_has_no_line() -> None:
    store = MemoryStore()
    assert logged(store, "end_all", changes.end_all(1.0)) == []


@pytest.mark.parametrize("stop", [("DELETE", "/admin/faults"), ("POST", "/admin/halt")])
def test_the_admin_api_logs_each_change_once(make_client: MakeClient, stop: tuple[str, str]) -> None:
    """Changes of the world and stops too."""
    client = make_client(access_log=True)
    with captured("chaosapi.audit") as lines:
        client.post("/admin/faults", json={"name": "slow", "effect": {"type": "error"}}).raise_for_status()
        client.get("/admin/faults")
        client.patch("/admin/world", json={"settings": {"shop_retries": 0}}).raise_for_status()
        client.request(*stop).raise_for_status()
    ended = {"DELETE": "all faults ended", "POST": "chaos halted"}[stop[0]]
    assert [line["event"] for line in lines] == ["fault created", "world changed", ended]
    assert lines[1]["changed"] == [{"field": "settings.shop_retries", "before": 2, "after": 0}]
