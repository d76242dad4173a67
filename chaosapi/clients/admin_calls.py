"""The calls of the admin API: what AdminClient and AsyncAdminClient do, without the connection.

`wait` is how long, as "2s" or in seconds, at most 30, to wait until every replica has applied the change. `reason` is
kept in the audit. With `if_revision` a fault that has changed since that revision is left as it is, and RefusedError
raised, status 412.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from chaosapi.clients.answers import (
    AuditList,
    Catalogue,
    Created,
    DeliveredAlerts,
    Ended,
    FaultList,
    FaultView,
    HaltAnswer,
    Phase,
    ReplicaList,
)
from chaosapi.clients.exchange import Exchange, Json, asked, pages

_FAULTS: Final = "/admin/faults"
_MERGE_PATCH: Final = {"content-type": "application/merge-patch+json"}
_MOST_ALERTS: Final = 1000  # that the service keeps, and puts on one page

Wait = str | float | None


def create_fault(fault: Mapping[str, Any], *, wait: Wait = None, forecast: bool = False) -> Exchange[Created]:
    """Inject a fault, such as `{"effect": {"type": "error"}, "rate": 0.2}`, and return it as the service made it.

    With `forecast` the answer says which alerts it will fire, and when. Status 409 where the name is taken, 422 where
    the body is wrong or asks for too much, 503 where the store is away.
    """
    params = {"wait": wait, "forecast": "true" if forecast else None}
    return asked("POST", _FAULTS, params=params, json=dict(fault))


def get_fault(name: str) -> Exchange[FaultView]:
    """Return a fault with its receipt: how many requests matched, how many were hit. Status 404 where there is none."""
    return asked("GET", _fault(name))


def list_faults(state: Phase | None = None) -> Exchange[FaultList]:
    """Return the faults of all pages, newest first: the live ones and the last hundred that have ended."""
    return pages(_FAULTS, "faults", {"state": state})


def change_fault(
    name: str, changes: Mapping[str, Any], *, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """Change a live fault by JSON merge patch (RFC 7396); its clock and its receipt run on."""
    headers = {**_MERGE_PATCH, **_matched(if_revision)}
    return asked("PATCH", _fault(name), headers, params={"wait": wait}, json=dict(changes))


def replace_fault(
    name: str, fault: Mapping[str, Any], *, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """Create the fault, or replace it and start its clock anew; the same body again changes nothing."""
    return asked("PUT", _fault(name), _matched(if_revision), params={"wait": wait}, json=dict(fault))


def end_fault(
    name: str, *, reason: str | None = None, if_revision: int | None = None, wait: Wait = None
) -> Exchange[FaultView]:
    """End a fault now and return it with its final receipt. Status 409 where it has ended already."""
    params = {"reason": reason, "wait": wait}
    return asked("DELETE", _fault(name), _matched(if_revision), params=params)


def end_all_faults(*, reason: str | None = None, wait: Wait = None) -> Exchange[Ended]:
    """End every fault now: the kill switch. It works without the store too."""
    return asked("DELETE", _FAULTS, params={"reason": reason, "wait": wait})


def halt(*, reason: str = "", wait: Wait = None) -> Exchange[HaltAnswer]:
    """End every fault and refuse new ones until the halt is lifted. It works without the store too."""
    return asked("POST", "/admin/halt", params={"wait": wait}, json={"reason": reason})


def resume(*, reason: str | None = None, wait: Wait = None) -> Exchange[HaltAnswer]:
    """Lift the halt; what it ended stays ended."""
    return asked("DELETE", "/admin/halt", params={"reason": reason, "wait": wait})


def forecast(question: Mapping[str, Any]) -> Exchange[Json]:
    """Return which alerts a fault would fire, when, and what it would cost; nothing is injected.

    The question is a fault, with `traffic` and `monitoring` where they are not as they are now.
    """
    return asked("POST", "/admin/forecast", json=dict(question))


def score(name: str) -> Exchange[Json]:
    """Return a fault's forecast beside what Alertmanager delivered. Status 409 where the fault has not begun."""
    return asked("GET", f"{_fault(name)}/score")


def effects() -> Exchange[Catalogue]:
    """Return every effect: what it does, its parameters as JSON schema, an example."""
    return asked("GET", "/admin/effects")


def replicas() -> Exchange[ReplicaList]:
    """Return the replicas that are alive, by id, and how far each has come."""
    return asked("GET", "/admin/replicas")


def audit(limit: int = 100) -> Exchange[AuditList]:
    """Return who did what, when and why, newest first: at most `limit` entries, and at most a megabyte of them."""
    return asked("GET", "/admin/audit", params={"limit": limit})


def alerts(limit: int | None = None) -> Exchange[DeliveredAlerts]:
    """Return the alerts that were delivered, the latest first: all, or at most `limit` and a megabyte of them."""
    if limit is None:
        return pages("/admin/alerts", "alerts", {"limit": _MOST_ALERTS})
    return asked("GET", "/admin/alerts", params={"limit": limit})


def openapi() -> Exchange[Json]:
    """Return the description of the admin API."""
    return asked("GET", "/admin/openapi.json")


def _fault(name: str) -> str:
    return f"{_FAULTS}/{quote(name, safe='')}"


def _matched(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}
