"""The fields of the world in the console, with the real service."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.clients.admin import AdminClient
from chaosapi.console import world_fields
from tests.conftest import MakeClient


@pytest.mark.parametrize(
    ("field", "text", "shown"),
    [
        ("settings.shop_retries", "0", "0"),
        ("settings.shop_timeout", "250ms", "250ms"),
        ("settings.shop_breaker", "off", "off"),
        ("flags.new-pricing", "on", "on"),
        ("providers.payments", "bolt", "bolt"),
        ("release.running", "2.4", "2.4"),
        ("rotation.shop-1", "drained", "drained"),
        ("rotation.shop-1", "", ""),
        ("shed.browse", "0.3", "0.3"),
        ("settings.shop_retries", " ", "2"),
        ("quarantine", '["p-0001"]', '["p-0001"]'),
    ],
)
def test_what_is_typed_is_set_and_shown_again(make_client: MakeClient, field: str, text: str, shown: str) -> None:
    """Nothing restores the default; every offered field can be shown."""
    admin = AdminClient(make_client(replica="shop-1"))
    world: Any = admin.change_world(world_fields.patch(field, text))
    assert world_fields.present(world, field) == shown
    offered = world_fields.offered(world, admin.replicas()["replicas"])
    assert field in offered
    assert all(isinstance(world_fields.present(world, each), str) for each in offered)


def test_the_parts_read_like_a_list(client: TestClient) -> None:
    """Without the parts on which nothing acts."""
    world: Any = AdminClient(client).world()
    assert world_fields.parts(world)["flags"] == "new-pricing off, recommendations-v2 off, bulk-export off"
    assert list(world_fields.parts({**world, "absent": ["flags", "shed"]})) == [
        "release",
        "settings",
        "providers",
        "rotation",
        "limits",
        "quarantine",
    ]
