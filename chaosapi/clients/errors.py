"""Errors of the HTTP clients.

ClientError
├── UnreachableError    connection refused, or unknown host
│   └── InvalidURLError the address is not a URL
├── NoAnswerError       time-out, or a response that is not the JSON of this API
├── UnauthorizedError   401: the token is missing or wrong
└── RefusedError        any other error of the API, with the API's message
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A request failed; the text says why.

    `status` is that of the response, None without one. `problem` is the API's problem document (RFC 9457), empty if
    the response is not one.
    """

    def __init__(self, text: str, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.problem = dict(problem or {})

    @property
    def fields(self) -> dict[str, str]:
        """The message for each invalid field of the request's body."""
        errors = self.problem.get("errors") or []
        return {each["field"]: each["message"] for each in errors if "field" in each}


class UnreachableError(ClientError):
    """The connection was refused, or the host is unknown."""


class InvalidURLError(UnreachableError):
    """The address is not a URL."""


class NoAnswerError(ClientError):
    """The request timed out, or the response is not JSON."""


class UnauthorizedError(ClientError):
    """The token is missing or wrong."""


class RefusedError(ClientError):
    """The API refused the request."""
