"""Use up memory."""

import mmap
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ByteSize, Field, PlainSerializer, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError

from chaosapi.effects.base import Host, ProcessEffect, Resource

_CHUNK_BYTES = 2**20
"""Bytes allocated at once. The kernel needs a fraction of a millisecond to map them, in which the GIL is held."""
_CHUNK_PAUSE_S = 0.0005
"""Seconds between two chunks in which other threads may run."""
_POLL_S = 0.1


def _parse_size(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValueError:
        raise PydanticCustomError(
            "size", 'a size is text with a unit ("256MiB", "1.5GB") or a whole number of bytes'
        ) from None


def _format_size(size: int) -> str:
    """Write a size in the largest binary unit that divides it: 268435456 → `"256MiB"`."""
    power = min(4, ((size & -size).bit_length() - 1) // 10)
    return f"{size >> 10 * power}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


Size = Annotated[
    ByteSize,
    WrapValidator(_parse_size),
    PlainSerializer(_format_size, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}],
            "description": 'Text with a unit ("256MiB", "1.5GB") or a number of bytes.',
            "examples": ["256MiB"],
        }
    ),
]


class Memory(ProcessEffect):
    """Allocate memory and keep it, as a leak does; free it at the end.

    The memory is resident: every page is private to the process and has been written to.
    """

    type: Literal["memory"] = "memory"
    limit: Annotated[Size, Field(ge=2**20, le=2**50)] = ByteSize(256 * 2**20)
    """The most memory to allocate; a shape scales it, and memory above the scaled limit is freed."""
    rate: Annotated[Size, Field(ge=2**10, le=2**30)] = ByteSize(64 * 2**20)
    """How much memory to allocate per second."""

    demands: ClassVar[Mapping[Resource, str]] = {"memory": "limit"}
    shorthand: ClassVar[str | None] = "limit"
    example: ClassVar[dict[str, Any]] = {"type": "memory", "limit": "64MiB", "rate": "32MiB"}

    def act(self, host: Host) -> None:
        """Grow to the limit, follow the strength, and free everything at the end."""
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
                size = min(_CHUNK_BYTES, wanted - held)
                due = since + size / self.rate
                if size < mmap.PAGESIZE:
                    since = host.now()
                    host.sleep(_POLL_S)
                elif host.now() < due:
                    host.sleep(min(_POLL_S, due - host.now()))
                else:
                    taken.append(_allocate(size))
                    held = held + size
                    since = due
                    host.sleep(_CHUNK_PAUSE_S)
        finally:
            for chunk in taken:
                chunk.close()


def _allocate(size: int) -> mmap.mmap:
    """Allocate `size` bytes and write to each page: the kernel maps a page at its first write."""
    chunk = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    chunk[:: mmap.PAGESIZE] = b"\x01" * len(range(0, size, mmap.PAGESIZE))
    return chunk
