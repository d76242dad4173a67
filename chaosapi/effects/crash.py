"""End the process."""

import os
import signal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.effects.base import Host, Permission, ProcessEffect
from chaosapi.models import Integer

_SIGNAL_TIMEOUT_S = 1.0


class Crash(ProcessEffect):
    """Kill the process and all of its requests; in a shared store the fault outlives the process: a crash loop."""

    type: Literal["crash"] = "crash"
    exit_code: Annotated[Integer, Field(ge=0, le=255)] | None = None
    """The exit code; 1 unless given."""
    signal: Literal["SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"] | None = None
    """The signal that kills the process, instead of an exit code. SIGKILL looks like an out-of-memory kill."""
    after: Annotated[Duration, Field(ge=0.5, le=86_400)] = 1.0
    """How long after the fault's start the process dies; at least 500 ms, so that the API can answer the request."""

    permission: ClassVar[Permission | None] = "allow_crash"
    shorthand: ClassVar[str | None] = "signal"
    example: ClassVar[dict[str, Any]] = {"type": "crash", "exit_code": 1, "after": "1s"}

    @model_validator(mode="after")
    def _check_exit_code_or_signal(self) -> Self:
        if self.exit_code is not None and self.signal is not None:
            raise PydanticCustomError("crash", "an exit code or a signal, not both: leave one out")
        return self

    def act(self, host: Host) -> None:
        """Wait, then kill the process."""
        host.sleep(self.after)
        while host.acting() and host.strength() == 0:
            host.sleep(0.1)
        if not host.acting():
            return
        host.count_act()
        if self.signal is None:
            os._exit(1 if self.exit_code is None else self.exit_code)
        number = signal.Signals[self.signal]
        os.kill(os.getpid(), number)
        # The kernel ignores signals that PID 1 of a container sends itself: exit with the code that a shell reports.
        host.sleep(_SIGNAL_TIMEOUT_S)
        os._exit(128 + number)
