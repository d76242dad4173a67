"""The log lines of chaosapi in a host app, as the host's handlers get them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Kept(logging.Handler):
    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        event = {"event": record.getMessage(), "level": record.levelname.lower()}
        self._lines.append({**event, **getattr(record, "chaosapi", {})})


@contextmanager
def captured(name: str = "chaosapi") -> Iterator[list[dict[str, Any]]]:
    """Yield the lines of a logger and of those below it: event, level and fields."""
    lines: list[dict[str, Any]] = []
    handler = _Kept(lines)
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
