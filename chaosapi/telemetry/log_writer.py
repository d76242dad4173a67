"""Non-blocking output: a bounded queue, and one thread that writes."""

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
"""The approximate size of one write, in bytes."""
_GATHER_S: Final = 0.005
"""How long lines are gathered before a write: a wake-up of the thread for each line costs more than the line."""
_RETRY_S: Final = 1.0
"""Between two tries on a descriptor that another process has made non-blocking."""

_NEWLINE: Final = ord("\n")


class Output:
    """Writes lines to a file descriptor in a thread of its own, so that no caller ever waits for the reader.

    At most `lines` lines and `size` bytes wait in memory. Lines beyond that, and lines that cannot be written (a closed
    pipe, a full disk), are counted in `dropped`; once a write succeeds again, `notice` returns a line with the number
    of missing lines. Without a descriptor every line is dropped.
    """

    def __init__(self, fd: int | None, notice: Callable[[int], str], lines: int = _LINES, size: int = _BYTES) -> None:
        self.dropped = 0
        """Lines lost so far."""
        self._fd = fd
        self._notice = notice
        self._lines = lines
        self._size = size
        self._queue: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()  # re-entrant: a garbage collection under it may log
        self._waiting_lines = 0
        self._waiting_bytes = 0
        self._noticed = 0
        self._mid_line = False
        if fd is not None:
            threading.Thread(target=self._run, name=f"output-{fd}", daemon=True).start()

    def write(self, line: str) -> None:
        """Queue a line that ends with a line break, or count it as dropped."""
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
                time.sleep(_GATHER_S)
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
        """Write all data, however long that takes; return the number of lines that could not be written."""
        assert self._fd is not None  # noqa: S101 - without one there is no thread
        if not data:
            return 0
        rest = memoryview(b"\n" + data if self._mid_line else data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll(_RETRY_S * 1000)
            except OSError:
                if len(rest) < len(data):
                    # Half a line was written: the next one must begin on a new line.
                    self._mid_line = data[-len(rest) - 1] != _NEWLINE
                return bytes(rest).count(b"\n")
        self._mid_line = False
        return 0


class Stream(io.TextIOBase):
    """A text stream over an output, as `sys.stdout` or `sys.stderr`; `flush` does not wait."""

    def __init__(self, output: Output, fd: int | None) -> None:
        super().__init__()
        self._output = output
        self._fd = fd

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._output.write(text)
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor; raises OSError where there is none."""
        if self._fd is None:
            raise io.UnsupportedOperation("fileno")
        return self._fd
