"""What a browser remembers: light or dark, and the zone of times."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from nicegui import ui

from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.zones import Zone, browser_zone

_READ: Final = """({
  dark: localStorage.theme ? localStorage.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches,
  local: localStorage.time === "local",
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  offset: -new Date().getTimezoneOffset(),
})"""


class Preferences:
    """The preferences of one page; `changed` is called after each change."""

    def __init__(self, context: PageContext, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self._darkness = ui.dark_mode(None)
        self._browser = Zone()
        self._loaded = asyncio.Event()

    async def load(self) -> None:
        """Read them from the browser; without an answer, the system's theme and UTC stay."""
        with contextlib.suppress(TimeoutError):
            known: dict[str, Any] = await ui.run_javascript(_READ, timeout=10)
            self._browser = browser_zone(str(known["zone"]), float(known["offset"]))
            self._context.zone = self._browser if known["local"] else Zone()
            self._context.dark = self._darkness.value = bool(known["dark"])
            self._changed()  # charts do not follow the theme by themselves
        self._loaded.set()

    async def switch_theme(self) -> None:
        await self._loaded.wait()
        self._context.dark = self._darkness.value = not self._context.dark
        self._remember("theme", "dark" if self._context.dark else "light")

    async def switch_zone(self) -> None:
        await self._loaded.wait()  # the zone of a browser that has not answered yet is not known
        is_local = self._context.zone == self._browser
        self._context.zone = Zone() if is_local else self._browser
        self._remember("time", "utc" if is_local else "local")

    def _remember(self, name: str, value: str) -> None:
        ui.run_javascript(f"localStorage.{name} = '{value}'")
        self._changed()
