"""End the process."""

import os
import signal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.effects.base import Host, Permission, ProcessEffect
from chaosapi.models import Integer

_DYING = 1.0


class Crash(ProcessEffect):
    """End the process at once, requests and all; a fault that outlives it in a shared store makes a crash loop."""

    type: Literal["crash"] = "crash"
    exit_code: Annotated[Integer, Field(ge=0, le=255)] | None = None
    """What it exits with; 1 unless given."""
    signal: Literal["SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"] | None = None
    """What kills it, instead of an exit code. SIGKILL is what running out of memory looks like."""
    after: Annotated[Duration, Field(ge=0.5, le=86_400)] = 1.0
    """How long it lives on once the fault acts, so that whoever asked for it is answered; at least 500 ms."""

    permission: ClassVar[Permission | None] = "allow_crash"
    example: ClassVar[dict[str, Any]] = {"type": "crash", "exit_code": 1, "after": "1s"}

    @model_validator(mode="after")
    def _one_death(self) -> Self:
        if self.exit_code is not None and self.signal is not None:
            raise PydanticCustomError("crash", "an exit code or a signal, not both: leave one out")
        return self

    def act(self, host: Host) -> None:
        """Wait, then die."""
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
        # The first process of a container is deaf to its own signals: it leaves as a shell would report it.
        host.sleep(_DYING)
        os._exit(128 + number)
