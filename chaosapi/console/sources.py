"""The sources of the console, polled once for all open pages."""

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

_TIMEOUT_S: Final = 4.0
_FORECAST_TIMEOUT_S: Final = 30.0
"""Of forecasts and scores: the first one loads the predictor, and they wait for one another."""
_TOKEN_TTL_S: Final = 12 * 3600.0
"""How long the console polls with a token that was entered in a page."""
_LOCKED: Final = "requires a token: enter it with the key at the top"
_WRONG: Final = "refuses the console's CHAOSAPI_ADMIN_TOKEN: restart the console with the service's token"


@dataclass(frozen=True)
class Addresses:
    """The URLs of the sources: the admin API, Prometheus, Alertmanager, Locust; and the service's scrape job."""

    service: str = "http://127.0.0.1:8001"
    prometheus: str = "http://127.0.0.1:9090"
    alertmanager: str = "http://127.0.0.1:9093"
    locust: str = "http://127.0.0.1:8089"
    job: str = "chaosapi"


class Sources:
    """The feeds that all pages read, the clients that they act through, and the open views."""

    def __init__(self, addresses: Addresses, token: str | None, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.addresses = addresses
        self.has_own_token = token is not None
        self.views: dict[object, View] = {}
        """The view of each open page."""
        self._http = {
            name: httpx2.AsyncClient(base_url=getattr(addresses, name), timeout=_TIMEOUT_S)
            for name in ("service", "prometheus", "alertmanager", "locust")
        }
        self._http["forecasts"] = httpx2.AsyncClient(base_url=addresses.service, timeout=_FORECAST_TIMEOUT_S)
        self.admin = ServiceWatcher(self._http["service"], token)
        self.forecasts = ServiceWatcher(self._http["forecasts"], token)
        self._token_expires_at = math.inf
        self.silencer = AsyncAlertmanagerClient(self._http["alertmanager"])
        self.load = LocustWatcher(AsyncLocustClient(self._http["locust"]))
        self.metrics = AsyncPrometheusClient(self._http["prometheus"])
        prometheus = PrometheusWatcher(self.metrics, addresses.job, self.views.values, clock)
        self.service: Feed[ServiceState] = self._feed(
            "service", "Start it: chaosapi serve, or chaosapi lab.", self._poll_service
        )
        self.prometheus: Feed[PrometheusState] = self._feed(
            "prometheus",
            "Start it, or set its URL with --prometheus. You can still inject and end faults.",
            prometheus.poll,
        )
        self.alertmanager: Feed[AlertmanagerState] = self._feed(
            "alertmanager",
            "Start it, or set its URL with --alertmanager. Until then no alert is notified.",
            self._poll_alertmanager,
        )
        self.locust: Feed[LoadState] = self._feed(
            "locust", "For traffic: locust -f loadtests/ --host <the service>, then control it here.", self.load.poll
        )
        self.inhibitions = InhibitionHistory()

    @property
    def feeds(self) -> tuple[Feed[Any], ...]:
        """All feeds, in the order of the header."""
        return (self.service, self.prometheus, self.alertmanager, self.locust)

    async def poll_all(self, every: float) -> None:
        """Poll all sources concurrently, every `every` seconds, until cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as polling:
            for http in self._http.values():
                await stack.enter_async_context(http)
            for feed in self.feeds:
                feed.fresh_s = max(feed.fresh_s, 3 * every)
                polling.create_task(self._poll_forever(feed, every))

    def may_see(self, token: str | None) -> bool:
        """Return whether a page may show the service's data; data polled with an entered token needs the same token."""
        return self.has_own_token or self.admin.token is None or token == self.admin.token

    def token_for(self, token: str | None) -> str | None:
        """Return the token of a page's requests: the console's own, else the one entered in that page."""
        return self.admin.token if self.has_own_token else token

    async def unlock(self, token: str) -> None:
        """Poll with this token from now on; raises ClientError, and changes nothing, if the service refuses it."""
        if trouble := token_problem(token):
            raise RefusedError(f"this is not a valid token: {trouble}")
        await self.admin.with_token(token).replicas()
        if not self.has_own_token:
            self.admin.token = token
            self._token_expires_at = self.clock() + _TOKEN_TTL_S
        await self.service.poll()

    async def _poll_service(self) -> ServiceState:
        if not self.has_own_token and self.clock() >= self._token_expires_at:
            self.admin.token = None
        return await self.admin.poll()

    async def _poll_alertmanager(self) -> AlertmanagerState:
        found = await alertmanager.fetch_state(self.silencer)
        self.inhibitions.record(found.alerts, self.clock())
        return found

    async def _poll_forever(self, feed: Feed[Any], every: float) -> None:
        while True:
            await feed.poll()
            await asyncio.sleep(every)

    def _feed(self, name: str, advice: str, poll: Callable[[], Awaitable[Any]]) -> Feed[Any]:
        names = {"service": "Service", "prometheus": "Prometheus", "alertmanager": "Alertmanager", "locust": "Locust"}
        source = Source(names[name], without_credentials(getattr(self.addresses, name)), advice)
        if name == "service":
            source = replace(source, locked=_WRONG if self.has_own_token else _LOCKED)
        return Feed(source, poll, self.clock)


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
