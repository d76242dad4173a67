"""Everything the console watches, asked once for all pages that are open."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from chaosapi.clients.alertmanager import AsyncAlertmanagerClient
from chaosapi.clients.errors import RefusedError
from chaosapi.clients.locust import AsyncLocustClient
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console import alertmanager
from chaosapi.console.alertmanager import AlertmanagerState
from chaosapi.console.feed import Feed, Source
from chaosapi.console.inhibitions import InhibitionHistory
from chaosapi.console.locust import LoadState, LocustWatcher
from chaosapi.console.prometheus import PrometheusState, PrometheusWatcher
from chaosapi.console.service import ServiceState, ServiceWatcher
from chaosapi.console.signals import View
from chaosapi.settings import token_problem

_PATIENCE: Final = 4.0  # seconds until a source that does not answer is taken to hang
_HOURS: Final = 12.0  # that the console reads with a token which somebody entered
_LOCKED: Final = "wants a token: enter it with the key at the top"
_WRONG: Final = "refuses the console's CHAOSAPI_ADMIN_TOKEN: start the console again with the service's"


@dataclass(frozen=True)
class Addresses:
    """Where the sources are: the admin API, Prometheus with the service's scrape job, Alertmanager, Locust's page."""

    service: str = "http://127.0.0.1:8001"
    prometheus: str = "http://127.0.0.1:9090"
    alertmanager: str = "http://127.0.0.1:9093"
    locust: str = "http://127.0.0.1:8089"
    job: str = "chaosapi"


class Sources:
    """The feeds that all pages read, the clients that they act through, and the views that are open."""

    def __init__(self, addresses: Addresses, token: str | None, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.addresses = addresses
        self.has_own_token = token is not None
        self.views: dict[object, View] = {}
        """What each open page looks at."""
        self._http = {
            name: httpx2.AsyncClient(base_url=getattr(addresses, name), timeout=_PATIENCE)
            for name in ("service", "prometheus", "alertmanager", "locust")
        }
        self.admin = ServiceWatcher(self._http["service"], token)
        self._until = math.inf
        self.silencer = AsyncAlertmanagerClient(self._http["alertmanager"])
        self.load = LocustWatcher(AsyncLocustClient(self._http["locust"]))
        client = AsyncPrometheusClient(self._http["prometheus"])
        prometheus = PrometheusWatcher(client, addresses.job, self.views.values, clock)
        self.service: Feed[ServiceState] = self._feed(
            "service", "Start it: chaosapi serve, or chaosapi lab.", self._read
        )
        self.prometheus: Feed[PrometheusState] = self._feed(
            "prometheus", "Start it, or say where it is: --prometheus. Faults can still be steered.", prometheus.poll
        )
        self.alertmanager: Feed[AlertmanagerState] = self._feed(
            "alertmanager", "Start it, or say where it is: --alertmanager. Nobody hears of alerts.", self._listen
        )
        self.locust: Feed[LoadState] = self._feed(
            "locust", "For traffic: locust -f loadtests/ --host <the service>, then steer it here.", self.load.poll
        )
        self.inhibitions = InhibitionHistory()

    @property
    def feeds(self) -> tuple[Feed[Any], ...]:
        """All sources, in the order of the screen."""
        return (self.service, self.prometheus, self.alertmanager, self.locust)

    async def poll_all(self, every: float) -> None:
        """Ask all sources every so many seconds, none waiting for another, until cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as asking:
            for http in self._http.values():
                await stack.enter_async_context(http)
            for feed in self.feeds:
                feed.fresh = max(feed.fresh, 3 * every)
                asking.create_task(self._repeat(feed, every))

    def may_see(self, token: str | None) -> bool:
        """Return whether a page may show what the service said: what a person's token opened is for its holders."""
        return self.has_own_token or self.admin.token is None or token == self.admin.token

    def token_for(self, token: str | None) -> str | None:
        """Return what a page may steer with: the console's own token, else the one entered there, never another's."""
        return self.admin.token if self.has_own_token else token

    async def unlock(self, token: str) -> None:
        """Read with this token from now on; raises ClientError, and changes nothing, where the service refuses it."""
        if trouble := token_problem(token):
            raise RefusedError(f"this cannot be a token: {trouble}")
        await self.admin.with_token(token).replicas()
        if not self.has_own_token:
            self.admin.token = token
            self._until = self.clock() + _HOURS * 3600
        await self.service.poll()

    async def _read(self) -> ServiceState:
        if not self.has_own_token and self.clock() >= self._until:
            self.admin.token = None
        return await self.admin.poll()

    async def _listen(self) -> AlertmanagerState:
        found = await alertmanager.fetch_state(self.silencer)
        self.inhibitions.record(found.alerts, self.clock())
        return found

    async def _repeat(self, feed: Feed[Any], every: float) -> None:
        while True:
            await feed.poll()
            await asyncio.sleep(every)

    def _feed(self, name: str, advice: str, look: Callable[[], Awaitable[Any]]) -> Feed[Any]:
        names = {"service": "Service", "prometheus": "Prometheus", "alertmanager": "Alertmanager", "locust": "Locust"}
        source = Source(names[name], shown(getattr(self.addresses, name)), advice)
        if name == "service":
            source = replace(source, locked=_WRONG if self.has_own_token else _LOCKED)
        return Feed(source, look, self.clock)


def shown(url: str) -> str:
    """Return a URL as everybody may see it: without the name and the password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
