"""Use the processors."""

import math
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from chaosapi.effects import _burner
from chaosapi.effects.base import Host, ProcessEffect
from chaosapi.models import Number

_LOOK = 0.1
_NEEDED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What Python itself may need of the environment; the rest, with its secrets, is not for burners."""


class Cpu(ProcessEffect):
    """Put load on processor cores, as a busy neighbour does: everything here gets slower.

    The load comes from processes of their own: no event loop waits for them, and Python's lock is left alone. They end
    with the fault, and with the service, however that ends.
    """

    type: Literal["cpu"] = "cpu"
    cores: Annotated[Number, Field(gt=0, le=1024)] = 1.0
    """How many cores' worth of CPU time to use, such as 0.5; a shape scales it."""

    example: ClassVar[dict[str, Any]] = {"type": "cpu", "cores": 1}

    def demands(self) -> Mapping[str, float]:
        """Return the cores."""
        return {"cpu": self.cores}

    def act(self, host: Host) -> None:
        """Start the burners, keep telling them how much, and stop them."""
        with ExitStack() as stack:
            burners = [stack.enter_context(_Burner()) for _ in range(math.ceil(self.cores))]
            host.acted()
            while host.acting():
                share = self.cores * host.strength() / len(burners)
                for burner in burners:
                    burner.use(share)
                host.sleep(_LOOK)


class _Burner:
    """A process that uses a share of one core."""

    def __init__(self) -> None:
        self._share = 0.0
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            # Without site-packages and in a process group of its own: it starts in no time and Ctrl-C is not for it.
            [sys.executable, "-I", "-S", str(Path(_burner.__file__))],
            stdin=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            env={name: os.environ[name] for name in _NEEDED if name in os.environ},
        )

    def use(self, share: float) -> None:
        """Use so much of a core from now on; raises OSError where the process is gone."""
        if share != self._share or self._process.poll() is not None:
            assert self._process.stdin  # noqa: S101 - piped above
            self._process.stdin.write(_burner.SHARE.pack(share))
            self._share = share

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
