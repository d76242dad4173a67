"""Damage the body."""

import random
from typing import Any, ClassVar, Literal

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools

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
        spared = False

        async def damaged(message: Message) -> None:
            nonlocal first, spared
            spared = spared or tools.over()
            if spared:
                await send(message)
                return
            if message["type"] == "http.response.start":
                length = Headers(raw=message["headers"]).get("content-length")
                if length and int(length) and scope["method"] != "HEAD":
                    tools.count_injected()
            elif message.get("body"):
                tools.count_injected()
                message = {**message, "body": self._damage(bytearray(message["body"]), chance, first=first)}
                first = False
            await send(message)

        await app(scope, receive, damaged)
        if first:
            tools.count_skipped("ended" if spared else "empty_body")

    def _damage(self, body: bytearray, chance: random.Random, *, first: bool) -> bytes:
        if self.mode == "garbage":
            return chance.randbytes(len(body))
        if self.mode == "json":
            return b"}" + body[1:] if first else bytes(body)
        places = [place for place in range(len(body)) if chance.random() < _FLIP_RATE]
        for place in places or ([chance.randrange(len(body))] if first else []):
            body[place] ^= 1 << chance.randrange(8)
        return bytes(body)
