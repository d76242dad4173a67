"""Structured logs: one event a line, with the request id; lines of the standard library's logging take the same form.

chaosapi's own lines never pass through that library: with a line a request, it would be most of what a request costs.
"""

import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from chaosapi.settings import Settings

# Without local variables: they may hold what no log should, and writing them took the loop down under a few hundred
# exceptions a second.
_TRACEBACKS = ExceptionDictTransformer(show_locals=False)


class _Output(structlog.WriteLogger):
    """Writes whole lines; `add_logger_name` asks for its name."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stdout)
        self.name = name


def configure(settings: Settings) -> None:
    """Send all logs to standard output: JSON, or coloured text where a person is watching."""
    level = settings.log_level.upper()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stdout.isatty())
    last: list[Processor] = (
        [structlog.processors.ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer(_json)]
        if json
        else [structlog.dev.ConsoleRenderer()]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Output,
        cache_logger_on_first_use=True,
    )


def _json(event: Any, **options: Any) -> str:
    return orjson.dumps(event, **options).decode()
