"""Create several faults: all of them, or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from chaosapi import errors
from chaosapi.api import validation
from chaosapi.api.requests import FaultRequest
from chaosapi.clients.admin import AdminClient, ClientError
from chaosapi.clients.answers import Created


def check(faults: Sequence[Mapping[str, Any]]) -> None:
    """Refuse faults that no service takes, before the first is sent; raises errors.Invalid."""
    names = Counter(fault["name"] for fault in faults if isinstance(fault.get("name"), str))
    if twice := [name for name, count in names.items() if count > 1]:
        raise errors.Invalid.field("name", f"{twice[0]!r} is the name of two faults")
    for number, fault in enumerate(faults, 1):
        try:
            validation.read(FaultRequest, fault)
        except errors.Invalid as error:
            raise errors.Invalid(f"{_label(faults, number)}: {error}; nothing was injected") from None


def create_faults(admin: AdminClient, faults: Sequence[Mapping[str, Any]], *, wait: str | None) -> list[Created]:
    """Create the faults in their order, and end those that were created if one is refused.

    The API takes one at a time, so the first ones act until a later one is refused. Raises errors.Invalid, which says
    what was undone, and what may still act.
    """
    made: list[Created] = []
    try:
        for fault in faults:
            made.append(admin.create_fault(fault, wait=wait))  # noqa: PERF401 - those before an error are kept
    except ClientError as error:
        last = faults[len(made)].get("name") or "one without a name"
        unknown = [last] if error.status is None else []  # without an answer it may have been created
        left = unknown + _end(admin, made)
        names = ", ".join(each["name"] for each in made if each["name"] not in left)
        undone = f"; ended again: {names}" if names else ""
        kept = f"; could not be ended and may act: {', '.join(left)}" if left else "; none of the faults acts"
        raise errors.Invalid(f"{_label(faults, len(made) + 1)}: {error}{undone}{kept}") from None
    except BaseException:  # an interrupt
        _end(admin, made)
        raise
    return made


def _end(admin: AdminClient, made: Sequence[Created]) -> list[str]:
    """End the faults, latest first; return the names of those that could not be ended."""
    left = []
    for fault in reversed(made):
        try:
            admin.end_fault(fault["name"], reason="another fault of the same file was refused")
        except ClientError as error:
            if error.status != HTTPStatus.CONFLICT:  # it has ended already
                left.append(fault["name"])
    return left


def _label(faults: Sequence[Mapping[str, Any]], number: int) -> str:
    name = faults[number - 1].get("name")
    return f"fault {number} of {len(faults)}{f' ({name})' if name else ''}"
