"""Isolate the panels of a page: an error in one does not stop the others."""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from nicegui import ui

_LOG: Final = logging.getLogger(__name__)


class Panel(Protocol):
    """A part of the page that is updated."""

    def update(self) -> None:
        """Show the present state."""


class ErrorBoundary:
    """A panel that shows a message if its update fails, and keeps its old content; the first error is logged."""

    def __init__(self, make: Callable[[], Panel]) -> None:
        text = "This panel cannot be updated and shows old data: see the console's log."
        self._trouble = ui.label(text).classes("bad small wrap")
        self._trouble.set_visibility(False)
        self._part = make()
        self._logged = False

    def update(self) -> None:
        try:
            self._part.update()
        except Exception:  # noqa: BLE001 - an unexpected error in one panel must not stop the others
            if not self._logged:
                _LOG.exception("a panel cannot be updated")
            self._logged = True
            self._trouble.set_visibility(True)
        else:
            self._trouble.set_visibility(False)
