"""Block the event loop."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.effects.base import Host, ProcessEffect

_POLL_S = 0.1
MIN_REST_S = 0.25
"""The shortest time in seconds between two pauses, in which the loop serves the kill switch on a shared port."""


class Pause(ProcessEffect):
    """Block the event loop for `pause`, again and again, as a long garbage collection does: every request waits.

    Several faults do not add up: a pause is skipped while another one lasts, and until the loop has run for `every`
    minus `pause` since. On a shared port the kill switch is served between pauses, so after one pause at the latest.
    """

    type: Literal["pause"] = "pause"
    pause: Annotated[Duration, Field(gt=0, le=60)] = 1.0
    """How long the event loop is blocked; a shape scales it."""
    every: Annotated[Duration, Field(gt=0, le=86_400)] = 10.0
    """From the start of one pause to the start of the next; longer than `pause`."""

    shorthand: ClassVar[str | None] = "pause"
    example: ClassVar[dict[str, Any]] = {"type": "pause", "pause": "500ms", "every": "2s"}

    @model_validator(mode="after")
    def _check_every(self) -> Self:
        if self.every <= self.pause:
            raise PydanticCustomError("every", "every: longer than `pause`, or nothing would ever be served")
        return self

    def act(self, host: Host) -> None:
        """Block the event loop, let it run, repeat."""
        while host.acting():
            if (pause := self.pause * host.strength()) > 0:
                rest = max(self.every - pause, MIN_REST_S)
                host.freeze(pause, rest)
                host.sleep(rest)
            else:
                host.sleep(_POLL_S)
