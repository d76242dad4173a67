"""Roles of the people and programs that use the control plane, and tokens that expire, kept as hashes."""

import functools
import hashlib
import hmac
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from chaosapi.models import Model, Moment

MAX_TOKENS: Final = 50
"""How many issued tokens may be valid at once."""
MAX_TTL_S: Final = 86400.0
ISSUED: Final = "chaosapi-run-"
"""How every issued token begins: one that has expired is told from a token that was never ours."""

RoleName = Literal["instructor", "operator", "observer"]


class Role(IntEnum):
    """What a caller may do; each role may do what those before it may."""

    PUBLIC = 0
    """Read metrics, probes and the API docs."""
    OBSERVER = 1
    """Read what an operator reads."""
    OPERATOR = 2
    """Read the world, its changes and the alerts, and change the world within its safe ranges."""
    INSTRUCTOR = 3
    """Everything."""

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: RoleName) -> "Role":
        """Return the role of this name."""
        return cls[name.upper()]


class Grant(Model):
    """What a request was recognized as."""

    role: Role
    label: str = ""
    """The label of the issued token; empty for other tokens."""


class IssuedToken(Model):
    """A token that an instructor has issued. Only its hash is kept. Times are Unix seconds in UTC."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
    role: RoleName
    label: str = ""
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The SHA-256 of the token, which is random: a salt would add nothing."""
    created_at: Moment
    expires_at: Moment

    @functools.cached_property
    def text(self) -> str:
        """Return the record as JSON; cached, because a store writes it with every change."""
        return self.model_dump_json()


def digest_of(token: str) -> str:
    """Return the hash under which a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def live_tokens(tokens: Sequence[IssuedToken], now: float) -> tuple[IssuedToken, ...]:
    """Return the tokens that have not expired."""
    return tuple(token for token in tokens if token.expires_at > now)


def find_issued(tokens: Sequence[IssuedToken], given: str, now: float) -> IssuedToken | None:
    """Return the record of a token that is valid now; the time that takes depends on the number of tokens alone."""
    digest = digest_of(given)
    same = [token for token in tokens if hmac.compare_digest(token.digest, digest)]
    return next(iter(live_tokens(same, now)), None)
