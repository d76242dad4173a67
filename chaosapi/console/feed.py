"""Poll one source for all open pages; keep its last answer and its state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from chaosapi.clients.errors import ClientError, NoAnswerError, UnauthorizedError, UnreachableError

Answer = TypeVar("Answer")
State = Literal["waiting", "up", "stale", "down", "locked"]

DOWN_AFTER_S: Final = 30.0
"""A source that times out or fails is stale for so long, then down; one that is no longer polled stays stale."""


@dataclass(frozen=True)
class Source:
    """A source that the console polls: its name, its URL, and what to do while it is down (`advice`) or locked."""

    name: str
    url: str
    advice: str
    locked: str = "requires a login: put a name and a password into its URL, http://name:password@..."


class Feed(Generic[Answer]):
    """The last answer of a source, when it came (Unix seconds), and the error since."""

    def __init__(self, source: Source, ask: Callable[[], Awaitable[Answer]], clock: Callable[[], float]) -> None:
        self.source = source
        self._ask = ask
        self._clock = clock
        self.answer: Answer | None = None
        self.seen: float | None = None
        self.trouble: ClientError | None = None
        self.fresh_s = DOWN_AFTER_S
        """Without an error, an answer older than this is stale."""

    async def poll(self) -> None:
        """Poll once; an error is stored, and the last answer is kept."""
        try:
            self.answer = await self._ask()
        except ClientError as trouble:
            self.trouble = trouble
            if isinstance(trouble, UnauthorizedError):
                self.answer = None  # without access, old data must not stay visible
        except Exception as error:  # noqa: BLE001 - an unexpected answer must not stop the polling of other sources
            self.trouble = NoAnswerError(f"the console cannot read its answer ({type(error).__name__}: {error})")
        else:
            self.seen = self._clock()
            self.trouble = None

    def state(self) -> State:
        """Return the state: a refused connection is down at once; a time-out or an error is stale first."""
        if isinstance(self.trouble, UnauthorizedError):
            return "locked"
        if self.trouble is None:
            if self.seen is None:
                return "waiting"
            return "up" if self._clock() - self.seen <= self.fresh_s else "stale"
        if isinstance(self.trouble, UnreachableError) or self.seen is None:
            return "down"
        return "down" if self._clock() - self.seen > DOWN_AFTER_S else "stale"

    def describe(self) -> str:
        """Return the state in words, and what to do about it."""
        where = f"{self.source.name} at {self.source.url}"
        if self.trouble is None and self.state() == "stale":
            return f"{where} was last polled {self._clock() - (self.seen or 0):.0f} s ago: restart the console"
        if self.trouble is None:
            return f"{where} answers" if self.seen else f"{where} has not been polled yet"
        if isinstance(self.trouble, UnauthorizedError):
            return f"{where} {self.source.locked}"
        old = f" What you see is {self._clock() - self.seen:.0f} s old." if self.seen and self.answer else ""
        return f"{where}: {self.trouble}.{old} {self.source.advice}"
