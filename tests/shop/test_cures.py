"""Each action of an operator ends the faults that depend on what it changes, on all replicas at once, and no other."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chaosapi.clients import world_actions
from chaosapi.clients.admin import AdminClient
from chaosapi.clients.exchange import Json
from tests.conftest import MakeClient

BLOCKED = {"header": "x-tenant", "value": "acme", "requests_per_second": 0}


class Cure(NamedTuple):
    """An action, the condition that it ends, and the state before it."""

    condition: dict[str, Any]
    action: Json
    before: Json = {}  # noqa: RUF012 - nobody changes it


CURES = {
    "roll back": Cure({"release": "2.4.1"}, world_actions.deploy("2.4.0"), world_actions.deploy("2.4.1")),
    "flag": Cure({"flags": {"new-pricing": True}}, {"flags": {"new-pricing": False}}, {"flags": {"new-pricing": True}}),
    "retries": Cure({"settings": {"shop_retries": {"above": 0}}}, {"settings": {"shop_retries": 0}}),
    "time-out": Cure({"settings": {"shop_timeout": {"at_least": "1s"}}}, {"settings": {"shop_timeout": "300ms"}}),
    "breaker": Cure(
        {"settings": {"shop_breaker": False}},
        {"settings": {"shop_breaker": True}},
        {"settings": {"shop_breaker": False}},
    ),
    "concurrency": Cure({"settings": {"concurrency": 0}}, {"settings": {"concurrency": 50}}),
    "queue": Cure({"settings": {"queue": {"above": 50}}}, {"settings": {"queue": 10}}),
    "degrade": Cure({"settings": {"search": "live"}}, {"settings": {"search": "cached"}}),
    "fail over": Cure({"providers": {"payments": "acme"}}, {"providers": {"payments": "bolt"}}),
    "drain": Cure({"in_rotation": True}, {"rotation": {f"shop-{number}": "drained" for number in range(3)}}),
    "limit": Cure({"limits": {"x-tenant=acme": {"above": 5}}}, {"limits": [{**BLOCKED, "requests_per_second": 5}]}),
    "block": Cure({"limits": {"x-tenant=acme": {"above": 0}}}, {"limits": [BLOCKED]}),
    "shed": Cure({"shed": {"browse": {"below": 0.3}}}, {"shed": {"browse": 0.3}}),
    "quarantine": Cure({"quarantine": {"p-0042": False}}, {"quarantine": ["p-0042"]}),
}
UNDONE = dict.fromkeys(("release", "flags", "settings", "providers", "rotation", "limits", "shed", "quarantine"))
"""The patch that restores everything."""


def test_each_action_ends_its_faults_on_three_replicas_and_no_other(make_client: MakeClient, tmp_path: Path) -> None:
    """In one revision; the faults of all other actions go on."""
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    clients = [make_client(store=url, replica=f"shop-{number}") for number in range(3)]
    admin = AdminClient(clients[0])
    while len(admin.replicas()["replicas"]) < len(clients):
        pass
    order = "/api/orders/o-1"
    for name, cure in CURES.items():
        admin.end_all_faults(wait="30s")
        admin.change_world(UNDONE)
        admin.change_world(cure.before)
        fault = {"effect": {"type": "error", "status": 500}, "while": cure.condition}
        admin.create_fault({**fault, "target": {"routes": ["/api/orders/{order_id}"]}}, wait="30s")
        others: Json = {}
        for other in CURES.values():
            if not related(cure.condition, other.condition) and "shed" not in other.action:
                others = world_actions.merged(others, other.action)
        admin.change_world(others, wait="30s")
        statuses = [client.get(order).status_code for client in clients]
        assert statuses == [500] * 3, f"another action ended the fault of {name}"
        before = admin.world()["revision"]
        changed = admin.change_world(cure.action, wait="30s")
        assert (changed["revision"] - before, changed["replicas"]) == (1, {"applied": 3, "known": 3}), name
        statuses = [client.get(order, headers={"x-request-id": "served"}).status_code for client in clients]
        assert statuses == [404] * 3, f"{name} did not end its fault"


def related(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two conditions are about the same field."""
    (part,) = one
    return part in other and (not isinstance(one[part], dict) or one[part].keys() == other[part].keys())


@pytest.mark.slow
def test_twelve_replicas_acknowledge_a_change_of_the_world_as_they_do_a_fault(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """Within the same wait."""
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    clients = [make_client(store=url, replica=f"shop-{number}") for number in range(12)]
    admin = AdminClient(clients[0])
    while len(admin.replicas()["replicas"]) < len(clients):
        pass
    fault = admin.create_fault({"effect": {"type": "error"}, "rate": 0.5}, wait="10s")
    assert fault["receipt"]["replicas"] == {"applied": 12, "known": 12}
    changed = admin.change_world({"settings": {"shop_retries": 0}}, wait="10s")
    assert changed["replicas"] == {"applied": 12, "known": 12}
    assert {AdminClient(client).world()["settings"]["shop_retries"] for client in clients} == {0}
