"""Use the processors."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from chaosapi.effects.base import Host, ProcessEffect, Resource
from chaosapi.models import Number

_LOOK = 0.1


class Cpu(ProcessEffect):
    """Put load on processor cores, as a busy neighbour does: everything here gets slower.

    The load comes from processes of their own, which all cpu faults share: no event loop waits for them, and Python's
    lock is left alone. They end with the fault, within a second of a service that stands still, and with the service.
    """

    type: Literal["cpu"] = "cpu"
    cores: Annotated[Number, Field(gt=0, le=1024)] = 1.0
    """How many cores' worth of CPU time to use, such as 0.5; a shape scales it."""

    demands: ClassVar[Mapping[Resource, str]] = {"cpu": "cores"}
    example: ClassVar[dict[str, Any]] = {"type": "cpu", "cores": 1}

    def act(self, host: Host) -> None:
        """Keep saying how much to use, and take it back."""
        host.burn(self.cores * host.strength())
        host.count_act()
        try:
            while host.acting():
                host.burn(self.cores * host.strength())
                host.sleep(_LOOK)
        finally:
            host.burn(0)
