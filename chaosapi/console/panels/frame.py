"""What every page of the console has: its style, the header, the banners, and the check of its connection."""

from pathlib import Path
from typing import Final

from nicegui import ui

from chaosapi.console.access import PAGES
from chaosapi.console.panels.error_boundary import ErrorBoundary, Panel
from chaosapi.console.panels.header import Banners, Header
from chaosapi.console.panels.heading import Heading
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.preferences import Preferences
from chaosapi.console.panels.theme import COLORS, STYLE

_CONNECTION: Final = Path(__file__).with_name("connection.js")


class Frame:
    """The frame of one page, which updates its `parts` every `every` seconds."""

    def __init__(self, context: PageContext, current: str, every: float) -> None:
        self._context = context
        self._every = every
        self._client = ui.context.client
        self._preferences = Preferences(context, self.update)
        ui.add_css(STYLE.read_text(encoding="utf-8"))
        ui.colors(**COLORS)
        limit_ms = str(round(1000 * (3 * every + 3)))
        ui.add_head_html(f"<script>{_CONNECTION.read_text(encoding='utf-8').replace('LIMIT_MS', limit_ms)}</script>")
        with ui.header(), ui.element("div").classes("head"):
            Heading(1, "chaosapi").classes("brand")
            with ui.element("nav").classes("flow").props('aria-label="pages"'):
                for name, path in PAGES.items():
                    link = ui.link(name, path)
                    if name == current:
                        link.props("aria-current=page")
            header = ErrorBoundary(
                lambda: Header(context, self._preferences.switch_theme, self._preferences.switch_zone)
            )
        self.parts: list[Panel] = [header, ErrorBoundary(lambda: Banners(context))]

    def update(self) -> None:
        for part in self.parts:
            part.update()
        self._client.run_javascript("consoleBeat()")

    async def run(self) -> bool:
        """Update the page from now on; return whether a browser has connected, and not only a program fetched it."""
        self.update()  # before the first paint: the parts show nothing that is not so
        client = self._client
        await client.connected()
        if client.is_deleted:
            return False
        views = self._context.sources.views
        client.on_delete(lambda: views.pop(client.id, None))
        views[client.id] = self._context.view
        ui.timer(self._every, self.update)
        await self._preferences.load()
        return True
