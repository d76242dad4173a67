"""Everything that can be refused, with its HTTP status and title.

ChaosError
 ├─ BadRequest         400  the body cannot be read at all, or there is no telling which Host is meant
 ├─ Unauthorized       401  no token, or a wrong one
 ├─ Forbidden          403  a browser page of another origin, or a name that is not this machine's
 ├─ NotFound           404
 ├─ Conflict           409  the name is taken, the fault has ended, chaos is halted
 ├─ PreconditionFailed 412  the revision is not the one in If-Match
 ├─ TooLarge           413  the body has more than a megabyte
 ├─ UnsupportedType    415  the body is not JSON
 ├─ Invalid            422  a field is wrong; `errors` names it and says what would be right
 ├─ LimitReached       429  no room for another fault
 ├─ ClientGone         499  nobody is there to be answered
 ├─ NotInstalled       501  the answer takes packages that are not installed
 ├─ StoreUnavailable   503  the shared store does not answer
 │   └─ StoreUnreadable     it does, but nobody here can read the state that it holds
 └─ Busy               503  the queue for heavy work is full; Retry-After says when to ask again
"""

from collections.abc import Mapping
from typing import ClassVar


class ChaosError(Exception):
    """Base of all refusals: `str(error)` is the detail for people, `errors` the fields at fault."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"
    slug: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}
    """What the answer says beside its body."""

    def __init__(self, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class BadRequest(ChaosError):
    """The body cannot be read at all, or there is no telling which Host is meant."""

    status, title, slug = 400, "Bad Request", "bad-request"


class Unauthorized(ChaosError):
    """The bearer token is missing or wrong."""

    status, title, slug = 401, "Unauthorized", "unauthorized"


class Forbidden(ChaosError):
    """The caller may not do this from where it is."""

    status, title, slug = 403, "Forbidden", "forbidden"


class NotFound(ChaosError):
    """There is no such thing."""

    status, title, slug = 404, "Not Found", "not-found"


class Conflict(ChaosError):
    """It does not fit the state things are in."""

    status, title, slug = 409, "Conflict", "conflict"


class PreconditionFailed(ChaosError):
    """The state has changed since the caller looked."""

    status, title, slug = 412, "Precondition Failed", "precondition-failed"


class TooLarge(ChaosError):
    """The body is larger than what is read here."""

    status, title, slug = 413, "Content Too Large", "content-too-large"


class UnsupportedType(ChaosError):
    """The body is not of a type that is read here."""

    status, title, slug = 415, "Unsupported Media Type", "unsupported-media-type"


class Invalid(ChaosError):
    """A field is wrong."""

    status, title, slug = 422, "Unprocessable Content", "invalid"

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """Make the error of one field."""
        return cls(f"{name}: {message}", [{"field": name, "message": message}])


class LimitReached(ChaosError):
    """There is no room for more."""

    status, title, slug = 429, "Too Many Requests", "limit-reached"


class NotInstalled(ChaosError):
    """The answer takes packages that are not installed; the detail names the extra that brings them."""

    status, title, slug = 501, "Not Implemented", "not-installed"


class StoreUnavailable(ChaosError):
    """The shared store does not answer; replicas go on with what they know."""

    status, title, slug = 503, "Service Unavailable", "store-unavailable"


class StoreUnreadable(StoreUnavailable):
    """The shared state is garbage, or of another release; the kill switch writes an empty one over it."""


class Busy(ChaosError):
    """The queue for heavy work is full."""

    status, title, slug = 503, "Service Unavailable", "busy"
    headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class ClientGone(ChaosError):
    """The client has disconnected before its answer was there; nginx gave this status its number."""

    status, title, slug = 499, "Client Closed Request", "client-gone"
