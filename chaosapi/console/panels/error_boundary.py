"""What keeps the trouble of one part of the page from the others."""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from nicegui import ui

_LOG: Final = logging.getLogger(__name__)


class Panel(Protocol):
    """Something on the page that changes."""

    def update(self) -> None:
        """Show how things are now."""


class ErrorBoundary:
    """A part that, where it cannot be drawn, says so and stays as it was; the log tells why, once."""

    def __init__(self, make: Callable[[], Panel]) -> None:
        text = "This cannot be drawn, and what you see here is old: the console's log tells why."
        self._trouble = ui.label(text).classes("bad small wrap")
        self._trouble.set_visibility(False)
        self._part = make()
        self._logged = False

    def update(self) -> None:
        """Show how things are now, or that this cannot be shown."""
        try:
            self._part.update()
        except Exception:  # noqa: BLE001 - whatever it is, the other parts go on
            if not self._logged:
                _LOG.exception("a part of the page cannot be drawn")
            self._logged = True
            self._trouble.set_visibility(True)
        else:
            self._trouble.set_visibility(False)
