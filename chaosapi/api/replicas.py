"""The replicas that serve traffic."""

from dataclasses import dataclass

from fastapi import APIRouter

from chaosapi.api import responses
from chaosapi.api.descriptions import refusals
from chaosapi.errors import StoreUnavailable
from chaosapi.runtime.fleet import Fleet


@dataclass(frozen=True)
class ReplicaEndpoints:
    """The route that lists replicas."""

    fleet: Fleet

    def router(self) -> APIRouter:
        """Return the routes below /admin."""
        api = APIRouter(prefix="/admin", tags=["replicas"])
        api.get("/replicas", responses=refusals(StoreUnavailable))(self.replicas)
        return api

    async def replicas(self) -> responses.ReplicaList:
        """List the live replicas, by id, with the revision that each has applied."""
        return responses.ReplicaList.of(await self.fleet.replicas())
