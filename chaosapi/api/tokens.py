"""Tokens that instructors issue for a time: for the people, programs and drills that may not see the faults."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from chaosapi import json_limits
from chaosapi.access import ISSUED, MAX_TTL_S, IssuedToken, RoleName, digest_of, live_tokens
from chaosapi.api.audit import AuditedChanges, Wait
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import refusals
from chaosapi.durations import Duration
from chaosapi.errors import LimitReached, NotFound, StoreUnavailable
from chaosapi.faults import changes
from chaosapi.injection.engine import Engine
from chaosapi.models import Line, Model
from chaosapi.runtime.fleet import Fleet

_WAIT_S: Final = 2.0
"""How long the answer waits for all replicas unless told otherwise: a token is used as soon as it is there."""


class TokenRequest(Model):
    """What a token is for."""

    role: RoleName
    """What it may do: an operator changes the world, an observer reads, an instructor may do everything."""
    ttl: Annotated[Duration, Field(gt=0, le=MAX_TTL_S)] = 3600.0
    """How long it is valid."""
    label: Annotated[Line, Field(max_length=100)] = ""
    """Whom it is for; the audit shows it."""


class TokenView(Model):
    """A token without its secret."""

    id: str
    role: RoleName
    label: str
    created_at: datetime
    expires_at: datetime


class TokenList(Model):
    """The tokens that are valid now, newest first."""

    tokens: list[TokenView]


class NewToken(TokenView):
    """A token that has just been issued."""

    token: str
    """The secret. It is shown once: only its hash is kept."""


@dataclass(frozen=True)
class TokenEndpoints:
    """The routes of issued tokens; `secret` returns a new random text for the URL-safe alphabet."""

    audited: AuditedChanges
    fleet: Fleet
    engine: Engine
    secret: Callable[[], str] = secrets.token_urlsafe

    def router(self) -> APIRouter:
        """Return the routes below /admin."""
        api = APIRouter(prefix="/admin", tags=["tokens"], route_class=route_class(json_limits.SMALL))
        api.post("/tokens", status_code=201, responses=refusals(LimitReached, StoreUnavailable))(self.issue)
        api.get("/tokens")(self.tokens)
        api.delete("/tokens/{token_id}", responses=refusals(NotFound, StoreUnavailable))(self.revoke)
        return api

    async def issue(self, request: Request, response: Response, asked: TokenRequest, wait: Wait = _WAIT_S) -> NewToken:
        """Issue a token for a role and a time. The answer is the only one that shows it."""
        now = self.engine.clock()
        secret = f"{ISSUED}{self.secret()}"
        digest = digest_of(secret)
        issued = IssuedToken(
            id=digest[:8],
            role=asked.role,
            label=asked.label,
            digest=digest,
            created_at=now,
            expires_at=now + asked.ttl,
        )
        reason = f"{issued.role} {issued.id} {issued.label}".rstrip()
        change = changes.issue_token(issued, now)
        applied = await self.audited.apply(request, change, "issue_token", now=now, reason=reason)
        await self.fleet.count_applied(applied.after.revision, wait)
        response.headers["cache-control"] = "no-store"
        return NewToken(token=secret, **_fields(issued))

    async def tokens(self) -> TokenList:
        """List the tokens that are valid now, newest first, without their secrets."""
        await self.audited.catch_up()
        live = live_tokens(self.engine.state.tokens, self.engine.clock())
        return TokenList(tokens=[TokenView(**_fields(token)) for token in live])

    async def revoke(
        self,
        request: Request,
        token_id: Annotated[str, Path(pattern="^[0-9a-f]{8}$", description="The token's id.")],
        wait: Wait = _WAIT_S,
    ) -> TokenView:
        """Revoke a token: from now on it is refused."""
        now = self.engine.clock()
        change = changes.revoke_token(token_id, now)
        applied = await self.audited.apply(request, change, "revoke_token", now=now, reason=token_id)
        await self.fleet.count_applied(applied.after.revision, wait)
        revoked = next(token for token in applied.before.tokens if token.id == token_id)
        return TokenView(**_fields(revoked))


def _fields(token: IssuedToken) -> dict[str, object]:
    return {
        "id": token.id,
        "role": token.role,
        "label": token.label,
        "created_at": datetime.fromtimestamp(token.created_at, UTC),
        "expires_at": datetime.fromtimestamp(token.expires_at, UTC),
    }
