"""What can go wrong between the console and what it watches, each with words for the person at the screen."""

from collections.abc import Mapping


class SourceError(Exception):
    """A source did not do what it was asked."""


class Unreachable(SourceError):  # noqa: N818 - what the screen says
    """Nothing listens there, or no such host is known."""


class Silent(SourceError):  # noqa: N818 - as above
    """It did not answer in time, or with something else than it should."""


class Locked(SourceError):  # noqa: N818 - as above
    """It wants a token, or another one."""


class Refused(SourceError):  # noqa: N818 - as above
    """It said no; `fields` says what is wrong with which field of what was sent."""

    def __init__(self, text: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.fields = dict(fields or {})
