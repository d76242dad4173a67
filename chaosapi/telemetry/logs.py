"""Structured logs: one event a line, with the request id; lines of the standard library's logging take the same form.

chaosapi's own lines never pass through that library: with a line a request, it would be most of what a request costs.
Nobody who logs waits for whoever reads the log: see chaosapi/telemetry/log_writer.py.
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
_LAST_LINES: Final = 1.0
"""Seconds that a process waits at its end for the reader of its last lines."""
_STANDARD: Final = 3
"""Descriptors below this one are those of the standard streams."""

Dropped = Callable[[], int]
"""Return how many lines were lost so far."""


class _Line:
    """Writes whole lines; `add_logger_name` asks for its name."""

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
        except Exception:  # noqa: BLE001 - as every handler does: whoever logs is not to fail by it
            self.handleError(record)

    def flush(self) -> None:
        """Wait for the reader, but not for long; logging does this when the process ends."""
        self._output.flush(_LAST_LINES)


def configure(settings: Settings) -> Dropped:
    """Send all logs to standard output: JSON, or coloured text where a person is watching.

    Standard output and standard error are written by threads of their own from now on; return what counts lost lines.
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
    output, errors = _outputs(partial(_notice, [*shared[1:], *last]))
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
    """Put queues behind standard output and standard error: one for both where they are the same file."""
    out, err = _descriptor(sys.stdout), _descriptor(sys.stderr)
    _occupy()
    output = Output(out, notice)
    one = out is not None and err is not None and os.path.sameopenfile(out, err)
    errors = output if one else Output(err, notice)
    sys.stdout = Stream(output, out)
    sys.stderr = Stream(errors, err)
    atexit.register(errors.flush, _LAST_LINES)
    return output, errors


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the descriptor of a standard stream; Python has None for one that was closed before it started."""
    if stream is None:
        return None
    stream.flush()
    return stream.fileno()


def _occupy() -> None:
    """Open /dev/null where standard streams are closed: a connection that took their number would get their lines."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
        pass
    os.close(fd)


def _notice(processors: list[Processor], dropped: int) -> str:
    """Make the line that says how many are missing before it."""
    event: Any = {"event": "log lines were dropped: nobody read them, or they could not be written", "lines": dropped}
    for process in processors:
        event = process(logging.getLogger(__name__), "warning", event)
    return f"{event}\n"


def _json(event: Any, **options: Any) -> str:
    try:
        return orjson.dumps(event, **options).decode()
    except TypeError:  # text that is no UTF-8, or keys that are no text
        return json.dumps(event, skipkeys=True, **options)
