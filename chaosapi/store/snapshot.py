"""The state as this replica knows it."""

from collections.abc import Callable

from chaosapi.faults.state import State

Listener = Callable[[State], None]


class Snapshot:
    """The latest known state, and who wants to hear of a newer one."""

    def __init__(self) -> None:
        self.state = State()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the state now, and with every newer one."""
        self._listeners.append(listener)
        listener(self.state)

    def update(self, state: State) -> None:
        """Take over a state, and tell it, where its revision is newer."""
        if state.revision > self.state.revision:
            self.state = state
            for listener in self._listeners:
                listener(state)
