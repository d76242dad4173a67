"""Stop the event loop."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.effects.base import Host, ProcessEffect

_LOOK = 0.1
BREATH = 0.25
"""Seconds for which the loop runs between two pauses, at least: time for the kill switch on a shared port."""


class Pause(ProcessEffect):
    """Stop the event loop for `pause`, again and again, as a long garbage collection does: every request waits.

    Several faults do not add up: a pause is left out while another one lasts, and until the loop has run for `every`
    less `pause` since. On a shared port the kill switch is answered in between, so after one pause at the latest.
    """

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
                rest = max(self.every - pause, BREATH)
                host.freeze(pause, rest)
                host.sleep(rest)
            else:
                host.sleep(_LOOK)
