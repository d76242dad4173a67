"""Structured logs: one event a line, with the request id; records of the standard library get the same form.

chaosapi's own lines bypass the standard library: with a line for each request, it would be most of a request's cost.
Logging never waits for the reader of the log: see chaosapi/telemetry/log_writer.py.

Lines about faults can have a file of their own, so that the log of the shop gives nothing away.
"""

import atexit
import json
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from chaosapi.logger import ids_here, write_with
from chaosapi.settings import Settings, SettingsError
from chaosapi.telemetry.log_writer import Output, Stream
from chaosapi.telemetry.tracebacks import strip_event

# Without local variables: they may hold what no log should, and writing them took the loop down under a few hundred
# exceptions a second.
_TRACEBACKS = ExceptionDictTransformer(show_locals=False)
_EXIT_FLUSH_S: Final = 1.0
"""How long the process waits at exit for the reader of its last lines."""
_FIRST_FREE_DESCRIPTOR: Final = 3
"""Descriptors below this one belong to the standard streams."""

AUDIT_LOGGERS: Final = {
    "chaosapi.audit",
    "chaosapi.runtime.admin_server",
    "chaosapi.runtime.guard_watcher",
    "chaosapi.runtime.kill_switch",
    "chaosapi.runtime.process_effects",
    "chaosapi.store",
    "chaosapi.store.alerts",
}
"""The loggers of the control plane, whose lines name faults, their store, or the admin API."""

Dropped = Callable[[], int]
"""Returns the number of lines lost so far."""


class _Line:
    """Writes whole lines; structlog's `add_logger_name` reads `name`."""

    def __init__(self, write: Callable[[str], None], name: str = "") -> None:
        self.name = name
        self._write = write

    def msg(self, message: str) -> None:
        self._write(message + "\n")

    log = debug = info = warn = warning = error = exception = critical = fatal = failure = err = msg


class _Handler(logging.Handler):
    """Takes the lines of the standard library's logging."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._output.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as every handler does: logging must not raise
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for the reader; logging calls this at exit."""
        self._output.flush(_EXIT_FLUSH_S)


def configure(settings: Settings) -> Dropped:
    """Send all logs to standard output: JSON, or coloured text on a terminal; CHAOSAPI_AUDIT_LOG chooses a part.

    From now on, threads write standard output and standard error. Return a function that counts lost lines. Raises
    SettingsError for an audit log that cannot be opened.
    """
    level = settings.log_level.upper()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        strip_event,
        _add_ids,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not (sys.stdout and sys.stdout.isatty())
    )
    json_last: list[Processor] = [
        structlog.processors.ExceptionRenderer(_TRACEBACKS),
        structlog.processors.JSONRenderer(_json),
    ]
    last = json_last if as_json else [structlog.dev.ConsoleRenderer()]
    notice = partial(_dropped_notice, [*shared[2:], *last])
    levels = structlog.make_filtering_bound_logger(level)
    output, errors = _outputs(notice)
    audit_log = settings.audit_log or ("off" if settings.blind else "stdout")
    audit = _audit_output(audit_log, output, partial(_dropped_notice, [*shared[2:], *json_last]))
    handler = _Handler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=levels,
        logger_factory=partial(_Line, output.write),
        cache_logger_on_first_use=True,
    )

    def writer(name: str) -> Any:
        if name not in AUDIT_LOGGERS or audit is output:
            return structlog.stdlib.get_logger(name)
        write = audit.write if audit else _ignore
        return structlog.wrap_logger(_Line(write, name), [*shared, *json_last], levels)

    write_with(writer)
    return lambda: sum(each.dropped for each in {output, errors, audit or output})


def _add_ids(_: Any, __: str, event: Any) -> Any:
    event.update(ids_here())
    return event


def _ignore(_: str) -> None:
    pass


def _audit_output(where: str, output: Output, notice: Callable[[int], str]) -> Output | None:
    """Return the output of the audit: `output`, a file that lines are added to, or None; raises SettingsError."""
    if where == "stdout":
        return output
    if where == "off":
        return None
    try:
        # O_NONBLOCK: a FIFO without a reader is an error, and not a service that never starts.
        fd = os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
    except (OSError, ValueError) as error:
        raise SettingsError(f"CHAOSAPI_AUDIT_LOG: {error}") from None
    audit = Output(fd, notice)
    atexit.register(audit.flush, _EXIT_FLUSH_S)
    return audit


def _outputs(notice: Callable[[int], str]) -> tuple[Output, Output]:
    """Replace standard output and standard error by queues: a single one where both are the same file."""
    out = _descriptor(sys.stdout)
    err = _descriptor(sys.stderr)
    _fill_closed_descriptors()
    output = Output(out, notice)
    one = out is not None and err is not None and os.path.sameopenfile(out, err)
    errors = output if one else Output(err, notice)
    sys.stdout = Stream(output, out)
    sys.stderr = Stream(errors, err)
    atexit.register(errors.flush, _EXIT_FLUSH_S)
    return output, errors


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the descriptor of a standard stream; None where it was closed before Python started."""
    if stream is None:
        return None
    stream.flush()
    return stream.fileno()


def _fill_closed_descriptors() -> None:
    """Open /dev/null for closed standard streams: a connection could get their number, and then their lines."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE_DESCRIPTOR:
        pass
    os.close(fd)


def _dropped_notice(processors: list[Processor], dropped: int) -> str:
    """Return a log line with the number of lines that are missing before it."""
    event: Any = {
        "event": "log lines were dropped: their reader was too slow, or they could not be written",
        "lines": dropped,
    }
    for process in processors:
        event = process(logging.getLogger(__name__), "warning", event)
    return f"{event}\n"


def _json(event: Any, **options: Any) -> str:
    try:
        return orjson.dumps(event, **options).decode()
    except TypeError:  # text that is not UTF-8, or keys that are not text
        return json.dumps(event, skipkeys=True, **options)
