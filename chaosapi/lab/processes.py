import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from chaosapi.lab import environment, parent_death
from chaosapi.lab.errors import NotReadyError, PartDiedError

_STOP_TIMEOUT_S: Final = 5.0  # seconds between asking a part to stop and killing it
_TAIL_LINES: Final = 12  # lines of the log of a part that ended


@dataclass(frozen=True)
class Program:
    """A running program of the lab: its name, its process (leader of its own group) and the file of its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """Return the last lines of its output."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:]) or "(it wrote nothing)"

    def signal(self, number: int) -> None:
        """Send a signal to the part and to whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Programs:
    """The lab's programs, started in order and stopped in reverse when the `with` block ends, whatever ended it.

    Start them from the main thread: the kernel watches the thread that started a part, not the process.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        """The folder of their output."""
        self._running: list[Program] = []

    def __enter__(self) -> Self:
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._running:
            self.stop(self._running[-1])

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Program:
        """Start a program, its output in `<logs>/<name>.log`.

        It gets `env`, and of this process' environment only what any program may have: no secrets.
        """
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", parent_death.__file__, str(os.getpid()), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment.shared(os.environ), **(env or {})},
                process_group=0,  # Ctrl-C reaches the lab alone, which then stops the parts in order
            )
        part = Program(name, process, log)
        self._running.append(part)
        return part

    def find(self, name: str) -> Program:
        """Return the running part of this name; raises KeyError without one."""
        return {part.name: part for part in self._running}[name]

    def stop(self, part: Program) -> None:
        """Terminate a part, then kill it and its children; returns when its process has ended."""
        self._running.remove(part)
        part.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            part.process.wait(_STOP_TIMEOUT_S)
        part.signal(signal.SIGKILL)
        part.process.wait()

    def check(self) -> None:
        """Raise PartDiedError, with the tail of its log, when a part has ended by itself."""
        for part in self._running:
            if (status := part.process.poll()) is not None:
                how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
                raise PartDiedError(f"{part.name} {how}. The end of {part.log}:\n{part.tail()}")

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 30.0, every: float = 0.05) -> None:
        """Return once `condition()` holds, asking each `every` seconds while all parts live.

        Raises NotReadyError naming `what` after `timeout` seconds, and PartDiedError as `check` does.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise NotReadyError(f"{what}: not within {timeout:g} s")
            time.sleep(every)
