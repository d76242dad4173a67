"""The table of contents: every effect. A new one is a file beside these, and its name in this union."""

from typing import Annotated

from pydantic import Field

from chaosapi.effects.base import Effect, Tools
from chaosapi.effects.error import Error
from chaosapi.effects.latency import Latency

AnyEffect = Annotated[Error | Latency, Field(discriminator="type")]

EFFECTS: tuple[type[Effect], ...] = (Error, Latency)

__all__ = ["EFFECTS", "AnyEffect", "Effect", "Error", "Latency", "Tools"]
