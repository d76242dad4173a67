"""Read from the admin API what decides where faults act: the world with its changes, and the replicas."""

from datetime import datetime

from chaosapi import errors
from chaosapi.cli import here
from chaosapi.clients.admin import AdminClient, ClientError
from chaosapi.forecast.presence import Place
from chaosapi.world.changes import FieldChange, WorldChange
from chaosapi.world.world import World


def read_place(url: str | None) -> Place | None:
    """Return the place of the service at this URL, or at the usual one; None if it does not answer."""
    try:
        url = url or here.admin_url()
        with AdminClient(url, token=here.admin_token(None, url)) as admin:
            return place_of(admin)
    except (ClientError, errors.Invalid):
        return None


def place_of(admin: AdminClient) -> Place:
    """Return the place of the service that answers this client; raises ClientError."""
    shown = admin.world()
    changes = [
        WorldChange(
            revision=change["revision"],
            at=datetime.fromisoformat(change["at"]).timestamp(),
            actor=change["actor"],
            note=change["note"],
            fields=tuple(FieldChange.model_validate(field) for field in change["fields"]),
        )
        for change in admin.world_changes()["changes"]
    ]
    world = World.model_validate({field: value for field, value in shown.items() if field in World.model_fields})
    return Place(world, [replica["name"] for replica in admin.replicas()["replicas"]], changes)
