"""Use up memory."""

import mmap
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ByteSize, Field, PlainSerializer, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError

from chaosapi.effects.base import Host, ProcessEffect, Resource

_CHUNK = 2**20
"""Bytes taken at once. The kernel needs a fraction of a millisecond to hand them out, during which Python stands."""
_BREATH = 0.0005
"""Seconds between two chunks in which everybody else may run."""
_LOOK = 0.1


def _read(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValueError:
        raise PydanticCustomError(
            "size", 'a size is text with a unit ("256MiB", "1.5GB") or a whole number of bytes'
        ) from None


def _written(size: int) -> str:
    """Write a size in the largest binary unit that divides it: 268435456 → `"256MiB"`."""
    power = min(4, ((size & -size).bit_length() - 1) // 10)
    return f"{size >> 10 * power}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


Size = Annotated[
    ByteSize,
    WrapValidator(_read),
    PlainSerializer(_written, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}],
            "description": 'Text with a unit ("256MiB", "1.5GB") or a number of bytes.',
            "examples": ["256MiB"],
        }
    ),
]


class Memory(ProcessEffect):
    """Take memory and keep it, as a leak does; give it back at the end.

    It is really resident: every page is the process's own and has been written to.
    """

    type: Literal["memory"] = "memory"
    limit: Annotated[Size, Field(ge=2**20, le=2**50)] = ByteSize(256 * 2**20)
    """How much to take at most, in bytes; a shape scales it, and what is too much then is given back."""
    rate: Annotated[Size, Field(ge=2**10, le=2**30)] = ByteSize(64 * 2**20)
    """How fast to grow, in bytes per second."""

    demands: ClassVar[Mapping[Resource, str]] = {"memory": "limit"}
    example: ClassVar[dict[str, Any]] = {"type": "memory", "limit": "64MiB", "rate": "32MiB"}

    def act(self, host: Host) -> None:
        """Grow to the limit, follow the strength, give everything back."""
        taken: list[mmap.mmap] = []
        held = 0
        since = host.now()
        try:
            host.count_act()
            while host.acting():
                wanted = int(self.limit * host.strength())
                while held > wanted:
                    held -= len(taken[-1])
                    taken.pop().close()
                    since = host.now()
                size = min(_CHUNK, wanted - held)
                due = since + size / self.rate
                if size < mmap.PAGESIZE:
                    since = host.now()
                    host.sleep(_LOOK)
                elif host.now() < due:
                    host.sleep(min(_LOOK, due - host.now()))
                else:
                    taken.append(_taken(size))
                    held = held + size
                    since = due
                    host.sleep(_BREATH)
        finally:
            for chunk in taken:
                chunk.close()


def _taken(size: int) -> mmap.mmap:
    """Take so many bytes from the system, and write to each page: only then are they really there."""
    chunk = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    chunk[:: mmap.PAGESIZE] = b"\x01" * len(range(0, size, mmap.PAGESIZE))
    return chunk
