"""The context that the panels of one page share: the sources, its session and view, and running its actions."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from nicegui import ui

from chaosapi.clients.admin import AsyncAdminClient
from chaosapi.clients.errors import ClientError
from chaosapi.console.access import Session
from chaosapi.console.alertmanager import AlertmanagerState
from chaosapi.console.prometheus import PrometheusState
from chaosapi.console.service import ServiceState
from chaosapi.console.signals import ALL, View
from chaosapi.console.sources import Sources
from chaosapi.console.states import AlertState, current_states
from chaosapi.console.zones import Zone

Result = TypeVar("Result")


@dataclass
class PageContext:
    """One open page."""

    sources: Sources
    session: Session
    view: View = field(default_factory=View)
    dark: bool = False
    zone: Zone = field(default_factory=Zone)
    """The zone of all times that the page shows."""

    @property
    def service(self) -> ServiceState | None:
        """The service's state, None if it is down, or this page may not show it."""
        feed = self.sources.service
        return feed.answer if feed.state() != "down" and self.sources.may_see(self.session.token) else None

    @property
    def watch(self) -> PrometheusState | None:
        """Prometheus' state, None unless it is fresh: what it was before says nothing about now."""
        feed = self.sources.prometheus
        return feed.answer if feed.state() == "up" else None

    @property
    def alerting(self) -> AlertmanagerState | None:
        """Alertmanager's state, None unless it is fresh."""
        feed = self.sources.alertmanager
        return feed.answer if feed.state() == "up" else None

    @property
    def alerts(self) -> tuple[AlertState, ...]:
        """The present alerts; only those of one source where the other one is not fresh."""
        watch = self.watch
        rules = [pair for budget in watch.budgets for pair in budget.pairs] + list(watch.others) if watch else []
        return current_states((alert for pair in rules for alert in pair.alerts), self.alerting)

    def present(self, route: str) -> Mapping[str, float] | None:
        """Return the present values of a route's curves, None if nothing is known.

        Prometheus has rates for some seconds after its last scrape of the service, and they fall towards zero.
        """
        return self.watch.now.get(route, {}) if self.watch and self.watch.up else None

    @property
    def rate(self) -> float | None:
        """The requests per second that the service answers now, None if that is not known."""
        return (self.present(ALL) or {}).get("rate")

    @property
    def token(self) -> str | None:
        """The admin token of this page's requests."""
        return self.sources.token_for(self.session.token)

    @property
    def admin(self) -> AsyncAdminClient:
        """A client of the admin API with this page's token."""
        return self.sources.admin.with_token(self.token)

    @property
    def forecasts(self) -> AsyncAdminClient:
        """A client for forecasts and scores, which may take longer than other requests."""
        return self.sources.forecasts.with_token(self.token)

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
