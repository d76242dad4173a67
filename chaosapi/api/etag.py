"""The version of a fault: the revision that last changed it, in the words of HTTP (RFC 9110, 8.8.3 and 13.1.1)."""

import re
from typing import Annotated, Final

from fastapi import Header
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from chaosapi import state as changes
from chaosapi.fault import Record
from chaosapi.state import Change

_TAG: Final = r'^(\*|"[0-9]{1,18}")$'


def _tag(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(_TAG, value):
        raise PydanticCustomError("etag", 'the revision in quotes, as the ETag of an answer has it: "7"; or *')
    return value


IfMatch = Annotated[
    str | None,
    Header(description="Only if this is still the fault's ETag, or * for any; 412 otherwise, and nothing is changed."),
    AfterValidator(_tag),
    WithJsonSchema({"type": "string", "pattern": _TAG}),
]


def of(record: Record) -> str:
    """Return the ETag of a fault."""
    return f'"{record.revision}"'


def guarded(change: Change, name: str, if_match: str | None) -> Change:
    """Return the change as If-Match restricts it, if there is one."""
    if if_match is None:
        return change
    return changes.unless_changed(name, None if if_match == "*" else int(if_match.strip('"')), change)
