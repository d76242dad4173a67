"""The version of a fault: the revision that last changed it, in the words of HTTP (RFC 9110, 8.8.3 and 13.1.1)."""

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
_MOST: Final = 1000
"""Characters of a list."""


def _tags(values: list[str] | None) -> list[str] | None:
    """Return the tags that may match, `["*"]` for any; raises PydanticCustomError where there is none."""
    if values is None:
        return None
    text = ", ".join(values).strip()
    if text == "*":
        return ["*"]
    elements = {element.strip() for element in _TAG.sub("\0", text[:_MOST]).split(",")}
    # A weak tag never matches here (RFC 9110, 13.1.1), so on its own it is a mistake.
    strong = [tag for weak, tag in _TAG.findall(text[:_MOST]) if not weak]
    if len(text) > _MOST or not strong or elements - {"\0", ""}:
        raise PydanticCustomError(
            "etag", 'the revision in quotes, as the ETag of an answer has it: "7"; several with commas between; or *'
        )
    return strong


IfMatch = Annotated[
    list[str] | None,
    Header(
        description="Only if one of these is still the fault's ETag, or * for any; 412 otherwise, and nothing is "
        "changed."
    ),
    AfterValidator(_tags),
    WithJsonSchema({"type": "string", "pattern": r'^(\*|"[0-9]{1,18}"(, "[0-9]{1,18}"){0,9})$'}),
]


def of(record: Record) -> str:
    """Return the ETag of a fault."""
    return f'"{record.revision}"'


def guarded(change: Change, name: str, if_match: list[str] | None) -> Change:
    """Return the change as If-Match restricts it, if there is one."""
    if if_match is None:
        return change
    if if_match == ["*"]:
        return changes.unless_changed(name, None, change)

    def checked(state: State) -> State:
        return changes.unless_changed(name, _revision(state, name, if_match), change)(state)

    return checked


def _revision(state: State, name: str, tags: list[str]) -> int:
    """Return the revision that one of the tags means: the fault's, where any does."""
    try:
        found = state.find(name).revision
    except NotFound:
        return 0
    if str(found) in tags:
        return found
    return next((int(tag) for tag in tags if re.fullmatch("[1-9][0-9]{0,17}", tag)), 0)
