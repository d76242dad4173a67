"""All errors of the API, with HTTP status and title.

ChaosError
 ├─ BadRequest         400  the body is malformed, or the Host header is missing, repeated or invalid
 ├─ Unauthorized       401  no token, or a wrong one
 ├─ Forbidden          403  a page of another origin, or a Host that does not name this machine
 ├─ NotFound           404
 ├─ Conflict           409  the name is taken, the fault has ended, chaos is halted
 ├─ PreconditionFailed 412  the revision is not the one in If-Match
 ├─ TooLarge           413  the body has more than a megabyte
 ├─ UnsupportedType    415  the body is not JSON
 ├─ Invalid            422  a field is wrong; `errors` names it and says what would be right
 ├─ LimitReached       429  the limit of faults is reached
 ├─ ClientGone         499  the client disconnected before the response
 ├─ NotInstalled       501  an extra of the package is not installed
 ├─ StoreUnavailable   503  the shared store does not answer
 │   └─ StoreUnreadable     its state is corrupt, or of another release
 └─ Busy               503  the queue for heavy work is full; Retry-After says when to ask again
"""

from collections.abc import Mapping
from typing import ClassVar


class ChaosError(Exception):
    """Base class: `str(error)` is the detail for people, `errors` the wrong fields."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"
    slug: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}
    """Headers of the response."""

    def __init__(self, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class BadRequest(ChaosError):
    """The body is malformed, or the Host header is missing, repeated or invalid."""

    status = 400
    title = "Bad Request"
    slug = "bad-request"


class Unauthorized(ChaosError):
    """The bearer token is missing or wrong."""

    status = 401
    title = "Unauthorized"
    slug = "unauthorized"


class Forbidden(ChaosError):
    """The request comes from another origin or machine."""

    status = 403
    title = "Forbidden"
    slug = "forbidden"


class NotFound(ChaosError):
    """The resource does not exist."""

    status = 404
    title = "Not Found"
    slug = "not-found"


class Conflict(ChaosError):
    """The request conflicts with the current state."""

    status = 409
    title = "Conflict"
    slug = "conflict"


class PreconditionFailed(ChaosError):
    """The state has changed since the caller read it."""

    status = 412
    title = "Precondition Failed"
    slug = "precondition-failed"


class TooLarge(ChaosError):
    """The body is larger than the limit."""

    status = 413
    title = "Content Too Large"
    slug = "content-too-large"


class UnsupportedType(ChaosError):
    """The media type of the body is not supported."""

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
        """Return the error of one field."""
        return cls(f"{name}: {message}", [{"field": name, "message": message}])


class LimitReached(ChaosError):
    """A limit of the settings is reached."""

    status = 429
    title = "Too Many Requests"
    slug = "limit-reached"


class NotInstalled(ChaosError):
    """The endpoint needs packages that are not installed; the detail names the extra that has them."""

    status = 501
    title = "Not Implemented"
    slug = "not-installed"


class StoreUnavailable(ChaosError):
    """The shared store is unavailable; replicas continue with the last snapshot."""

    status = 503
    title = "Service Unavailable"
    slug = "store-unavailable"


class StoreUnreadable(StoreUnavailable):
    """The shared state is corrupt, or of another release; the kill switch replaces it by an empty one."""


class Busy(ChaosError):
    """The queue for heavy work is full."""

    status = 503
    title = "Service Unavailable"
    slug = "busy"
    headers: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class ClientGone(ChaosError):
    """The client disconnected before the response; nginx introduced this status."""

    status = 499
    title = "Client Closed Request"
    slug = "client-gone"
