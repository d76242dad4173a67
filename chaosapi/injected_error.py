"""The exception that a fault raises in the app."""


class InjectedError(RuntimeError):
    """Raised by the effect `exception`."""
