"""Structured logs: one event a line, with the request id; records of the standard library get the same form.

chaosapi's own lines bypass the standard library: with a line for each request, it would be most of a request's cost.
Logging never waits for the reader of the log: see chaosapi/telemetry/log_writer.py.
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

from chaosapi.logger import write_with
from chaosapi.settings import Settings
from chaosapi.telemetry.log_writer import Output, Stream

# Without local variables: they may hold what no log should, and writing them took the loop down under a few hundred
# exceptions a second.
_TRACEBACKS = ExceptionDictTransformer(show_locals=False)
_EXIT_FLUSH_S: Final = 1.0
"""How long the process waits at exit for the reader of its last lines."""
_FIRST_FREE_DESCRIPTOR: Final = 3
"""Descriptors below this one belong to the standard streams."""

Dropped = Callable[[], int]
"""Returns the number of lines lost so far."""


class _Line:
    """Writes whole lines; structlog's `add_logger_name` reads `name`."""

    def __init__(self, output: Output, name: str = "") -> None:
        self.name = name
        self._write = output.write

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
    """Send all logs to standard output: JSON, or coloured text on a terminal.

    From now on, threads write standard output and standard error. Return a function that counts lost lines.
    """
    level = settings.log_level.upper()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not (sys.stdout and sys.stdout.isatty())
    )
    last: list[Processor] = (
        [structlog.processors.ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer(_json)]
        if as_json
        else [structlog.dev.ConsoleRenderer()]
    )
    output, errors = _outputs(partial(_dropped_notice, [*shared[1:], *last]))
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
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_Line, output),
        cache_logger_on_first_use=True,
    )
    write_with(structlog.stdlib.get_logger)
    return lambda: sum(each.dropped for each in {output, errors})


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
