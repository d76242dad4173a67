"""Damage the body."""

import random
from typing import Any, ClassVar, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.effects.responses import declared_length, has_body, is_start

_FLIP_RATE = 0.01


class Corrupt(RequestEffect):
    """Damage the body and keep its length, so that only clients that read the content notice.

    The same request id gets the same damage on every replica. An empty body stays as it is.
    """

    type: Literal["corrupt"] = "corrupt"
    mode: Literal["garbage", "bits", "json"] = "garbage"
    """`garbage`: random bytes; `bits`: one bit flips in about every hundredth byte, at least in one; `json`: the first
    character becomes `}`, which makes the JSON invalid."""

    picks: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    spoils: ClassVar[bool] = True
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
                if not has_body(scope, message):
                    reason = "no_body"
                elif declared_length(message) and reason != "ended":
                    tools.count_injected()
            body = message.get("body")
            if body and reason == "empty_body":
                tools.count_injected()
                message = {**message, "body": self._damage(bytearray(body), chance, first=first)}
                first = False
            await send(message)

        await app(scope, receive, damaged)
        tools.count_skipped(reason)

    def _damage(self, body: bytearray, chance: random.Random, *, first: bool) -> bytes:
        if self.mode == "garbage":
            garbage = chance.randbytes(len(body))
            return garbage if garbage != body else bytes([garbage[0] ^ 0x80]) + garbage[1:]
        if self.mode == "json":
            return b"}" + body[1:] if first else bytes(body)
        places = [place for place in range(len(body)) if chance.random() < _FLIP_RATE]
        for place in places or ([chance.randrange(len(body))] if first else []):
            body[place] ^= 1 << chance.randrange(8)
        return bytes(body)
