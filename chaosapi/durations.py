"""The type for durations: text with units in documents, seconds in the code."""

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, SerializationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_MAX_S = timedelta(days=36500).total_seconds()
_MAX_LETTERS: Final = 100
_DIGITS: Final = 6
"""Text is rounded to the microsecond."""

EXACT: Final = {"durations": "seconds"}
"""A serialization context that writes durations as numbers of seconds, without rounding."""

_TEXT = r"^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|\u03bcs|ms|s|m|h|d|w|y))+$"
_PART: Final = re.compile(r"([0-9.]+)([^0-9.]+)")
_UNITS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "\u00b5s": Decimal("1e-6"),  # the micro sign
    "\u03bcs": Decimal("1e-6"),  # the Greek letter
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(7 * 86400),
    "y": Decimal(365 * 86400),
}
"""Seconds of each unit: those of Go's time.ParseDuration, and Prometheus' d, w and y on top."""


def parse(value: Any) -> float:
    """Return the seconds of `"1m30s"` (Go and Prometheus units, ns to y) or of a number of seconds.

    Raises PydanticCustomError (a ValueError) for anything else, and for negative and infinite durations.
    """
    seconds = math.nan
    if isinstance(value, str) and len(value) <= _MAX_LETTERS and re.fullmatch(_TEXT, value):
        exact = sum((Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(value)), Decimal(0))
        seconds = float(round(exact, _DIGITS)) if exact <= _MAX_S else math.inf  # `round` has 28 digits at most
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= _MAX_S else math.nan
    if not 0 <= seconds <= _MAX_S:
        raise PydanticCustomError(
            "duration", 'a duration is text with units ("250ms", "1m30s") or a number of seconds, not negative'
        )
    return seconds


def format(seconds: float) -> str:  # noqa: A001 - reads as durations.format, the pair of durations.parse
    """Return seconds as Go writes them: `90.0` → `"1m30s"`, `0.1234` → `"123.4ms"`; to the microsecond below 1 s."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us" if seconds else "0s"
    if seconds < 1:
        return f"{round(seconds * 1e3, 3):g}ms"
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = ((f"{hours}h", hours), (f"{minutes}m", minutes), (f"{rest / 1000:g}s", rest))
    return "".join(text for text, present in parts if present)


def _serialize(seconds: float, info: SerializationInfo) -> str | float:
    return seconds if info.context == EXACT else format(seconds)


Duration = Annotated[
    float,
    BeforeValidator(parse),
    PlainSerializer(_serialize, return_type=str | float),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": _TEXT}, {"type": "number", "minimum": 0, "maximum": _MAX_S}],
            "description": 'Text with units ("250ms", "1m30s") or a number of seconds.',
            "examples": ["250ms", "1m30s"],
        },
        mode="validation",
    ),
    WithJsonSchema(
        {"type": "string", "pattern": _TEXT, "description": "Text with units.", "examples": ["250ms", "1m30s"]},
        mode="serialization",
    ),
]
"""Seconds; validated by `parse`, serialized by `format`."""
