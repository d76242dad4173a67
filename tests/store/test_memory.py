import asyncio

import pytest

from chaosapi import state as changes
from chaosapi.errors import NotFound
from chaosapi.fault import Fault
from chaosapi.state import AuditEntry, State
from chaosapi.store import MemoryStore

FAULT = Fault.model_validate({"name": "a", "effect": {"type": "error"}})


def entry(action: str) -> AuditEntry:
    """Make an audit entry as the desk does; the store fills in the revision."""
    return AuditEntry(at=0, actor="me", action=action)


def test_listeners_hear_the_state_now_and_every_change() -> None:
    """In order, each once."""
    heard: list[int] = []
    store = MemoryStore()
    store.subscribe(lambda state: heard.append(state.revision))
    asyncio.run(store.apply(changes.create(FAULT, 0), entry("create")))
    asyncio.run(store.apply(changes.end_all(1), entry("end_all")))
    assert heard == [0, 1, 2]


def test_the_audit_has_every_change_newest_first() -> None:
    """With the revision that it made."""
    store = MemoryStore()
    for change, action in ((changes.create(FAULT, 0), "create"), (changes.halt("", 1), "halt")):
        asyncio.run(store.apply(change, entry(action)))
    assert [(line.revision, line.action) for line in asyncio.run(store.audit(10))] == [(2, "halt"), (1, "create")]
    assert len(asyncio.run(store.audit(1))) == 1


def test_what_is_refused_or_changes_nothing_leaves_no_trace() -> None:
    """Neither in the state, nor in the audit, nor with the listeners."""
    heard: list[State] = []
    store = MemoryStore()
    store.subscribe(heard.append)
    with pytest.raises(NotFound):
        asyncio.run(store.apply(changes.end("nobody", 0), entry("end")))
    asyncio.run(store.apply(changes.end_all(0), entry("end_all")))
    assert len(heard) == 1
    assert asyncio.run(store.audit(10)) == []
