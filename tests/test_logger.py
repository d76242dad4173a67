import logging

import pytest

from chaosapi.logger import REQUEST_ID, Loggers, RequestIdFilter
from chaosapi.trace_context import TraceContext, current_trace
from tests.captured import captured


def test_lines_go_to_standard_logging(caplog: pytest.LogCaptureFixture) -> None:
    """With the logger's name, the calling line, and the fields in the text and as an attribute."""
    log = Loggers().get("chaosapi.mine")
    caplog.set_level(logging.INFO, "chaosapi")
    log.debug("nobody asked")
    log.warning("the store is away", reason="100 % of\ntime", after=2)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.filename) == ("chaosapi.mine", "WARNING", "test_logger.py")
    assert record.getMessage() == "the store is away reason='100 % of\\ntime' after=2"
    assert vars(record)["chaosapi"] == {"event": "the store is away", "reason": "100 % of\ntime", "after": 2}


def test_a_line_has_the_current_request_id() -> None:
    """As the access log does."""
    log = Loggers().get("chaosapi.mine")
    token = REQUEST_ID.set("abc-1")
    with captured() as lines:
        log.info("much ado")
    REQUEST_ID.reset(token)
    assert lines == [{"event": "much ado", "level": "info", "request_id": "abc-1"}]


def test_an_exception_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """As `logging.exception` does."""
    try:
        int("k")
    except ValueError:
        Loggers().get("chaosapi.mine").exception("broken")
    assert caplog.records[0].exc_info
    assert caplog.records[0].levelname == "ERROR"


def test_a_filter_adds_the_ids_to_the_lines_of_the_host() -> None:
    """Empty outside of requests: a format may name them."""
    formatter = logging.Formatter("%(request_id)s %(trace_id)s %(message)s")
    record = logging.LogRecord("mine", logging.INFO, "", 1, "sold", None, None)
    lines = []
    request = REQUEST_ID.set("abc-1")
    trace = current_trace.set(TraceContext("a" * 32, "b" * 16, sampled=True))
    try:
        assert RequestIdFilter().filter(record)
        lines.append(formatter.format(record))
    finally:
        current_trace.reset(trace)
        REQUEST_ID.reset(request)
    assert RequestIdFilter().filter(record)
    lines.append(formatter.format(record))
    assert lines == [f"abc-1 {'a' * 32} sold", "  sold"]


def test_another_writer_applies_to_all_loggers() -> None:
    """To existing and later loggers."""
    loggers = Loggers()
    before = loggers.get("chaosapi.before")
    written: list[str] = []

    class Writer:
        """Keeps the events."""

        def __init__(self, name: str) -> None:
            self._name = name

        def info(self, event: str, **_: object) -> None:
            written.append(f"{self._name}: {event}")

        debug = warning = error = exception = info

        def is_enabled_for(self, level: int) -> bool:
            return bool(level)

    loggers.write_with(Writer)
    before.info("one")
    loggers.get("chaosapi.later").error("two")
    assert written == ["chaosapi.before: one", "chaosapi.later: two"]
