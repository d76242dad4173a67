"""The service of a lab: the shop, a user's app, or a running service."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from chaosapi import assets
from chaosapi.clients.admin import AdminClient, find_admin_api
from chaosapi.clients.errors import ClientError, UnauthorizedError
from chaosapi.clients.exchange import Client, ready, text
from chaosapi.lab import app_server, environment, traces
from chaosapi.lab.errors import LabError, PartDiedError
from chaosapi.lab.ports import HOST, Ports, url
from chaosapi.lab.processes import Programs

TIMEOUT_S: Final = 5.0
PROGRAM: Final = "service"
"""The name of its program in the lab."""
_USUAL_ADMIN_PORTS: Final = (8001, 8000)
_OWN_METRIC: Final = "http_requests_total"


@dataclass(frozen=True)
class Endpoints:
    """The URLs of a service: for users, for the admin API, and for Prometheus."""

    users: str
    admin: str
    metrics: str

    def exposition(self) -> str:
        """Return the metrics; raises LabError."""
        base, slash, name = self.metrics.rpartition("/")
        try:
            with Client(base, timeout_s=TIMEOUT_S) as client:
                return client.run(text(slash + name))
        except ClientError as error:
            raise LabError(f"{self.metrics}: {error}") from None


class Service(Protocol):
    """A kind of service under test."""

    @property
    def slo(self) -> Path:
        """The Sloth file that its alerts are made from."""

    @property
    def starts(self) -> bool:
        """Return whether the lab starts the service."""

    def start(self, parts: Programs, ports: Ports, profile: str, token: str | None) -> Endpoints:
        """Return where the service answers, once it does; raises LabError."""


@dataclass(frozen=True)
class DemoShop:
    """The demo shop."""

    slo: Path = field(default_factory=lambda: assets.path("alerts") / "slo.yaml")
    starts: bool = True

    def start(self, parts: Programs, ports: Ports, profile: str, token: str | None) -> Endpoints:
        """Run `chaosapi serve`."""
        chosen = ["--host", HOST, "--port", str(ports.service), "--admin-port", str(ports.admin)]
        env = environment.service(os.environ) | _settings(profile, parts)
        parts.start(PROGRAM, [sys.executable, "-m", "chaosapi", "serve", *chosen], env)
        users = url(ports.service)
        with Client(users, timeout_s=TIMEOUT_S) as client:
            parts.wait_until(lambda: client.run(ready("/readyz")), f"the service on port {ports.service}")
        return Endpoints(users, url(ports.admin), f"{users}/metrics")


@dataclass(frozen=True)
class OwnApp:
    """An app of the user's, `module:attribute`, importable from the current folder."""

    reference: str
    slo: Path
    starts: bool = True

    def start(self, parts: Programs, ports: Ports, profile: str, token: str | None) -> Endpoints:
        """Serve the app with uvicorn; chaosapi is installed in it unless it has installed it itself."""
        command = [sys.executable, "-m", app_server.__name__, self.reference, HOST, str(ports.service)]
        settings = {"CHAOSAPI_ADMIN_PORT": str(ports.admin), "CHAOSAPI_SLO": str(self.slo.resolve())}
        env = environment.own_app(os.environ) | _settings(profile, parts) | settings
        part = parts.start(PROGRAM, command, env)
        users = url(ports.service)
        candidates = (url(ports.admin), users)
        found: list[str] = []

        def answers() -> bool:
            found[:] = filter(None, [find_admin_api(candidates)])
            return bool(found)

        try:
            parts.wait_until(answers, f"{self.reference} on port {ports.service}, with an admin API,", every=0.2)
        except PartDiedError:
            if part.process.returncode == app_server.BAD_REFERENCE:
                raise LabError(part.tail().splitlines()[-1]) from None
            raise
        return Endpoints(users, found[0], _metrics_url(users, found[0]))


@dataclass(frozen=True)
class RunningService:
    """A service that runs already, with chaosapi inside; it goes on when the lab ends."""

    users: str
    slo: Path
    admin: str | None = None
    starts: bool = False

    def start(self, parts: Programs, ports: Ports, profile: str, token: str | None) -> Endpoints:
        """Find the admin API and the metrics, and check the token."""
        users = self.users.rstrip("/")
        admin = self.admin or find_admin_api([users, *_neighbours(users)])
        if admin is None:
            raise LabError(f"no admin API at {users}: is chaosapi installed there? (--admin-url)")
        with AdminClient(admin, token=token, timeout_s=TIMEOUT_S) as client:
            try:
                client.list_faults("active")
            except UnauthorizedError:
                raise LabError(f"{admin} asks for its token: give --token, or set CHAOSAPI_ADMIN_TOKEN") from None
            except ClientError as error:
                raise LabError(f"{admin}: {error}") from None
        return Endpoints(users, admin, _metrics_url(users, admin))


def _settings(profile: str, parts: Programs) -> dict[str, str]:
    """Return the settings of every service: the log of the service says nothing about faults."""
    return {
        "CHAOSAPI_ADMIN_HOST": HOST,
        "CHAOSAPI_PROFILE": profile,
        "CHAOSAPI_LOG_FORMAT": "json",
        "CHAOSAPI_AUDIT_LOG": str(parts.logs / "audit.log"),
        **traces.settings(parts.logs),
    }


def _neighbours(users: str) -> list[str]:
    """Return where the admin API of a service may be: the next port, and the usual ones."""
    parts = urlsplit(users)
    here = [parts.port + 1] if parts.port else []
    return [f"{parts.scheme}://{parts.hostname}:{port}" for port in (*here, *_USUAL_ADMIN_PORTS) if port != parts.port]


def _metrics_url(users: str, admin: str) -> str:
    """Return where chaosapi's metrics are: at the users' port, unless the app has a /metrics of its own there."""
    for base in (users, admin):
        try:
            with Client(base, timeout_s=TIMEOUT_S) as client:
                if _OWN_METRIC in client.run(text("/metrics")):
                    return f"{base}/metrics"
        except ClientError:
            continue
    raise LabError(f"neither {users}/metrics nor {admin}/metrics has {_OWN_METRIC}")
