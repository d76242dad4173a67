"""All changes of the shared state as pure functions that return the next state or raise.

A store runs these functions atomically; nothing else may change the state. Each change raises the revision by one.
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from chaosapi import durations
from chaosapi.access import MAX_TOKENS, IssuedToken, live_tokens
from chaosapi.errors import Conflict, Invalid, LimitReached, NotFound, PreconditionFailed
from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.state import Halt, State
from chaosapi.merge_patch import merge
from chaosapi.world.changes import Check, WorldChange, differences, patched, with_latest
from chaosapi.world.world import Document, World

MAX_ENDED = 100
"""How many ended faults are kept."""
_MAX_ENDED_SIZE: Final = 2**22
"""How many characters the ended faults that are kept have as JSON."""

Change = Callable[[State], State]
"""Returns the next state; raises a ChaosError where the change is not allowed."""

Admit = Callable[[Sequence[Record], Fault], None]
"""Raises a ChaosError if the other live faults leave no room for a fault."""


def admit_all(others: Sequence[Record], fault: Fault) -> None:
    """Admit any fault."""


def create(spec: Fault, now: float, admit: Admit = admit_all) -> Change:
    """Add a fault; `spec.name` must be set. Conflict while a live fault has that name, or chaos is halted."""

    def change(state: State) -> State:
        if any(record.name == spec.name and record.phase(now) != "ended" for record in state.faults):
            raise Conflict(f"a fault called {spec.name!r} is live: choose another name, or replace it")
        return _with(state, spec, now, admit)

    return change


def replace(spec: Fault, now: float, admit: Admit = admit_all) -> Change:
    """Create the fault, or replace the one of its name and restart its schedule; the same spec is a no-op."""

    def change(state: State) -> State:
        same = [record for record in state.live(now) if record.name == spec.name and record.spec == spec]
        return state if same else _with(state, spec, now, admit)

    return change


def patch(
    name: str, document: dict[str, Any], check: Callable[[Any], Fault], now: float, admit: Admit = admit_all
) -> Change:
    """Apply an RFC 7396 merge patch to a live fault, which keeps its start, dice and receipt.

    `check` returns the Fault of the merged document or raises Invalid.
    """

    def change(state: State) -> State:
        record = _live(state, name, now)
        if document.get("name", name) != name:
            raise Invalid.field("name", "a fault keeps its name: end this one and create another")
        _refuse_while_halted(state)
        spec = check(merge(record.spec.model_dump(mode="json", context=durations.EXACT), document))
        patched = _changed(record, state, spec=spec)
        if patched.phase(now) == "ended":
            raise Invalid.field("schedule.duration", "this would end the fault in the past: end it instead")
        if spec == record.spec:
            return state
        admit([other for other in state.live(now) if other is not record], spec)
        return _next(state, tuple(patched if old is record else old for old in state.faults))

    return change


def end(name: str, now: float) -> Change:
    """End one live fault."""

    def change(state: State) -> State:
        record = _live(state, name, now)
        ended = _changed(record, state, ended_at=now)
        return _next(state, tuple(ended if old is record else old for old in state.faults))

    return change


def unless_changed(name: str, revision: int | None, change: Change) -> Change:
    """Make the change if this revision changed the fault last; raise PreconditionFailed otherwise.

    Without a revision it is enough that the fault exists.
    """

    def checked(state: State) -> State:
        found = next((record.revision for record in state.faults if record.name == name), None)
        if found is None or revision not in (None, found):
            by_now = f"at revision {found}, not at {revision}" if found else "not there"
            raise PreconditionFailed(f"the fault {name!r} is {by_now}: read it again, then decide")
        return change(state)

    return checked


def end_all(now: float, created_until: float = math.inf) -> Change:
    """End every live fault created until `created_until`: the kill switch."""

    def change(state: State) -> State:
        found = any(record.created_at <= created_until for record in state.live(now))
        return _next(state, _all_ended(state, now, created_until)) if found else state

    return change


def halt(reason: str, now: float) -> Change:
    """End every live fault and refuse new ones until `resume`."""

    def change(state: State) -> State:
        stopped = Halt(since=state.halt.since if state.halt else now, reason=reason)
        if stopped == state.halt:
            return state
        return _next(state, _all_ended(state, now)).model_copy(update={"halt": stopped})

    return change


def resume() -> Change:
    """Allow new faults again; those that the halt ended stay ended."""

    def change(state: State) -> State:
        return _next(state, state.faults).model_copy(update={"halt": None}) if state.halt else state

    return change


def change_world(document: Document, base: World, check: Check, about: WorldChange) -> Change:
    """Apply an RFC 7396 merge patch to the world; a patch that changes nothing is a no-op.

    `base` is the world that nobody has changed. `about` has the time, the actor and the note.
    """

    def change(state: State) -> State:
        world = patched(state.world, base, document, check)
        fields = differences(state.world.over(base), world.over(base))
        if not fields:
            return state
        changed = _next(state, state.faults)
        stamp = {"revision": changed.revision, "number": state.world_number + 1, "fields": fields}
        latest = about.model_copy(update=stamp)
        return changed.model_copy(update={"world": world, "world_changes": with_latest(latest, state.world_changes)})

    return change


def unless_world_changed(numbers: Sequence[int], change: Change) -> Change:
    """Make the change if the latest change of the world has one of these numbers; else raise PreconditionFailed."""

    def checked(state: State) -> State:
        if state.world_number not in numbers:
            raise PreconditionFailed(f"the world is at revision {state.world_number}: read it again, then decide")
        return change(state)

    return checked


def issue_token(token: IssuedToken, now: float) -> Change:
    """Add a token; raise LimitReached while as many as possible are valid."""

    def change(state: State) -> State:
        live = live_tokens(state.tokens, now)
        if len(live) >= MAX_TOKENS:
            raise LimitReached(f"{MAX_TOKENS} tokens are valid, the most: revoke one first")
        return _next(state, state.faults).model_copy(update={"tokens": (token, *live)})

    return change


def revoke_token(token_id: str, now: float) -> Change:
    """Remove a token; raise NotFound if none with this id is valid."""

    def change(state: State) -> State:
        live = live_tokens(state.tokens, now)
        left = tuple(token for token in live if token.id != token_id)
        if len(left) == len(live):
            raise NotFound(f"there is no valid token with the id {token_id}: GET /admin/tokens lists them")
        return _next(state, state.faults).model_copy(update={"tokens": left})

    return change


def _with(state: State, spec: Fault, now: float, admit: Admit) -> State:
    _refuse_while_halted(state)
    assert spec.name is not None  # noqa: S101 - the API gives each fault a name before
    others = [record for record in state.faults if record.name != spec.name]
    live = [record for record in others if record.phase(now) != "ended"]
    admit(live, spec)
    record = Record(name=spec.name, spec=spec, created_at=now, revision=state.revision + 1)
    alive = set(map(id, live))
    ended = [old for old in others if id(old) not in alive]
    sizes = accumulate(len(old.text) for old in ended)
    kept = {id(old) for old, size in zip(ended[:MAX_ENDED], sizes, strict=False) if size <= _MAX_ENDED_SIZE}
    if len(kept) < len(ended):
        others = [old for old in others if id(old) in alive or id(old) in kept]
    return _next(state, (record, *others))


def _next(state: State, faults: tuple[Record, ...]) -> State:
    return state.model_copy(update={"revision": state.revision + 1, "faults": faults})


def _changed(record: Record, state: State, **changes: Any) -> Record:
    # Not model_copy: it would keep the cached properties of the old record.
    return Record(
        **{
            **{field: getattr(record, field) for field in Record.model_fields},
            **changes,
            "revision": state.revision + 1,
        }
    )


def _all_ended(state: State, now: float, created_until: float = math.inf) -> tuple[Record, ...]:
    meant = {id(record) for record in state.live(now) if record.created_at <= created_until}
    return tuple(_changed(record, state, ended_at=now) if id(record) in meant else record for record in state.faults)


def _live(state: State, name: str, now: float) -> Record:
    record = state.find(name)
    if record.phase(now) == "ended":
        raise Conflict(f"the fault {name!r} has ended: create a new one")
    return record


def _refuse_while_halted(state: State) -> None:
    if state.halt:
        why = f" ({state.halt.reason})" if state.halt.reason else ""
        raise Conflict(f"chaos is halted{why}: lift the halt first")
