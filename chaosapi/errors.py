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

    status = 400
    title = "Bad Request"
    slug = "bad-request"


class Unauthorized(ChaosError):
    """The bearer token is missing or wrong."""

    status = 401
    title = "Unauthorized"
    slug = "unauthorized"


class Forbidden(ChaosError):
    """The caller may not do this from where it is."""

    status = 403
    title = "Forbidden"
    slug = "forbidden"


class NotFound(ChaosError):
    """There is no such thing."""

    status = 404
    title = "Not Found"
    slug = "not-found"


class Conflict(ChaosError):
    """It does not fit the state things are in."""

    status = 409
    title = "Conflict"
    slug = "conflict"


class PreconditionFailed(ChaosError):
    """The state has changed since the caller looked."""

    status = 412
    title = "Precondition Failed"
    slug = "precondition-failed"


class TooLarge(ChaosError):
    """The body is larger than what is read here."""

    status = 413
    title = "Content Too Large"
    slug = "content-too-large"


class UnsupportedType(ChaosError):
    """The body is not of a type that is read here."""

    status = 415
    title = "Unsupported Media Type"
    slug = "unsupported-media-type"


class Invalid(ChaosError):
    """A field is wrong."""

    status = 422
    title = "Unprocessable Content"
    slug = "invalid"

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """Make the error of one field."""
        return cls(f"{name}: {message}", [{"field": name, "message": message}])


class LimitReached(ChaosError):
    """There is no room for more."""

    status = 429
    title = "Too Many Requests"
    slug = "limit-reached"


class NotInstalled(ChaosError):
    """The answer takes packages that are not installed; the detail names the extra that brings them."""

    status = 501
    title = "Not Implemented"
    slug = "not-installed"


class StoreUnavailable(ChaosError):
    """The shared store does not answer; replicas go on with what they know."""

    status = 503
    title = "Service Unavailable"
    slug = "store-unavailable"


class StoreUnreadable(StoreUnavailable):
    """The shared state is garbage, or of another release; the kill switch writes an empty one over it."""


class Busy(ChaosError):
    """The queue for heavy work is full."""

    status = 503
    title = "Service Unavailable"
    slug = "busy"
    headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class ClientGone(ChaosError):
    """The client has disconnected before its answer was there; nginx gave this status its number."""

    status = 499
    title = "Client Closed Request"
    slug = "client-gone"
