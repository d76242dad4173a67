"""Tracebacks without the frames that only an injected exception has, so that it looks like the app's own."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_PACKAGE: Final = Path(__file__).parent.parent
_INJECTING: Final = tuple(str(_PACKAGE / part) for part in ("injection", "effects", "inner.py"))
"""The files whose frames are left out. Those of the rest of the package tell of errors in it."""


def stripped(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of the injection; as it is where nothing would be left."""
    frames = []
    each = traceback
    while each is not None:
        if not each.tb_frame.f_code.co_filename.startswith(_INJECTING):
            frames.append(each)
        each = each.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept or traceback


def strip_event(_: Any, __: str, event: Any) -> Any:
    """Strip the traceback of a log event: a processor of structlog."""
    given = event.get("exc_info")
    if not given:
        return event
    if isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    elif not isinstance(given, tuple):
        given = sys.exc_info()
    kind, error, traceback = given
    if error is not None:
        event["exc_info"] = (kind, error, stripped(traceback))
    return event
