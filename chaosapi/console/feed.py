"""One question asked again and again on behalf of every open page, and what is known of whoever answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from chaosapi.clients.errors import ClientError, NoAnswerError, UnauthorizedError, UnreachableError

Answer = TypeVar("Answer")
State = Literal["waiting", "up", "stale", "down", "locked"]

FORGOTTEN: Final = 30.0
"""Seconds without an answer after which a source that hangs or fails is called down, not stale.

One that is not even asked any more is called stale then."""


@dataclass(frozen=True)
class Source:
    """Something the console watches: what people call it, where it is, and what to do when it is away or locked."""

    name: str
    url: str
    advice: str
    locked: str = "wants to know who asks: give its address a name and a password, http://name:password@..."


class Feed(Generic[Answer]):
    """The last answer to a question, when it came (Unix seconds), and the trouble since."""

    def __init__(self, source: Source, ask: Callable[[], Awaitable[Answer]], clock: Callable[[], float]) -> None:
        self.source = source
        self._ask = ask
        self._clock = clock
        self.answer: Answer | None = None
        self.seen: float | None = None
        self.trouble: ClientError | None = None
        self.fresh = FORGOTTEN
        """Seconds that an answer is good for without a word of trouble."""

    async def poll(self) -> None:
        """Ask once; no answer is kept as the trouble, and the last good one stays."""
        try:
            self.answer = await self._ask()
        except ClientError as trouble:
            self.trouble = trouble
            if isinstance(trouble, UnauthorizedError):
                self.answer = None  # who lost the right to see it must not go on seeing it
        except Exception as error:  # noqa: BLE001 - whatever an odd answer breaks, the other sources go on
            self.trouble = NoAnswerError(f"it answered what the console cannot read ({type(error).__name__}: {error})")
        else:
            self.seen = self._clock()
            self.trouble = None

    def state(self) -> State:
        """Return how the source is: nothing there is down at once, one that is slow or fails is stale first."""
        if isinstance(self.trouble, UnauthorizedError):
            return "locked"
        if self.trouble is None:
            if self.seen is None:
                return "waiting"
            return "up" if self._clock() - self.seen <= self.fresh else "stale"
        gone = isinstance(self.trouble, UnreachableError) or self.seen is None or self._clock() - self.seen > FORGOTTEN
        return "down" if gone else "stale"

    def describe(self) -> str:
        """Return how the source is, and what to do about it."""
        where = f"{self.source.name} at {self.source.url}"
        if self.trouble is None and self.state() == "stale":
            return f"{where} has not been asked for {self._clock() - (self.seen or 0):.0f} s: start the console again"
        if self.trouble is None:
            return f"{where} answers" if self.seen else f"{where} has not been asked yet"
        if isinstance(self.trouble, UnauthorizedError):
            return f"{where} {self.source.locked}"
        old = f" What you see is {self._clock() - self.seen:.0f} s old." if self.seen and self.answer else ""
        return f"{where}: {self.trouble}.{old} {self.source.advice}"
