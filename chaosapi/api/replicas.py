"""Who serves traffic."""

from fastapi import APIRouter

from chaosapi.api import views
from chaosapi.api.description import refusals
from chaosapi.errors import StoreUnavailable
from chaosapi.runtime.fleet import Fleet


def router(fleet: Fleet) -> APIRouter:
    """Make the route."""
    api = APIRouter(prefix="/admin", tags=["replicas"])

    @api.get("/replicas", responses=refusals(StoreUnavailable))
    async def replicas() -> views.ReplicaList:
        """List the replicas that are alive, by id, and how far each has come."""
        return views.ReplicaList.of(await fleet.replicas())

    return api
