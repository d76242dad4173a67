"""The context that the panels of one page share: the sources, its session and view, and running its actions."""

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

    sources: Sources
    session: Session
    view: View = field(default_factory=View)
    dark: bool = False

    @property
    def service(self) -> ServiceState | None:
        """The service's state, None if this page may not show it."""
        return self.sources.service.answer if self.sources.may_see(self.session.token) else None

    @property
    def token(self) -> str | None:
        """The admin token of this page's requests."""
        return self.sources.token_for(self.session.token)

    @property
    def admin(self) -> AsyncAdminClient:
        """A client of the admin API with this page's token."""
        return self.sources.admin.with_token(self.token)

    async def run_action(self, action: Awaitable[Result], success: str) -> Result | None:
        """Run an action and notify the user of `success`, unless that is ""; after an error, notify and return None."""
        try:
            result = await action
        except ClientError as trouble:
            ui.notify(str(trouble), type="negative", multi_line=True, close_button=True, timeout=8000)
            return None
        if success:
            ui.notify(success, type="positive", timeout=3000)
            await self.sources.service.poll()
        return result
