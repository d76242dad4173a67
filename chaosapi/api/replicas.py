"""Who serves traffic."""

from fastapi import APIRouter

from chaosapi.api import responses
from chaosapi.api.descriptions import refusals
from chaosapi.errors import StoreUnavailable
from chaosapi.runtime.fleet import Fleet


def router(fleet: Fleet) -> APIRouter:
    """Make the route."""
    api = APIRouter(prefix="/admin", tags=["replicas"])

    @api.get("/replicas", responses=refusals(StoreUnavailable))
    async def replicas() -> responses.ReplicaList:
        """List the replicas that are alive, by id, and how far each has come."""
        return responses.ReplicaList.of(await fleet.replicas())

    return api
