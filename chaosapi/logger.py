"""chaosapi's own log lines: an event and its fields, to the standard library's logging unless `chaosapi serve` runs."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from chaosapi.trace_context import current_trace

REQUEST_ID: ContextVar[str] = ContextVar("chaosapi.request_id")
"""The id of the request that is being served; every line names it."""


def ids_here() -> dict[str, str]:
    """Return the ids of the request that is being served and of its trace, as fields of a line."""
    ids = {}
    if request_id := REQUEST_ID.get(None):
        ids["request_id"] = request_id
    if trace := current_trace.get():
        ids["trace_id"] = trace.trace_id
    return ids


class RequestIdFilter(logging.Filter):
    """Give each record of a handler `request_id` and `trace_id`, which are empty outside of requests.

    `handler.addFilter(chaosapi.RequestIdFilter())` in an app of your own; then a format may have `%(request_id)s`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        ids = ids_here()
        for name in ("request_id", "trace_id"):
            setattr(record, name, ids.get(name, ""))
        return True


class Writer(Protocol):
    """Writes the log lines of one logger; structlog's loggers are writers."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...
    def exception(self, event: str, **fields: Any) -> Any: ...
    def is_enabled_for(self, level: int) -> bool: ...


class Standard:
    """Writes to the standard library's logger of that name: `the store is away reason='timed out'`.

    The event and its fields are also the record's attribute `chaosapi`, for hosts that log JSON.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self.is_enabled_for = self._logger.isEnabledFor

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._log(logging.ERROR, event, fields, exc_info=True)

    def _log(self, level: int, event: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if not self._logger.isEnabledFor(level):
            return
        fields = {**ids_here(), **fields}
        text = " ".join((event, *(f"{name}={value!r}" for name, value in fields.items())))
        self._logger.log(level, text, exc_info=exc_info, extra={"chaosapi": {"event": event, **fields}}, stacklevel=3)


class Loggers:
    """All loggers by name."""

    def __init__(self) -> None:
        self._make: Callable[[str], Writer] = Standard
        self._known: dict[str, Logger] = {}

    def get(self, name: str) -> "Logger":
        """Return the logger of that name."""
        return self._known.setdefault(name, Logger(self._make(name)))

    def write_with(self, make: Callable[[str], Writer]) -> None:
        """Replace the writers of all loggers, existing ones included, by those that `make` returns."""
        self._make = make
        for name, logger in self._known.items():
            logger.write_with(make(name))


class Logger:
    """Passes log lines to its writer, which can be replaced."""

    def __init__(self, writer: Writer) -> None:
        self.write_with(writer)

    def write_with(self, writer: Writer) -> None:
        """Replace the writer."""
        self.debug = writer.debug
        self.info = writer.info
        self.warning = writer.warning
        self.error = writer.error
        self.exception = writer.exception
        self.is_enabled_for = writer.is_enabled_for


_ALL = Loggers()
get_logger = _ALL.get
write_with = _ALL.write_with
