"""ETag and If-Match of faults and of the world (RFC 9110, 8.8.3 and 13.1.1): the revision that last changed them."""

import re
from typing import Annotated, Final

from fastapi import Header
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from chaosapi.errors import NotFound
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Record
from chaosapi.faults.state import State

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_MAX_HEADER: Final = 1000
"""Characters of an If-Match header; longer ones are refused."""


def _parse_tags(values: list[str] | None) -> list[str] | None:
    """Return the tags that may match, `["*"]` for any; raises PydanticCustomError if none may."""
    if values is None:
        return None
    text = ", ".join(values).strip()
    if text == "*":
        return ["*"]
    elements = {element.strip() for element in _TAG.sub("\0", text[:_MAX_HEADER]).split(",")}
    # A weak tag never matches an If-Match (RFC 9110, 13.1.1): a header with weak tags alone is a mistake.
    strong = [tag for weak, tag in _TAG.findall(text[:_MAX_HEADER]) if not weak]
    if len(text) > _MAX_HEADER or not strong or elements - {"\0", ""}:
        raise PydanticCustomError(
            "etag", 'the revision in quotes, as in the ETag of an answer: "7"; several, separated by commas; or *'
        )
    return strong


IfMatch = Annotated[
    list[str] | None,
    Header(
        description="Make the change only if one of these is the ETag of what it changes, or * for any; otherwise "
        "respond with 412 and change nothing."
    ),
    AfterValidator(_parse_tags),
    WithJsonSchema({"type": "string", "pattern": r'^(\*|"[0-9]{1,18}"(, "[0-9]{1,18}"){0,9})$'}),
]


def of(record: Record) -> str:
    """Return the ETag of a fault."""
    return f'"{record.revision}"'


def of_world(state: State) -> str:
    """Return the ETag of the world: the number of its changes, which says nothing about faults."""
    return f'"{state.world_number}"'


def guarded_world(change: Change, if_match: list[str] | None) -> Change:
    """Return the change of the world under the condition of an If-Match header; the change itself without one."""
    if if_match is None or if_match == ["*"]:
        return change
    return changes.unless_world_changed([int(tag) for tag in if_match if re.fullmatch("[0-9]{1,18}", tag)], change)


def guarded(change: Change, name: str, if_match: list[str] | None) -> Change:
    """Return the change under the condition of an If-Match header; the change itself without one."""
    if if_match is None:
        return change
    if if_match == ["*"]:
        return changes.unless_changed(name, None, change)

    def checked(state: State) -> State:
        return changes.unless_changed(name, _expected_revision(state, name, if_match), change)(state)

    return checked


def _expected_revision(state: State, name: str, tags: list[str]) -> int:
    """Return the fault's revision if a tag has it, else the first revision among the tags, else 0."""
    try:
        current = state.find(name).revision
    except NotFound:
        return 0
    if str(current) in tags:
        return current
    return next((int(tag) for tag in tags if re.fullmatch("[1-9][0-9]{0,17}", tag)), 0)
