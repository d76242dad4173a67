"""Use CPU time."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaosapi.effects.base import Host, ProcessEffect, Resource
from chaosapi.models import Number

_POLL_S = 0.1


class Cpu(ProcessEffect):
    """Put load on CPU cores, as a noisy neighbour does: the whole service gets slower.

    The load comes from separate processes, which all cpu faults share, so it holds neither the event loop nor the GIL.
    The processes end with the fault, with the service, and within a second when the service hangs.
    """

    type: Literal["cpu"] = "cpu"
    cores: Annotated[Number, Field(gt=0, le=1024)] = 1.0
    """How many cores' worth of CPU time to use, such as 0.5; a shape scales it."""

    demands: ClassVar[Mapping[Resource, str]] = {"cpu": "cores"}
    shorthand: ClassVar[str | None] = "cores"
    example: ClassVar[dict[str, Any]] = {"type": "cpu", "cores": 1}

    def act(self, host: Host) -> None:
        """Set the load ten times a second, and remove it at the end."""
        host.burn(self.cores * host.strength())
        host.count_act()
        try:
            while host.acting():
                host.burn(self.cores * host.strength())
                host.sleep(_POLL_S)
        finally:
            host.burn(0)
