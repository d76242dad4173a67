"""Poll the service's admin API, and describe its faults."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from chaosapi.clients.admin import AsyncAdminClient
from chaosapi.console.schema import format_value
from chaosapi.console.states import unix_time
from chaosapi.overload import SLOWING_EFFECTS

Json = Mapping[str, Any]
KEPT: Final = 200
"""How many audit entries, and how many delivered alerts, are fetched."""


@dataclass(frozen=True)
class ServiceState:
    """One snapshot of the service: its faults, newest first, the halt, the audit log, delivered alerts and replicas."""

    faults: tuple[Json, ...]
    halt: Json | None
    revision: int
    audit: tuple[Json, ...]
    delivered: tuple[Json, ...]
    replicas: tuple[Json, ...]
    world: Json | None = None
    world_changes: tuple[Json, ...] = ()
    """The latest changes of the world, newest first."""

    def active(self) -> tuple[Json, ...]:
        """Return the live faults: scheduled or active."""
        return tuple(fault for fault in self.faults if fault["state"] != "ended")

    def slowed(self, now: float, window_s: float) -> bool:
        """Return whether a fault on the whole process has acted within the last `window_s` seconds."""
        return any(
            fault["effect"]["type"] in SLOWING_EFFECTS
            and unix_time(fault["starts_at"]) <= now
            and unix_time(fault["ends_at"]) > now - window_s
            for fault in self.faults
        )


@dataclass(frozen=True)
class EffectCatalogue:
    """Every effect by its type, and the JSON schema of a fault with its definitions."""

    effects: Mapping[str, Json]
    fault: Json
    definitions: Mapping[str, Json]


class ServiceWatcher:
    """Polls the service; every method raises ClientError. `token` is the admin token, None to send none."""

    def __init__(self, http: httpx2.AsyncClient, token: str | None) -> None:
        self._http = http
        self.token = token

    async def poll(self) -> ServiceState:
        admin = self.with_token(self.token)
        faults, audit, alerts, replicas, world, changes = await asyncio.gather(
            admin.list_faults(),
            admin.audit(KEPT),
            admin.alerts(KEPT),
            admin.replicas(),
            admin.world(),
            admin.world_changes(),
        )
        return ServiceState(
            faults=tuple(faults["faults"]),
            halt=faults["halt"],
            revision=faults["revision"],
            audit=tuple(audit["entries"]),
            delivered=tuple(alerts["alerts"]),
            replicas=tuple(replicas["replicas"]),
            world=world,
            world_changes=tuple(changes["changes"]),
        )

    async def catalogue(self, token: str | None) -> EffectCatalogue:
        """Fetch the effects; the schema of a fault comes from the API's OpenAPI document."""
        admin = self.with_token(token)
        effects, document = await asyncio.gather(admin.effects(), admin.openapi())
        body = document["paths"]["/admin/faults"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        definitions = document["components"]["schemas"]
        fault = definitions[body["$ref"].rpartition("/")[2]] if "$ref" in body else body
        return EffectCatalogue({each["type"]: each for each in effects["effects"]}, fault, definitions)

    def with_token(self, token: str | None) -> AsyncAdminClient:
        """Return a client of the admin API that sends this token."""
        return AsyncAdminClient(self._http, token=token, actor="console")


def as_curl(url: str, body: Json, *, token: bool) -> str:
    """Return a shell command that injects a fault; it reads the token from CHAOSAPI_ADMIN_TOKEN."""
    words = ["curl", "-X", "POST", f"{url}/admin/faults", "-H", "content-type: application/json"]
    authorization = ' -H "authorization: Bearer $CHAOSAPI_ADMIN_TOKEN"' if token else ""
    return f"{shlex.join(words)}{authorization} -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"


def editable_fields(fault: Json, fields: Mapping[str, Any]) -> Json:
    """Return the body that would create a fault again: its fields that differ from their defaults, without the name."""
    return {
        name: fault[name]
        for name, field in fields.items()
        if name in fault and name not in ("name", "rate_sum") and fault[name] != field.get("default")
    }


def describe_effect(fields: Json) -> str:
    """Return an effect in a line, without empty fields."""
    inner = " ".join(
        f"{name} {describe_effect(value) if isinstance(value, dict) and 'type' in value else format_value(value)}"
        for name, value in fields.items()
        if name != "type" and value not in (None, {}, [])
    )
    return f"{fields['type']} {inner}".strip()


def describe_target(fields: Json) -> str:
    """Return what a target selects in a line."""
    points = [f"calls to {', '.join(fields['points'])}"] if fields["points"] else []
    parts = [*points, *(fields["methods"] or []), *(fields["routes"] or ["all routes"])]
    parts += [f"{name}={value}" for name, value in fields["headers"].items()]
    parts += [f"by {fields['sticky_by']}"] if fields["sticky_by"] else []
    return " ".join(parts + ([f"on {', '.join(fields['replicas'])}"] if fields.get("replicas") else []))


def _describe_test(test: Any) -> str:
    if isinstance(test, dict):
        return ", ".join(f"{name} {_describe_test(inner)}" for name, inner in test.items() if inner is not None)
    return format_value(test)


def describe_condition(fault: Json) -> str:
    """Return a fault's condition in a line, and why it does not hold; "" without one."""
    tests = fault.get("while") or {}
    words = " and ".join(f"{name} {_describe_test(test)}" for name, test in tests.items() if test not in (None, {}))
    state = fault.get("condition")
    if not state or not state["reason"]:
        return words and f"while {words}"
    return f"while {words}: acts on {', '.join(state['replicas']) or 'no replica'} now, {state['reason']}"
