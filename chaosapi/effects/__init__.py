"""The list of all effects. To add one, write a module in this package and add its class to `AnyEffect`."""

from typing import Annotated, get_args

from pydantic import Field

from chaosapi.effects.base import Effect, Host, Probe, ProcessEffect, RequestEffect, Tools
from chaosapi.effects.capacity import Capacity
from chaosapi.effects.corrupt import Corrupt
from chaosapi.effects.cpu import Cpu
from chaosapi.effects.crash import Crash
from chaosapi.effects.error import Error
from chaosapi.effects.exception import AppException
from chaosapi.effects.hang import Hang
from chaosapi.effects.health import Health
from chaosapi.effects.latency import Latency
from chaosapi.effects.memory import Memory
from chaosapi.effects.pause import Pause
from chaosapi.effects.rate_limit import RateLimit
from chaosapi.effects.reset import Reset
from chaosapi.effects.throttle import Throttle
from chaosapi.effects.truncate import Truncate

AnyEffect = Annotated[
    Error
    | Latency
    | Hang
    | Reset
    | Truncate
    | Corrupt
    | Throttle
    | AppException
    | RateLimit
    | Capacity
    | Pause
    | Cpu
    | Memory
    | Health
    | Crash,
    Field(discriminator="type"),
]

EFFECTS: tuple[type[Effect], ...] = get_args(get_args(AnyEffect)[0])

__all__ = [
    "EFFECTS",
    "AnyEffect",
    "Effect",
    "Error",
    "Host",
    "Latency",
    "Probe",
    "ProcessEffect",
    "RequestEffect",
    "Tools",
]
