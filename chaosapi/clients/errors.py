"""What can go wrong between a client and what it asks.

ClientError
├── UnreachableError    nothing listens there
│   └── InvalidURLError its address is no URL
├── NoAnswerError       no answer in time, or none that is JSON
├── UnauthorizedError   401: it wants a token, or another one
└── RefusedError        any other error of the API, in the API's own words
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A service did not do what it was asked; the text says why.

    `status` is that of the answer, None where none came. `problem` is the API's problem document (RFC 9457), empty
    where the answer was none.
    """

    def __init__(self, text: str, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.problem = dict(problem or {})

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with which field of the body that was sent, in words."""
        errors = self.problem.get("errors") or []
        return {each["field"]: each["message"] for each in errors if "field" in each}


class UnreachableError(ClientError):
    """Nothing listens there, or no such host is known."""


class InvalidURLError(UnreachableError):
    """What was given as the address is no URL."""


class NoAnswerError(ClientError):
    """No answer came in time, or one that is no JSON."""


class UnauthorizedError(ClientError):
    """The API wants a token, or another one."""


class RefusedError(ClientError):
    """The API refused what it was asked."""
