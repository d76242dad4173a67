"""Damage the body."""

import math
import random
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.response import declared_length, has_body, is_start

_FLIP_RATE = 0.01
_SLICE = 2**18
"""Bytes that are damaged at once: other requests get a turn of the event loop before the next ones."""


class Corrupt(RequestEffect):
    """Damage the body and keep its length, so that only clients that read the content notice.

    The same request id gets the same damage on every replica. An empty body stays as it is.
    """

    type: Literal["corrupt"] = "corrupt"
    mode: Literal["garbage", "bits", "json"] = "garbage"
    """`garbage`: random bytes; `bits`: one bit flips in about every hundredth byte, at least in one; `json`: the first
    character becomes `}`, which makes the JSON invalid."""

    counts_itself: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    damages_body: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "mode"
    example: ClassVar[dict[str, Any]] = {"type": "corrupt", "mode": "bits"}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Call the app and damage the body that it sends."""
        chance = random.Random(tools.draw)  # noqa: S311 - the damage must be reproducible
        first = True
        reason = "empty_body"

        async def damaged(message: Message) -> None:
            nonlocal first, reason
            if tools.over():
                reason = "ended"
            if is_start(message):
                if not has_body(scope["method"], message["status"]):
                    reason = "no_body"
                elif declared_length(message) and reason != "ended":
                    tools.count_injected()
            body = message.get("body")
            if body and reason == "empty_body":
                tools.count_injected()
                message = {**message, "body": await self._damage_by_slices(body, chance, tools, first=first)}
                first = False
            await send(message)

        await app(scope, receive, damaged)
        tools.count_skipped(reason)

    async def _damage_by_slices(self, body: bytes, chance: random.Random, tools: Tools, *, first: bool) -> bytes:
        slices: list[bytes] = []
        for start in range(0, len(body), _SLICE):
            if start:
                await tools.give_way()
            part = bytearray(body[start : start + _SLICE])
            slices.append(self._damage(part, chance, first=first and start == 0))
        return b"".join(slices)

    def _damage(self, body: bytearray, chance: random.Random, *, first: bool) -> bytes:
        if self.mode == "garbage":
            garbage = chance.randbytes(len(body))
            return garbage if garbage != body else bytes([garbage[0] ^ 0x80]) + garbage[1:]
        if self.mode == "json":
            return b"}" + body[1:] if first else bytes(body)
        places = list(_draw_places(len(body), chance))
        for place in places or ([chance.randrange(len(body))] if first else []):
            body[place] ^= 1 << chance.randrange(8)
        return bytes(body)


def _draw_places(size: int, chance: random.Random) -> Iterator[int]:
    """Yield the places to damage; the gaps between them are geometric, which needs a draw for each place alone."""
    place = -1
    while True:
        place += 1 + int(math.log(1 - chance.random()) / math.log(1 - _FLIP_RATE))
        if place >= size:
            return
        yield place
