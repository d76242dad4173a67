from collections.abc import Callable

from chaosapi.faults.state import State

Listener = Callable[[State], None]


class Snapshot:
    """The latest state that this replica knows, and the listeners that newer states are passed to."""

    def __init__(self) -> None:
        self.state = State()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the current state now, and later with every newer one."""
        self._listeners.append(listener)
        listener(self.state)

    def update(self, state: State) -> None:
        """Replace the state and call the listeners; a no-op unless the revision is higher."""
        if state.revision > self.state.revision:
            self.state = state
            for listener in self._listeners:
                listener(state)
