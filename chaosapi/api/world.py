"""The admin API of the world: what operators change, and the feed of those changes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response

from chaosapi import json_limits
from chaosapi import scope as keys
from chaosapi.access import Grant, Role
from chaosapi.api import etag, pages, validation
from chaosapi.api.audit import AuditedChanges, Wait, Why
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import Responses, header, refusals
from chaosapi.errors import Forbidden, Invalid, PreconditionFailed, StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.receipt import Replicas
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.models import MAX_REVISION, Model
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.pool import Pool
from chaosapi.world.changes import MAX_CHANGES, FieldChange, WorldChange
from chaosapi.world.world import SHOP_PARTS, World, risks

_ETAG: Final = header("ETag", required=True)

WorldPatch = Annotated[
    dict[str, Any],
    Body(
        media_type="application/merge-patch+json",
        examples=[{"settings": {"shop_retries": 0}}, {"flags": {"new-pricing": False}}, {"rotation": {"shop-2": None}}],
    ),
]


class WorldView(World):
    """The world as it is on this replica."""

    revision: int
    """How often it has changed; faults have no part in it."""
    risks: list[str]
    """The settings that are outside their safe range, each with the reason."""
    absent: list[str]
    """The parts that nothing here acts on, because they belong to the shop; they cannot be changed."""
    replicas: Replicas
    """How many replicas have applied it."""


class ChangedWorld(WorldView):
    """The world after a change."""

    changed: list[FieldChange]
    """The fields that this change has changed; empty if it changed nothing."""


class ChangeView(Model):
    """A change of the world: who changed what, when and why."""

    revision: int
    at: datetime
    actor: str
    note: str
    fields: list[FieldChange]

    @classmethod
    def of(cls, change: WorldChange) -> "ChangeView":
        at = datetime.fromtimestamp(change.at, UTC)
        return cls(revision=change.number, at=at, actor=change.actor, note=change.note, fields=list(change.fields))


class ChangeList(Model):
    """The changes of the world, newest first."""

    changes: list[ChangeView]
    next: str | None = None
    """URL of the next page, relative to this request's; null on the last page."""


@dataclass(frozen=True)
class WorldEndpoints:
    """The routes of the world; the pool serializes the feed."""

    audited: AuditedChanges
    fleet: Fleet
    engine: Engine
    absent: Collection[str]
    """The parts of the world that nothing here acts on."""
    lists: Pool

    def router(self) -> APIRouter:
        """Return the routes below /admin."""
        api = APIRouter(prefix="/admin", tags=["world"], route_class=route_class(json_limits.SMALL))
        shown: Responses = {200: _ETAG}
        api.get("/world", responses=shown)(self.show)
        api.patch("/world", responses=shown | refusals(PreconditionFailed, StoreUnavailable))(self.change)
        api.get("/changes", response_model=ChangeList)(self.changes)
        return api

    async def show(self, response: Response) -> WorldView:
        """Show the releases, flags, settings, providers, rotation and limits of the shop."""
        await self.audited.catch_up()
        state = self.engine.state
        response.headers["etag"] = etag.of_world(state)
        return WorldView(**await self._fields(state, state.world, 0.0))

    async def change(
        self,
        request: Request,
        response: Response,
        document: WorldPatch,
        note: Why = "",
        if_match: etag.IfMatch = None,
        wait: Wait = 0.0,
    ) -> ChangedWorld:
        """Change the world by JSON merge patch (RFC 7396): all of it, or nothing.

        Null restores what the settings of each replica say. A patch that changes nothing is no change.
        """
        self._refuse_absent(document)
        base = self.engine.base_world
        now = self.engine.clock()
        about = WorldChange(revision=0, at=now, actor=self.audited.actor(request), note=note)
        check = partial(validation.read, World)
        if not _is_instructor(request):
            check = partial(_read_safe, known=frozenset(risks(self.engine.state.world)))
        change = changes.change_world(document, base, check, about)
        applied = await self.audited.apply(request, etag.guarded_world(change, if_match), "world", now=now, reason=note)
        state = applied.after
        latest = state.world_changes[:1] if state.revision != applied.before.revision else ()
        response.headers["etag"] = etag.of_world(state)
        fields = await self._fields(state, state.world.over(base), wait)
        return ChangedWorld(**fields, changed=[field for change in latest for field in change.fields])

    async def changes(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_CHANGES)] = MAX_CHANGES,
        before: Annotated[
            int | None, Query(ge=0, le=MAX_REVISION, description="Return only changes of earlier revisions.")
        ] = None,
    ) -> Response:
        """List the latest changes of the world, newest first: deployments, flags, settings, with who and why."""
        await self.audited.catch_up()
        known = self.engine.state.world_changes
        left = [change for change in known if before is None or change.number < before]
        page = pages.Page(limit)
        await self.lists.run(lambda: page.fill(left, _change_json))
        more = len(left) > len(page.texts)
        onwards = pages.next_page(limit=limit, before=left[len(page.texts) - 1].number) if more else None
        return pages.list_response(ChangeList(changes=[], next=onwards), "changes", page.texts)

    async def _fields(self, state: State, world: World, wait: float) -> dict[str, Any]:
        return {
            **{name: getattr(world, name) for name in World.model_fields},
            "revision": state.world_number,
            "risks": risks(world),
            "absent": sorted(self.absent),
            "replicas": await self.fleet.count_applied(state.world_revision, wait),
        }

    def _refuse_absent(self, document: dict[str, Any]) -> None:
        for part in document:
            if part in self.absent:
                raise Invalid.field(part, "this belongs to the shop of `chaosapi serve`, which does not run here")


def _is_instructor(request: Request) -> bool:
    grant: Grant | None = request.scope.get(keys.GRANT)
    return grant is None or grant.role is Role.INSTRUCTOR


def _read_safe(document: Any, known: Collection[str]) -> World:
    """Return the world of a document; raise Forbidden if it leaves a safe range that it has not left before."""
    world = validation.read(World, document)
    new = [risk for risk in risks(world) if risk not in known]
    if new:
        raise Forbidden(f"{new[0]}: only an instructor may leave it")
    return world


def absent_parts(*, shop: bool) -> Collection[str]:
    """Return the parts of the world that nothing acts on, where the shop runs and where it does not."""
    return () if shop else SHOP_PARTS


def _change_json(change: WorldChange) -> str:
    return ChangeView.of(change).model_dump_json()
