"""The calls of the admin API, shared by AdminClient and AsyncAdminClient.

With `wait`, a call returns when every replica has applied the change, or after that time: "2s", or seconds, at most 30.
`reason` is recorded in the audit log. With `if_revision`, a fault that has another revision is not changed, and
RefusedError is raised, status 412.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from chaosapi.clients.answers import (
    AuditList,
    Catalogue,
    ChangedWorld,
    ChangeList,
    Created,
    DeliveredAlerts,
    Ended,
    FaultList,
    FaultView,
    HaltAnswer,
    NewToken,
    Phase,
    ReplicaList,
    TokenList,
    TokenView,
    WorldView,
)
from chaosapi.clients.exchange import Exchange, Json, asked, pages, text

_FAULTS: Final = "/admin/faults"
_WORLD: Final = "/admin/world"
_TOKENS: Final = "/admin/tokens"
_MERGE_PATCH: Final = {"content-type": "application/merge-patch+json"}
_MAX_ALERTS: Final = 1000  # the service keeps as many, and returns as many on one page

Wait = str | float | None


def create_fault(fault: Mapping[str, Any], *, wait: Wait = None, forecast: bool = False) -> Exchange[Created]:
    """Inject a fault, such as `{"effect": {"type": "error"}, "rate": 0.2}`, and return it as the service made it.

    With `forecast` the result says which alerts the fault will fire, and when. RefusedError has status 409 if the name
    is taken, 422 if the body is invalid or exceeds a limit, 503 if the store is unavailable.
    """
    params = {"wait": wait, "forecast": "true" if forecast else None}
    return asked("POST", _FAULTS, Created, params=params, json=dict(fault))


def get_fault(name: str) -> Exchange[FaultView]:
    """Return a fault with its receipt: how many requests matched, how many were hit. Status 404 if unknown."""
    return asked("GET", _fault(name), FaultView)


def list_faults(state: Phase | None = None) -> Exchange[FaultList]:
    """Return all faults, newest first: the live ones and the last hundred that have ended."""
    return pages(_FAULTS, "faults", FaultList, {"state": state})


def change_fault(
    name: str, changes: Mapping[str, Any], *, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """Change a live fault by JSON merge patch (RFC 7396); its schedule and its receipt continue."""
    headers = {**_MERGE_PATCH, **_matched(if_revision)}
    return asked("PATCH", _fault(name), FaultView, headers, params={"wait": wait}, json=dict(changes))


def replace_fault(
    name: str, fault: Mapping[str, Any], *, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """Create a fault, or replace it and restart its schedule; an equal body is a no-op."""
    return asked("PUT", _fault(name), FaultView, _matched(if_revision), params={"wait": wait}, json=dict(fault))


def end_fault(
    name: str, *, reason: str | None = None, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """End a fault now and return it with its final receipt. Status 409 if it has ended already."""
    params = {"reason": reason, "wait": wait}
    return asked("DELETE", _fault(name), FaultView, _matched(if_revision), params=params)


def end_all_faults(*, reason: str | None = None, wait: Wait = None) -> Exchange[Ended]:
    """End every fault now: the kill switch. It also works while the store is unavailable."""
    return asked("DELETE", _FAULTS, Ended, params={"reason": reason, "wait": wait})


def halt(*, reason: str = "", wait: Wait = None) -> Exchange[HaltAnswer]:
    """End every fault and refuse new ones until `resume`. It also works while the store is unavailable."""
    return asked("POST", "/admin/halt", HaltAnswer, params={"wait": wait}, json={"reason": reason})


def resume(*, reason: str | None = None, wait: Wait = None) -> Exchange[HaltAnswer]:
    """Lift the halt; the faults that it ended stay ended."""
    return asked("DELETE", "/admin/halt", HaltAnswer, params={"reason": reason, "wait": wait})


def world() -> Exchange[WorldView]:
    """Return the world: releases, flags, settings, providers, rotation and limits of the shop."""
    return asked("GET", _WORLD, WorldView)


def change_world(
    changes: Mapping[str, Any], *, note: str | None = None, if_revision: int | None = None, wait: Wait = None
) -> Exchange[ChangedWorld]:
    """Change the world by JSON merge patch (RFC 7396), such as `{"settings": {"shop_retries": 0}}`; None restores.

    `note` says why, in the feed and in the audit log. A patch that changes nothing is a no-op.
    """
    headers = {**_MERGE_PATCH, **_matched(if_revision)}
    return asked("PATCH", _WORLD, ChangedWorld, headers, params={"note": note, "wait": wait}, json=dict(changes))


def world_changes() -> Exchange[ChangeList]:
    """Return the latest changes of the world, newest first."""
    return pages("/admin/changes", "changes", ChangeList, {})


def forecast(question: Mapping[str, Any]) -> Exchange[Json]:
    """Return which alerts a fault would fire, when, and how much error budget it would spend; nothing is injected.

    The question is a fault, optionally with `traffic` and `monitoring` that differ from the present ones.
    """
    return asked("POST", "/admin/forecast", Json, json=dict(question))


def score(name: str) -> Exchange[Json]:
    """Return a fault's forecast and the alerts that Alertmanager delivered. Status 409 if the fault has not begun."""
    return asked("GET", f"{_fault(name)}/score", Json)


def effects() -> Exchange[Catalogue]:
    """Return every effect: a summary, its parameters as JSON schema, and an example."""
    return asked("GET", "/admin/effects", Catalogue)


def replicas() -> Exchange[ReplicaList]:
    """Return the live replicas, by id, with the revision that each has applied."""
    return asked("GET", "/admin/replicas", ReplicaList)


def audit(limit: int = 100) -> Exchange[AuditList]:
    """Return the audit log, newest first: at most `limit` entries, and at most a megabyte."""
    return asked("GET", "/admin/audit", AuditList, params={"limit": limit})


def alerts(limit: int | None = None) -> Exchange[DeliveredAlerts]:
    """Return the delivered alerts, latest first: all, or at most `limit` and at most a megabyte."""
    if limit is None:
        return pages("/admin/alerts", "alerts", DeliveredAlerts, {"limit": _MAX_ALERTS})
    return asked("GET", "/admin/alerts", DeliveredAlerts, params={"limit": limit})


def issue_token(role: str, *, ttl: str | float = "1h", label: str = "", wait: Wait = None) -> Exchange[NewToken]:
    """Issue a token for the role `operator`, `observer` or `instructor`, valid for `ttl`, at most a day.

    The answer is the only one that has its secret. RefusedError has status 429 while too many tokens are valid.
    """
    body = {"role": role, "ttl": ttl, "label": label}
    return asked("POST", _TOKENS, NewToken, params={"wait": wait}, json=body)


def tokens() -> Exchange[TokenList]:
    """Return the issued tokens that are valid now, newest first, without their secrets."""
    return asked("GET", _TOKENS, TokenList)


def revoke_token(token_id: str, *, wait: Wait = None) -> Exchange[TokenView]:
    """Revoke an issued token: it is refused from now on. Status 404 if it is unknown."""
    return asked("DELETE", f"{_TOKENS}/{quote(token_id, safe='')}", TokenView, params={"wait": wait})


def metrics() -> Exchange[str]:
    """Return what faults do, in Prometheus' text format."""
    return text("/admin/metrics")


def openapi() -> Exchange[Json]:
    """Return the OpenAPI document of the admin API."""
    return asked("GET", "/admin/openapi.json", Json)


def _fault(name: str) -> str:
    return f"{_FAULTS}/{quote(name, safe='')}"


def _matched(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}
