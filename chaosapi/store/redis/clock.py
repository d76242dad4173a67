"""The store's clock, extrapolated with this machine's: all replicas agree on the time, however wrong their clocks."""

from collections.abc import Callable


class SharedClock:
    """A clock that is synchronized with the store's, and runs on while the store is away."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] | None = None) -> None:
        """Start at `clock`, this machine's (Unix seconds); advance with `steady`, if given, which cannot be set."""
        self.local = steady or clock
        """The clock between two synchronizations, in seconds."""
        self.synchronized = False
        """Whether the store's clock was ever read."""
        self._offset_s = clock() - self.local() if steady else 0.0

    def now(self) -> float:
        """Return the store's time, Unix seconds."""
        return self.local() + self._offset_s

    def synchronize(self, sent: float, remote: float, received: float) -> None:
        """Adjust to a reading of the store's clock, and the local times of its request and its answer.

        The true offset lies between remote - received and remote - sent (Cristian 1989). The known offset is clamped
        to that range, so a slow answer does not disturb it.
        """
        self.synchronized = True
        self._offset_s = min(max(self._offset_s, remote - received), remote - sent)
