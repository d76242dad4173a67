"""Track whether Redis can be used, and log each change."""

from redis.exceptions import ResponseError

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.logger import get_logger

log = get_logger("chaosapi.store")


class Availability:
    """The failures that no later success has cleared."""

    def __init__(self) -> None:
        self.reached = False
        """Whether Redis answered the last call."""
        self.writable = True
        """Whether Redis accepted the last change or report; a Redis that is out of memory can still be read."""
        self.unreadable = False
        """Whether the stored state cannot be parsed."""

    @property
    def up(self) -> bool:
        """Whether a change would succeed."""
        return self.reached and self.writable and not self.unreadable

    def record_read_failure(self, error: BaseException) -> None:
        was = self.up
        if isinstance(error, StoreUnreadable):
            self.unreadable = True
        else:
            self.reached = False
        if was:
            log.warning(
                "the store is away; continuing with the last snapshot", reason=str(error) or type(error).__name__
            )

    def record_write_failure(self, error: StoreUnavailable) -> None:
        was = self.up
        cause = error.__cause__
        if isinstance(error, StoreUnreadable):
            self.unreadable = True
        elif isinstance(cause, ResponseError):
            self.writable = False
        elif cause is not None:
            self.reached = False
        if was and not self.up:
            log.warning("the store accepts no changes", reason=str(error))

    def record_write(self) -> None:
        self.writable = True
        self.unreadable = False
