"""Stop the event loop."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.effects.base import Host, ProcessEffect

_LOOK = 0.1


class Pause(ProcessEffect):
    """Stop the event loop for `pause`, again and again, as a long garbage collection does: every request waits."""

    type: Literal["pause"] = "pause"
    pause: Annotated[Duration, Field(gt=0, le=60)] = 1.0
    """How long the loop stands; a shape scales it."""
    every: Annotated[Duration, Field(gt=0, le=86_400)] = 10.0
    """From the start of one pause to the start of the next; longer than `pause`."""

    example: ClassVar[dict[str, Any]] = {"type": "pause", "pause": "500ms", "every": "2s"}

    @model_validator(mode="after")
    def _breathing(self) -> Self:
        if self.every <= self.pause:
            raise PydanticCustomError("every", "every: longer than `pause`, or nothing would ever be served")
        return self

    def act(self, host: Host) -> None:
        """Freeze, rest, repeat."""
        while host.acting():
            if (pause := self.pause * host.strength()) > 0:
                host.freeze(pause)
                host.sleep(self.every - pause)
            else:
                host.sleep(_LOOK)
