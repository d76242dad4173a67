"""What a request asked of dependencies and queues: metrics, log lines and spans are made from this record."""

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple

OUTCOMES: Final = ("ok", "error", "timeout", "rejected")
"""How a try ends. `timeout`: the caller stopped waiting; `rejected`: it was not made, because a breaker was open."""

MAX_TRIES: Final = 100
"""The most tries that the record of one request keeps; observers see all of them."""

_MAX_ERROR: Final = 200


class Try(NamedTuple):
    """One try of a call to a dependency."""

    dependency: str
    number: int
    """1 for the first try of a call, 2 for its first retry."""
    outcome: str
    """One of OUTCOMES."""
    started: float
    """On the clock of the record, `time.perf_counter`."""
    seconds: float
    error: str = ""
    """Why the try failed, in words; empty where it did not."""


class Wait(NamedTuple):
    """One wait for a place: in front of the service, or in the pool of connections to a dependency."""

    route: str
    dependency: str
    """Empty for the queue in front of the service."""
    admitted: bool
    """Whether the request got a place."""
    started: float
    seconds: float
    rejected: bool = False
    """Whether the request was refused; a request that is neither admitted nor rejected has left the queue."""


class Observers(NamedTuple):
    """The functions that are called with each try, wait and change of a breaker, in the context of the request.

    They may be called in several threads at once; they neither block nor raise.
    """

    tries: Sequence[Callable[[Try], object]] = ()
    waits: Sequence[Callable[[Wait], object]] = ()
    breakers: Sequence[Callable[[str, str], object]] = ()
    """Called with the dependency's name and the new state: `closed`, `open` or `half-open`."""
    failures: Sequence[Callable[[Try], object]] = ()
    """Called with the tries alone that did not succeed."""

    def and_those(self, others: "Observers") -> "Observers":
        """Return these and the others, which are called after them."""
        return Observers(
            [*self.tries, *others.tries],
            [*self.waits, *others.waits],
            [*self.breakers, *others.breakers],
            [*self.failures, *others.failures],
        )


NOBODY: Final = Observers()


class Calls(list[Try]):
    """The tries of one request in the order in which they ended, at most MAX_TRIES."""

    __slots__ = ("clock", "observers", "waited_s")

    def __init__(self, observers: Observers, clock: Callable[[], float]) -> None:
        self.observers = observers
        self.clock = clock
        self.waited_s = 0.0
        """How long the request waited in front of the service; the time in a pool is part of a try's."""

    def record(self, done: Try) -> None:
        if len(self) < MAX_TRIES:  # a task that the request has started may outlive it, and call for ever
            self.append(done)
        for observe in self.observers.tries:
            observe(done)
        if done.error:
            for observe in self.observers.failures:
                observe(done)

    def record_wait(self, wait: Wait) -> None:
        if not wait.dependency:
            self.waited_s += wait.seconds
        for observe in self.observers.waits:
            observe(wait)

    def record_breaker(self, dependency: str, state: str) -> None:
        for observe in self.observers.breakers:
            observe(dependency, state)

    def next_number(self, dependency: str) -> int:
        """Return the number of the next try: a call that follows a failed one is its retry."""
        for done in reversed(self):
            if done.dependency == dependency:
                return 1 if done.outcome == "ok" else done.number + 1
        return 1


current_calls: ContextVar[Calls | None] = ContextVar("chaosapi.current_calls", default=None)
"""The record of the request that is being served; None outside of requests, and in those that are not counted."""


def outcome_of(error: BaseException | None) -> str:
    """Return how a call ended that raised `error`; a caller that stops waiting cancels the call."""
    if error is None:
        return "ok"
    if isinstance(error, (TimeoutError, CancelledError)):
        return "timeout"
    # Time-outs of HTTP clients and database drivers often have a base class of their own.
    return "timeout" if any("Timeout" in kind.__name__ for kind in type(error).__mro__) else "error"


def reason_of(error: BaseException | None) -> str:
    """Return the words of an error, on one line."""
    if error is None:
        return ""
    return " ".join(str(error).split())[:_MAX_ERROR] or type(error).__name__
