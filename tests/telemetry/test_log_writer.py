import os
import pty
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chaosapi.telemetry.log_writer import Output, Stream
from tests.patience import patience

LINE = "x" * 99 + "\n"
MANY = 5_000
"""Lines that exceed a pipe's capacity (Linux: 64 KiB)."""


def notice(dropped: int) -> str:
    """Return the number of missing lines as a notice."""
    return f"missing {dropped}\n"


class Pipe:
    """A pipe with log writers."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._outputs: list[Output] = []

    def output(self, lines: int = 10_000, size: int = 2**22) -> Output:
        self._outputs.append(Output(self.writer, notice, lines, size))
        return self._outputs[-1]

    def read(self) -> bytes:
        return os.read(self.reader, 2**16)

    def hang_up(self) -> None:
        """Close the read end."""
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        """Wait for the threads first: the descriptor numbers are reused."""
        if self.reader >= 0:
            self.hang_up()
        for output in self._outputs:
            output.flush(30)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Yield a pipe."""
    with closing(Pipe()) as pipe:
        yield pipe


def read_until(fd: int, end: bytes) -> bytes:
    """Read until a text."""
    text = b""
    while end not in text:
        text += os.read(fd, 2**16)
    return text


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    """The lines are complete, and all are written after a flush."""
    output = pipe.output()
    for number in range(100):
        output.write(f"{number}\n")
    output.flush(30)
    assert pipe.read() == b"".join(b"%d\n" % number for number in range(100))
    assert output.dropped == 0


def test_a_blocked_reader_delays_no_writer_and_lost_lines_are_counted(pipe: Pipe) -> None:
    """The queue is limited by lines; queued lines and the notice arrive when the reader resumes."""
    output = pipe.output(lines=1_000)

    def write() -> None:
        for _ in range(MANY):
            output.write(LINE)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(patience(30))
    assert not writer.is_alive()
    assert 0 < output.dropped <= MANY - 1_000
    text = read_until(pipe.reader, b"missing")
    while not text.endswith(b"\n"):
        text += pipe.read()
    kept, _, said = text.partition(b"missing ")
    assert kept.count(LINE.encode()) + int(said.split()[0]) <= MANY
    assert int(said.split()[0]) == output.dropped


def test_the_queue_is_limited_by_bytes_too(pipe: Pipe) -> None:
    """A few long lines take as much memory as many short ones."""
    output = pipe.output(size=2**20)
    for _ in range(100):
        output.write("x" * 2**17 + "\n")
    assert output.dropped >= 90


def test_a_flush_has_a_time_out(pipe: Pipe) -> None:
    """The shutdown does not wait for a blocked reader."""
    output = pipe.output()
    for _ in range(MANY):
        output.write(LINE)
    started = time.monotonic()
    output.flush(0.1)
    assert time.monotonic() - started < patience(20)


def test_a_closed_pipe_loses_lines_and_nothing_else(pipe: Pipe) -> None:
    """The lost lines are counted."""
    pipe.hang_up()
    output = pipe.output()
    for _ in range(10):
        output.write(LINE)
    output.flush(30)
    assert output.dropped == 10


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    """Simulated with /dev/full."""
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        output = Output(fd, notice)
        output.write(LINE)
        output.flush(30)
        output.write(LINE)
        output.flush(30)
        assert output.dropped == 2
    finally:
        os.close(fd)


def test_a_line_after_a_partial_line_starts_on_a_new_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk becomes full within a line."""
    room = [50]

    def write(fd: int, data: memoryview) -> int:
        if not room:
            raise OSError
        return real(fd, data[: room.pop()])

    real = os.write
    with ExitStack() as stack:
        fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
        stack.callback(os.close, fd)
        output = Output(fd, notice)
        monkeypatch.setattr(os, "write", write)
        output.write(LINE)
        output.flush(30)
        monkeypatch.undo()
        output.write("next\n")
        output.flush(30)
    assert (tmp_path / "log").read_text().splitlines() == [LINE[:50], "next", "missing 1"]


def test_a_non_blocking_descriptor_loses_no_line(pipe: Pipe) -> None:
    """Some parent processes set O_NONBLOCK on the shared pipe."""
    os.set_blocking(pipe.writer, False)
    output = pipe.output()
    for _ in range(2_000):
        output.write(LINE)
    output.write("end\n")
    assert len(read_until(pipe.reader, b"end\n")) == 2_000 * len(LINE) + 4
    assert output.dropped == 0


def test_a_stopped_terminal_blocks_no_writer() -> None:
    """With Ctrl-S."""
    master, slave = pty.openpty()
    output = Output(slave, notice, lines=100)
    try:
        termios.tcflow(slave, termios.TCOOFF)
        for _ in range(1_000):
            output.write(LINE)
        assert output.dropped >= 900 - 64
        termios.tcflow(slave, termios.TCOON)
        assert b"missing" in read_until(master, b"missing")
    finally:
        os.close(master)
        output.flush(30)
        os.close(slave)


def test_without_a_descriptor_every_line_is_dropped() -> None:
    """A process may start with closed stdout."""
    output = Output(None, notice)
    output.write(LINE)
    output.flush(30)
    assert output.dropped == 1


def test_a_stream_accepts_any_printed_text(pipe: Pipe) -> None:
    """Also invalid Unicode."""
    output = pipe.output()
    print("a", "\ud800", file=Stream(output, pipe.writer), flush=True)
    output.flush(30)
    assert pipe.read() == b"a \\ud800\n"
    assert Stream(output, pipe.writer).fileno() == pipe.writer
    with pytest.raises(OSError, match="fileno"):
        Stream(output, None).fileno()
