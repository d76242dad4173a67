"""The errors of a lab, each with a message for the person at the terminal."""


class LabError(Exception):
    """The lab cannot start or go on; its text is meant for the person at the terminal."""


class ToolMissingError(LabError):
    """A program that the lab needs is neither on PATH nor downloadable."""


class PortTakenError(LabError):
    """Something else listens where a part of the lab should."""


class PartDiedError(LabError):
    """A part of the lab ended by itself; the text carries the tail of its log."""


class NotReadyError(LabError):
    """A part did not become ready in time."""
