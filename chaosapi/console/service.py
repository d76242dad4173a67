"""What the service says of its faults, and how they are steered."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from chaosapi.clients.admin import AsyncAdminClient

Json = Mapping[str, Any]
KEPT: Final = 200
"""How many entries of the audit, and alerts that were delivered, are looked at."""


@dataclass(frozen=True)
class ServiceState:
    """One look at the service: its faults newest first, the halt if there is one, and what it has recorded."""

    faults: tuple[Json, ...]
    halt: Json | None
    revision: int
    audit: tuple[Json, ...]
    delivered: tuple[Json, ...]
    replicas: tuple[Json, ...]

    def active(self) -> tuple[Json, ...]:
        """Return the faults that are not over: scheduled or active."""
        return tuple(fault for fault in self.faults if fault["state"] != "ended")


@dataclass(frozen=True)
class EffectCatalogue:
    """What can be injected: each effect by its type, and the JSON schema of a fault with its definitions."""

    effects: Mapping[str, Json]
    fault: Json
    definitions: Mapping[str, Json]


class ServiceWatcher:
    """Looks at the service; every method raises ClientError. `token` is what it looks with, where one is needed."""

    def __init__(self, http: httpx2.AsyncClient, token: str | None) -> None:
        self._http = http
        self.token = token

    async def poll(self) -> ServiceState:
        """Ask for all that pages show."""
        admin = self.with_token(self.token)
        faults, audit, alerts, replicas = await asyncio.gather(
            admin.list_faults(), admin.audit(KEPT), admin.alerts(KEPT), admin.replicas()
        )
        return ServiceState(
            faults=tuple(faults["faults"]),
            halt=faults["halt"],
            revision=faults["revision"],
            audit=tuple(audit["entries"]),
            delivered=tuple(alerts["alerts"]),
            replicas=tuple(replicas["replicas"]),
        )

    async def catalogue(self, token: str | None) -> EffectCatalogue:
        """Ask what can be injected; the schema of a fault is the one that the API describes itself with."""
        admin = self.with_token(token)
        effects, document = await asyncio.gather(admin.effects(), admin.openapi())
        body = document["paths"]["/admin/faults"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        definitions = document["components"]["schemas"]
        fault = definitions[body["$ref"].rpartition("/")[2]] if "$ref" in body else body
        return EffectCatalogue({each["type"]: each for each in effects["effects"]}, fault, definitions)

    def with_token(self, token: str | None) -> AsyncAdminClient:
        """Return a client of the admin API that sends this token and no other."""
        return AsyncAdminClient(self._http, token=token, actor="console")


def as_curl(url: str, body: Json, *, token: bool) -> str:
    """Write the command line that injects a fault; the token is left to the shell that runs it."""
    words = ["curl", "-X", "POST", f"{url}/admin/faults", "-H", "content-type: application/json"]
    authorization = ' -H "authorization: Bearer $CHAOSAPI_ADMIN_TOKEN"' if token else ""
    return f"{shlex.join(words)}{authorization} -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"


def editable_fields(fault: Json, fields: Mapping[str, Any]) -> Json:
    """Return a fault as it could be sent again: the fields of a body that are not as they are by default."""
    return {
        name: fault[name]
        for name, field in fields.items()
        if name in fault and name not in ("name", "rate_sum") and fault[name] != field.get("default")
    }
