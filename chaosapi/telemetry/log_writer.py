"""Output that never makes its writers wait: a bounded queue, and one thread that writes."""

import io
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import Final

_LINES: Final = 10_000
_BYTES: Final = 4 * 2**20
_CHUNK: Final = 2**16
"""Bytes that are written at once."""
_GATHER: Final = 0.005
"""Seconds in which further lines join the first one: waking a thread for each of them costs more than they do."""
_RETRY: Final = 1.0
"""Seconds between two looks at a descriptor that another process has made non-blocking."""

_NEWLINE: Final = ord("\n")


class Output:
    """Write lines to a file descriptor in a thread of its own, so that no caller ever waits for the reader.

    At most `lines` lines and `size` bytes wait in memory. What comes beyond that, or cannot be written (a closed pipe,
    a full disk), is counted in `dropped`; once a write succeeds again, `notice` makes the line that says how many are
    missing. Without a descriptor every line is dropped.
    """

    def __init__(self, fd: int | None, notice: Callable[[int], str], lines: int = _LINES, size: int = _BYTES) -> None:
        self.dropped = 0
        """Lines that were lost so far."""
        self._fd = fd
        self._notice = notice
        self._lines = lines
        self._size = size
        self._queue: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()  # re-entrant: a garbage collection under it may log
        self._waiting_lines = 0
        self._waiting_bytes = 0
        self._noticed = 0
        self._torn = False
        if fd is not None:
            threading.Thread(target=self._run, name=f"output-{fd}", daemon=True).start()

    def write(self, line: str) -> None:
        """Queue a line, its line break included, or count it as dropped."""
        data = line.encode(errors="backslashreplace")
        size = len(data)
        with self._lock:
            if self._fd is None or self._waiting_lines >= self._lines or self._waiting_bytes + size > self._size:
                self.dropped += 1
                return
            self._waiting_lines += 1
            self._waiting_bytes += size
        self._queue.put(data)

    def flush(self, timeout: float) -> None:
        """Wait until everything queued so far is written, at most `timeout` seconds."""
        if self._fd is None:
            return
        written = threading.Event()
        self._queue.put(written)
        written.wait(timeout)

    def _run(self) -> None:
        while True:
            lines: list[bytes] = []
            flushed: list[threading.Event] = []
            item: bytes | threading.Event | None = self._queue.get()
            if isinstance(item, bytes):
                time.sleep(_GATHER)
            size = 0
            while item is not None:
                if isinstance(item, bytes):
                    lines.append(item)
                    size += len(item)
                else:
                    flushed.append(item)
                item = self._next() if size < _CHUNK else None
            lost = self._write(b"".join(lines))
            with self._lock:
                self._waiting_lines -= len(lines)
                self._waiting_bytes -= size
                self.dropped += lost
            if lines and not lost and self.dropped > self._noticed:
                missing = self.dropped - self._noticed
                self._noticed += missing
                self._write(self._notice(missing).encode())
            for event in flushed:
                event.set()

    def _next(self) -> bytes | threading.Event | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    def _write(self, data: bytes) -> int:
        """Write all of it, however long that takes; return how many lines could not be written."""
        assert self._fd is not None  # noqa: S101 - without one there is no thread
        if not data:
            return 0
        rest = memoryview(b"\n" + data if self._torn else data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll(_RETRY * 1000)
            except OSError:
                if len(rest) < len(data):
                    # The next line that can be written must not join the half of this one.
                    self._torn = data[-len(rest) - 1] != _NEWLINE
                return bytes(rest).count(b"\n")
        self._torn = False
        return 0


class Stream(io.TextIOBase):
    """A text stream over an output, to stand in for `sys.stdout` or `sys.stderr`. `flush` does not wait."""

    def __init__(self, output: Output, fd: int | None) -> None:
        super().__init__()
        self._output = output
        self._fd = fd

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Queue the text."""
        self._output.write(text)
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor; raises OSError where there is none."""
        if self._fd is None:
            raise io.UnsupportedOperation("fileno")
        return self._fd
