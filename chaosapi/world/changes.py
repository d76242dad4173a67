"""Changes of the world as pure functions, and the feed in which operators read them."""

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from pydantic import JsonValue

from chaosapi.merge_patch import merge
from chaosapi.models import Model, Moment, Revision
from chaosapi.world.world import Document, World

MAX_CHANGES: Final = 100
"""How many changes the feed keeps."""
_MAX_SIZE: Final = 2**16
"""How many characters they have as JSON."""
_NULLABLE: Final = frozenset({"release.previous"})
"""The fields of which null is a value; of others it means that they were not there."""

Check = Callable[[Any], World]
"""Returns the world of a document; raises Invalid, which names each wrong field."""


class FieldChange(Model):
    """One field of the world that a change has changed."""

    field: str
    """Its path, such as `settings.shop_retries`."""
    before: JsonValue = None
    """Null if it was not there."""
    after: JsonValue = None
    """Null if it is not there any more."""


class WorldChange(Model):
    """One change of the world. `at` is Unix seconds in UTC."""

    revision: Revision
    """The revision of the shared state, which faults change too: it stays with instructors."""
    number: Revision = 0
    """Its number among the changes of the world; it says nothing about faults."""
    at: Moment
    actor: str
    note: str = ""
    fields: tuple[FieldChange, ...] = ()

    @functools.cached_property
    def text(self) -> str:
        """Return the change as JSON; cached, because a store writes all changes."""
        return self.model_dump_json()


def patched(own: World, base: World, document: Document, check: Check) -> World:
    """Return what the world sets after a merge patch, in which null restores what `base` has.

    When the running release changes, the one before becomes `previous`, unless the patch sets that too.
    """
    merged = merge(own.own_document(), document)
    before = own.over(base).release.running
    release = document.get("release")
    if check(merged).over(base).release.running != before and "previous" not in (release or {}):
        merged["release"] = {**merged.get("release", {}), "previous": before}
    return check(merged)


def differences(before: World, after: World) -> tuple[FieldChange, ...]:
    """Return the fields in which two whole worlds differ, durations as text; lists are compared as a whole."""
    was = _fields(before.model_dump(mode="json"))
    now = _fields(after.model_dump(mode="json"))
    exactly_was = _fields(before.document())
    exactly_now = _fields(after.document())
    changed = [field for field in dict.fromkeys((*was, *now)) if exactly_was.get(field) != exactly_now.get(field)]
    return tuple(FieldChange(field=field, before=was.get(field), after=now.get(field)) for field in changed)


def _fields(document: Document, path: str = "") -> Document:
    """Return the values of a document by their paths."""
    found: Document = {}
    for name, value in document.items():
        found |= _fields(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return found


def with_latest(change: WorldChange, earlier: Sequence[WorldChange]) -> tuple[WorldChange, ...]:
    """Return the feed, newest first, with the latest change; the oldest that have no room are dropped."""
    kept = (change, *earlier)[:MAX_CHANGES]
    sizes = accumulate(len(each.text) for each in kept)
    return tuple(
        each for place, (each, size) in enumerate(zip(kept, sizes, strict=True)) if not place or size <= _MAX_SIZE
    )


def undone(world: World, change: WorldChange) -> World:
    """Return the whole world before a change that led to this whole world."""
    document = world.document()
    for field in change.fields:
        parts = field.field.split(".", 2 if field.field.startswith("release.by_replica.") else 1)
        place = document
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        if field.before is None and len(parts) > 1 and field.field not in _NULLABLE:
            place.pop(parts[-1], None)
        else:
            place[parts[-1]] = field.before
    return World.model_validate(document)
