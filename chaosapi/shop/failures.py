"""What the shop says when it fails, which an injected error says too: nobody can tell them apart by the text."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

_DEPENDENCIES: Final[Mapping[str, str]] = {
    "/api/search": "search-index",
    "/api/assistant": "search-index",
    "/api/checkout": "payments",
}
"""The dependency that fails a request of a route; of other routes it is `db`."""


def failed(dependency: str) -> str:
    """Return the detail of a 503 for a dependency that failed."""
    return f"{dependency} failed"


def late(dependency: str) -> str:
    """Return the detail of a 504 for a dependency that did not answer."""
    return f"{dependency} did not answer in time"


def detail(route: str, status: int) -> str:
    """Return the detail of the problem document with which a route of the shop answers with this status."""
    dependency = _DEPENDENCIES.get(route, "db")
    known = {
        500: "the server failed to answer; its log has the traceback",
        503: failed(dependency),
        504: late(dependency),
        429: "too many requests: try again later",
    }
    try:
        return known.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"
