"""Schedules: strength as a pure function of time, so that nothing drifts, replicas agree and tests need no sleep."""

import math
import threading
from array import array
from bisect import bisect_right
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.faults.dice import uniform
from chaosapi.models import Model, Number

_MOST_BURSTS = 10_000
_BLOCK = 64
"""How many edges of bursts are drawn at once."""

Span = Annotated[Duration, Field(ge=0.1)]
Level = Annotated[Number, Field(ge=0, le=1)]


class _Shape(Model):
    scales: Literal["rate", "magnitude"] = "rate"
    """What the strength scales: the rate, or the magnitude (only for effects that have one)."""


class ConstantShape(_Shape):
    """Full strength from start to end."""

    type: Literal["constant"] = "constant"

    def strength(self, elapsed: float, duration: float) -> float:
        """Return 1."""
        return 1.0


class Ramp(_Shape):
    """Rises linearly, stays at full strength, and falls linearly."""

    type: Literal["ramp"] = "ramp"
    up: Duration = 0.0
    """How long the strength rises from 0."""
    down: Duration = 0.0
    """How long the strength falls to 0 before the end."""

    def strength(self, elapsed: float, duration: float) -> float:
        """Return the strength `elapsed` seconds after the start."""
        rise = elapsed / self.up if self.up else 1.0
        fall = (duration - elapsed) / self.down if self.down else 1.0
        return max(0.0, min(1.0, rise, fall))


class Steps(_Shape):
    """A staircase: one level after another, each for the same share of the duration."""

    type: Literal["steps"] = "steps"
    levels: Annotated[list[Level], Field(min_length=1, max_length=100)]
    """Strengths from 0 to 1."""

    def strength(self, elapsed: float, duration: float) -> float:
        """Return the strength `elapsed` seconds after the start."""
        place = int(elapsed / duration * len(self.levels))
        return self.levels[min(max(place, 0), len(self.levels) - 1)]


class Pulse(_Shape):
    """On and off, with fixed lengths."""

    type: Literal["pulse"] = "pulse"
    on: Span
    """How long each pulse lasts."""
    off: Span
    """How long the pause after each pulse lasts."""

    def strength(self, elapsed: float, duration: float) -> float:
        """Return 1 within a pulse, 0 between two."""
        return 1.0 if elapsed % (self.on + self.off) < self.on else 0.0


class Sine(_Shape):
    """A smooth wave that starts at its lowest point."""

    type: Literal["sine"] = "sine"
    period: Span
    """The time from one trough to the next."""
    low: Level = 0.0
    """The strength in the troughs."""

    def strength(self, elapsed: float, duration: float) -> float:
        """Return the strength `elapsed` seconds after the start."""
        wave = (1 - math.cos(2 * math.pi * elapsed / self.period)) / 2
        return self.low + (1 - self.low) * wave


class Bursts(_Shape):
    """On and off at random: a two-state Markov process, drawn from the fault's seed, so the same on every replica."""

    type: Literal["bursts"] = "bursts"
    on: Span
    """The mean length of a burst."""
    off: Span
    """The mean length of the quiet time between two bursts."""

    def drawn(self, seed: int) -> "_Alternation":
        """Return the bursts of this seed, which begin with a quiet time."""
        return _Alternation(self.on, self.off, seed)


class _Alternation:
    """The times at which bursts begin and end, in turn; drawn on demand.

    A day of short bursts takes 20,000 draws: all at once they would delay the first request.
    """

    def __init__(self, on: float, off: float, seed: int) -> None:
        self._means = (off, on)
        self._seed = seed
        self._edges = array("d", [0.0])
        self._lock = threading.Lock()

    def strength(self, elapsed: float, duration: float) -> float:
        """Return 1 within a burst, 0 in the quiet."""
        return float(self.edges_until(elapsed) % 2)

    def edges_until(self, elapsed: float) -> int:
        """Return the number of edges up to `elapsed` seconds; thread-safe."""
        if self._edges[-1] <= elapsed:
            with self._lock:
                while self._edges[-1] <= elapsed:
                    self._draw()
        return bisect_right(self._edges, elapsed) - 1

    def _draw(self) -> None:
        """Draw the next block of edges; the lengths between them are exponential."""
        for number in range(len(self._edges) - 1, len(self._edges) - 1 + _BLOCK):
            length = -self._means[number % 2] * math.log1p(-uniform(self._seed, f"burst:{number}"))
            self._edges.append(self._edges[-1] + length)


Shape = Annotated[ConstantShape | Ramp | Steps | Pulse | Sine | Bursts, Field(discriminator="type")]


class Schedule(Model):
    """When a fault starts, how long it lasts, and how strong it is in between."""

    start_after: Duration = 0.0
    """How long after its creation the fault starts to act."""
    duration: Annotated[Duration, Field(gt=0)] = 900.0
    """How long the fault acts after its start; every fault ends."""
    shape: Shape = ConstantShape()
    """How the strength changes over time."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        shape = self.shape
        if isinstance(shape, Ramp) and shape.up + shape.down > self.duration:
            raise PydanticCustomError("ramp", "the ramp is longer than the duration: up + down ≤ duration")
        if isinstance(shape, Bursts) and self.duration / (shape.on + shape.off) > _MOST_BURSTS:
            raise PydanticCustomError("bursts", "more than 10,000 bursts: lengthen on or off, or shorten the duration")
        return self

    def course(self, seed: int) -> "Course":
        """Return the strength over time; keep the result, because it caches the bursts that it has drawn."""
        return Course(self, seed)


class Course:
    """The strength of a fault over time, by its schedule and seed."""

    def __init__(self, schedule: Schedule, seed: int) -> None:
        self._schedule = schedule
        self._seed = seed
        shape = schedule.shape
        self._shape = shape.drawn(seed) if isinstance(shape, Bursts) else shape

    def of(self, schedule: Schedule, seed: int) -> "Course":
        """Return the course of `schedule` and `seed`: this one if they are equal to its own."""
        return self if (schedule, seed) == (self._schedule, self._seed) else schedule.course(seed)

    def strength(self, since_creation: float) -> float:
        """Return the strength in [0, 1], `since_creation` seconds after the creation; 0 before start and after end."""
        schedule = self._schedule
        elapsed = since_creation - schedule.start_after
        if not 0 <= elapsed < schedule.duration:
            return 0.0
        return self._shape.strength(elapsed, schedule.duration)
