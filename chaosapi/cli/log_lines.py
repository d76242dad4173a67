"""Lines of the log: parse, select, count and render them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from chaosapi.text import escape_control

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
STATUS: Final = re.compile(r"[0-9]([0-9]{2}|xx)")
"""A status or a class of them: 503, 5xx; 000 is a client that left."""

_FIRST: Final = ("timestamp", "level", "event")
_REQUEST: Final = ("method", "path", "status", "seconds", "route", "calls")
_LAST: Final = ("logger", "exception")
_COLOURS: Final = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}


class Part(NamedTuple):
    """A part of a rendered line, and the name of its colour."""

    text: str
    colour: str | None = None


def parse(text: str) -> dict[str, Any]:
    """Return the fields of a line; one that is not a JSON object is an event."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"event": text}


@dataclass(frozen=True)
class Selection:
    """What selected lines have; None selects all. Times are Unix seconds, `level` is the lowest."""

    level: str | None = None
    route: str | None = None
    statuses: Sequence[str] = ()
    since: float | None = None
    until: float | None = None
    text: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    logger: str | None = None

    def takes(self, line: Mapping[str, Any], text: str) -> bool:
        """Return whether a line is selected; `text` is the line as it was read."""
        return (
            (self.text is None or self.text.lower() in text.lower())
            and all(
                wanted is None or line.get(name) == wanted
                for name, wanted in (
                    ("route", self.route),
                    ("request_id", self.request_id),
                    ("trace_id", self.trace_id),
                )
            )
            and (self.level is None or _rank(line.get("level")) >= _rank(self.level))
            and (not self.statuses or any(_has_status(line, each) for each in self.statuses))
            and (self.logger is None or f"{line.get('logger')}.".startswith(f"{self.logger}."))
            and self._takes_time(line)
        )

    def _takes_time(self, line: Mapping[str, Any]) -> bool:
        if self.since is None and self.until is None:
            return True
        at = time_of(line)
        return at is not None and (self.since or 0) <= at <= (self.until or float("inf"))


def _rank(level: object) -> int:
    return LEVELS.index(level) if level in LEVELS else -1


def _has_status(line: Mapping[str, Any], wanted: str) -> bool:
    status = str(line.get("status", ""))
    return status[:1] == wanted[0] and len(status) == len(wanted) if wanted.endswith("xx") else status == wanted


def time_of(line: Mapping[str, Any]) -> float | None:
    """Return when a line was written, None if it does not say so."""
    try:
        return datetime.fromisoformat(line["timestamp"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def count_by(lines: Iterable[Mapping[str, Any]], field: str) -> list[tuple[str | None, int]]:
    """Return how many lines have each value of a field, most frequent first; None for lines without the field.

    `calls.outcome` is the field of a field, in each item of a list.
    """
    path = field.split(".")
    counts: Counter[str | None] = Counter()
    for line in lines:
        values = Counter[str | None](_values(line, path))
        counts.update(values or {None: 1})
    return sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))


def _values(found: Any, path: Sequence[str]) -> Iterator[str]:
    if isinstance(found, list):
        for each in found:
            yield from _values(each, path)
    elif not path:
        yield _text(found)
    elif isinstance(found, Mapping) and path[0] in found:
        yield from _values(found[path[0]], path[1:])


def render(line: Mapping[str, Any]) -> list[Part]:
    """Return a line for people: time, level, what happened, all other fields; control characters are escaped."""
    level = _text(line.get("level", ""))
    request = "method" in line and "status" in line
    shown = {*_FIRST, *_LAST, *(_REQUEST if request else ())}
    rest = [f"{_text(name)}={_text(value)}" for name, value in line.items() if name not in shown]
    if request and "calls" in line:
        rest.append(f"calls: {', '.join(map(_call, _items(line['calls'])))}")
    parts = [
        Part(_clock(line), "bright_black"),
        Part(level.upper(), _COLOURS.get(level)),
        Part(_request(line) if request else _event(line), _COLOURS.get(level)),
        Part(" ".join(rest), "bright_black"),
    ]
    return [part for part in parts if part.text]


def _request(line: Mapping[str, Any]) -> str:
    values = (_text(line.get(name, "")) for name in ("method", "path", "status"))
    return " ".join(filter(None, (*values, _seconds(line))))


def _event(line: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (_text(line.get(name, "")).removesuffix(r"\n") for name in ("logger", "event"))))


def _clock(line: Mapping[str, Any]) -> str:
    at = str(line.get("timestamp", ""))
    return _text(at[11:23]) if time_of(line) is not None else _text(at)


def _seconds(line: Mapping[str, Any]) -> str:
    seconds = line.get("seconds")
    return f"{seconds:.3f}s" if isinstance(seconds, (int, float)) else ""


def _call(call: Any) -> str:
    """Return a call to a dependency as `payments error×3 0.231s`."""
    if not isinstance(call, Mapping):
        return _text(call)
    tries = f"×{_text(call['tries'])}" if call.get("tries", 1) != 1 else ""
    return f"{_text(call.get('name', '?'))} {_text(call.get('outcome', ''))}{tries} {_seconds(call)}".rstrip()


def traceback(line: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the traceback of a line, the innermost frame last, as Python prints them."""
    for each in _items(line.get("exception")):
        if not isinstance(each, Mapping):
            yield _text(each)
            continue
        for frame in _items(each.get("frames")):
            if isinstance(frame, Mapping):
                place = (_text(frame.get(name, "?")) for name in ("filename", "lineno", "name"))
                yield 'File "{}", line {}, in {}'.format(*place)
        yield f"{_text(each.get('exc_type', ''))}: {_text(each.get('exc_value', ''))}"


def _items(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    return [] if found is None else [found]


def _text(value: Any) -> str:
    """Return a value as text without control characters."""
    if isinstance(value, str):
        return escape_control(value)
    return escape_control(json.dumps(value, ensure_ascii=False))
