"""The actions of operators against the real service."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.clients import world_actions
from chaosapi.clients.admin import AdminClient
from tests.conftest import MakeClient


@pytest.fixture
def admin(client: TestClient) -> AdminClient:
    """Return a client of the admin API."""
    return AdminClient(client)


def test_a_roll_back_goes_to_the_former_release(admin: AdminClient) -> None:
    """First of the replicas that run another one; the first release has no former one."""
    with pytest.raises(ValueError, match=r"1\.0\.0 is the first release"):
        world_actions.roll_back(admin.world())
    admin.change_world(world_actions.deploy("2.0.0"))
    admin.change_world(world_actions.deploy("2.0.1", ["shop-2", "host.domain-1"]))
    back = admin.change_world(world_actions.roll_back(admin.world()))
    assert back["release"] == {"running": "2.0.0", "by_replica": {}, "previous": "1.0.0"}
    assert admin.change_world(world_actions.roll_back(admin.world()))["release"]["running"] == "1.0.0"
    assert admin.change_world(world_actions.roll_back(admin.world(), "0.9"))["release"]["running"] == "0.9"


def test_limits_and_products_are_added_and_removed_one_by_one(admin: AdminClient) -> None:
    """A second limit of the same value replaces the first."""
    for header, value, rate in (("X-Tenant", "a", 5.0), ("x-tenant", "b", 0.0), ("x-tenant", "a", 1.0)):
        admin.change_world(world_actions.limit(admin.world(), header, value, rate))
    assert [(each["value"], each["requests_per_second"]) for each in admin.world()["limits"]] == [("b", 0), ("a", 1)]
    admin.change_world(world_actions.unlimit(admin.world(), "x-tenant", "b"))
    assert [each["value"] for each in admin.world()["limits"]] == ["a"]
    with pytest.raises(ValueError, match="x-tenant=b are not limited"):
        world_actions.unlimit(admin.world(), "x-tenant", "b")
    for product in ("p-0002", "p-0001", "p-0002"):
        admin.change_world(world_actions.quarantine(admin.world(), product))
    assert admin.change_world(world_actions.bring_back(admin.world(), "p-0001"))["quarantine"] == ["p-0002"]
    with pytest.raises(ValueError, match="not in quarantine"):
        world_actions.bring_back(admin.world(), "p-0001")


CHANGES: list[dict[str, Any]] = [
    {"settings": {"shop_timeout": "250ms", "shop_retries": 0}},
    {"rotation": {"host.domain-1a2b": "drained"}},
    {"release": {"running": "2.4.1"}},
    {"release": {"by_replica": {"host.domain-1a2b": "2.4.1"}}},
    {"limits": [{"header": "x-a", "value": "b", "requests_per_second": 0}], "quarantine": ["p-0001"]},
    {"shed": {"browse": 0.5, "cart": 0.25}},
    {"flags": {"new-pricing": True}},
]


@pytest.mark.parametrize("document", CHANGES, ids=str)
def test_undo_restores_what_was_before(make_client: MakeClient, document: dict[str, Any]) -> None:
    """Every field of the change; the feed has both."""
    admin = AdminClient(make_client(shop_retries=1))
    admin.change_world({"settings": {"queue": 7}})
    before = admin.world()
    admin.change_world(document)
    after = admin.change_world(world_actions.undo(admin.world(), admin.world_changes()["changes"][0]))
    parts = ("release", "flags", "settings", "rotation", "limits", "shed", "quarantine")
    assert {part: dict(after)[part] for part in parts} == {part: dict(before)[part] for part in parts}
    assert len(admin.world_changes()["changes"]) == 3


def test_a_field_that_has_changed_since_is_not_undone(admin: AdminClient) -> None:
    """The error has its present value."""
    admin.change_world({"settings": {"shop_retries": 0, "queue": 5}})
    (change,) = admin.world_changes()["changes"]
    admin.change_world({"settings": {"shop_retries": 1}})
    with pytest.raises(ValueError, match=r"settings\.shop_retries has changed since: it is 1 now"):
        world_actions.undo(admin.world(), change)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (None, "drained", "f: none → drained"),
        (True, False, "f: on → off"),
        (["p-0001"], [], "f: p-0001 → none"),
        ({}, "1s", "f: none → 1s"),
        ([], [{"header": "x-a", "value": "b", "requests_per_second": 0.5}], "f: none → x-a=b 0.5/s"),
    ],
)
def test_a_change_reads_like_a_sentence(before: Any, after: Any, text: str) -> None:
    """With both values."""
    assert world_actions.words({"field": "f", "before": before, "after": after}) == text
