"""What every panel works with: the room, this page's session and view, and how an act ends in words."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from nicegui import ui

from chaosapi.clients.admin import AsyncAdminClient
from chaosapi.clients.errors import ClientError
from chaosapi.console.access import Session
from chaosapi.console.service import ServiceState
from chaosapi.console.signals import View
from chaosapi.console.sources import Sources

Result = TypeVar("Result")


@dataclass
class PageContext:
    """One open page."""

    room: Sources
    session: Session
    view: View = field(default_factory=View)
    dark: bool = False

    @property
    def service(self) -> ServiceState | None:
        """What the service said, where this page may show it."""
        return self.room.service.answer if self.room.may_see(self.session.token) else None

    @property
    def token(self) -> str | None:
        """What this page steers with."""
        return self.room.token_for(self.session.token)

    @property
    def admin(self) -> AsyncAdminClient:
        """A client of the admin API with this page's token."""
        return self.room.admin.with_token(self.token)

    async def run_action(self, act: Awaitable[Result], well: str) -> Result | None:
        """Do something, say that it went `well` where there is anything to say, or why not: then None is returned."""
        try:
            result = await act
        except ClientError as trouble:
            ui.notify(str(trouble), type="negative", multi_line=True, close_button=True, timeout=8000)
            return None
        if well:
            ui.notify(well, type="positive", timeout=3000)
            await self.room.service.poll()
        return result
