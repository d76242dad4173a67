import sys
from collections.abc import Mapping
from typing import Any

import httpx2

from chaosapi.lab.ports import HOST


def command(port: int, admin_port: int) -> list[str]:
    """Return the command line that runs the service under test."""
    ports = ["--port", str(port), "--admin-port", str(admin_port)]
    return [sys.executable, "-m", "chaosapi", "serve", "--host", HOST, *ports]


class Service:
    """A client of the service and its admin API; methods raise httpx2.HTTPError when it refuses or does not answer.

    `http` talks to the port that users see, `admin` to the one that answers whatever a fault does to the other.
    """

    def __init__(self, http: httpx2.Client, admin: httpx2.Client, token: str | None) -> None:
        self._http, self._admin = http, admin
        if token:
            self._admin.headers["authorization"] = f"Bearer {token}"

    def ready(self) -> bool:
        """Return whether it takes traffic."""
        try:
            return self._http.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    def metrics(self) -> str:
        """Return what Prometheus would scrape."""
        return self._http.get("/metrics").raise_for_status().text

    def inject(self, fault: Mapping[str, Any]) -> dict[str, Any]:
        """Create a fault and return it as the service made it."""
        return self._json("POST", "/admin/faults", json=fault)

    def end(self, name: str) -> dict[str, Any]:
        """End a fault and return it with its final receipt."""
        return self._json("DELETE", f"/admin/faults/{name}")

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that act now."""
        active: list[dict[str, Any]] = self._json("GET", "/admin/faults", params={"state": "active"})["faults"]
        return active

    def alerts(self) -> list[dict[str, Any]]:
        """Return what Alertmanager's webhook delivered, newest first."""
        received: list[dict[str, Any]] = self._json("GET", "/admin/alerts")["alerts"]
        return received

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        content: dict[str, Any] = self._admin.request(method, path, **options).raise_for_status().json()
        return content
