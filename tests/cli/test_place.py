"""What the command line reads of the world and the replicas."""

from chaosapi.cli.place import place_of, read_place
from chaosapi.clients.admin import AdminClient
from chaosapi.world.changes import undone
from chaosapi.world.world import World
from tests.conftest import MakeClient


def test_the_place_is_the_world_with_its_changes_and_the_names_of_the_replicas(make_client: MakeClient) -> None:
    """As the admin API shows them."""
    client = make_client(replica="shop-1", shop_retries=1)
    admin = AdminClient(client)
    admin.change_world({"settings": {"shop_retries": 0, "shop_timeout": "250ms"}}, note="too many tries")
    place = place_of(admin)
    assert place.replicas == ["shop-1"]
    assert (place.world.settings.shop_retries, place.world.settings.shop_timeout) == (0, 0.25)
    (change,) = place.changes
    assert (change.note, change.at) == ("too many tries", 1_800_000_000)
    assert undone(place.world, change).settings == World().settings.model_copy(update={"shop_retries": 1})


def test_without_a_service_the_place_is_unknown() -> None:
    """A forecast goes on without it."""
    assert read_place("http://127.0.0.1:9") is None
