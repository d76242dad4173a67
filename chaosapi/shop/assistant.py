"""The shop's assistant, which answers questions about products token by token, the same answer to the same question."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from fastapi.sse import ServerSentEvent

from chaosapi.shop.catalogue import Product

PACE_S: Final = 0.005
"""Between two tokens. The longest answer, of 25 tokens, is within the 250 ms of the latency SLO."""

_MOST: Final = 3
_WORD: Final = re.compile(r"\w+")


def words(question: str) -> list[str]:
    """Return the words of a question, without punctuation."""
    return _WORD.findall(question.lower())


def answer(found: Sequence[Product]) -> str:
    """Return the text about the products that fit a question."""
    if not found:
        return "Nothing in the shop fits. Ask for a thing, such as a lamp, or for a material, such as oak."
    offers = ", ".join(f"{product.name} for ${product.price_cents / 100:.2f}" for product in found[:_MOST])
    fit = "One product fits" if len(found) == 1 else f"{len(found)} products fit"
    rest = f", and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return f"{fit}: {offers}{rest}."


async def events(
    text: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[ServerSentEvent]:
    """Yield a server-sent event for each token of a text, then the event `done`."""
    tokens = re.findall(r"\s*\S+", text)
    for token in tokens:
        yield ServerSentEvent(data={"token": token})
        await sleep(PACE_S)
    yield ServerSentEvent(event="done", data={"tokens": len(tokens)})
