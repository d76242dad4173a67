"""The store's time, told by this machine's clock: replicas agree, whatever their own clocks say."""

from collections.abc import Callable


class SharedClock:
    """A clock that is set by another one; while that one is away it runs on, whatever this machine's is set to."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] | None = None) -> None:
        """Begin at what `clock`, this machine's, says in Unix seconds; run on with `steady`, if that is given."""
        self.local = steady or clock
        """What runs here between two answers, in seconds."""
        self.synchronized = False
        """Whether the other one was ever heard of."""
        self._offset_s = clock() - self.local() if steady else 0.0

    def now(self) -> float:
        """Return the store's time, Unix seconds."""
        return self.local() + self._offset_s

    def synchronize(self, asked: float, told: float, answered: float) -> None:
        """Take over what the store's clock said between two moments of the local one.

        The true difference lies between told - answered and told - asked (Cristian 1989): what is already known moves
        only as far as it must, so that a slow answer does not disturb it.
        """
        self.synchronized = True
        self._offset_s = min(max(self._offset_s, told - answered), told - asked)
