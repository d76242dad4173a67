"""Whether Redis can be used now, and the line in the log when that changes."""

from redis.exceptions import ResponseError

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.logger import get_logger

log = get_logger("chaosapi.store")


class Condition:
    """What went wrong last, and has not gone right since."""

    def __init__(self) -> None:
        self.reached = False
        """Whether it answered last time."""
        self.writable = True
        """Whether it took the last change or report; a Redis without memory can still be read."""
        self.unreadable = False
        """Whether it holds a state that nobody here can read."""

    @property
    def up(self) -> bool:
        """Whether it would take a change."""
        return self.reached and self.writable and not self.unreadable

    def record_read_failure(self, error: BaseException) -> None:
        """Note that it could not be read."""
        was = self.up
        if isinstance(error, StoreUnreadable):
            self.unreadable = True
        else:
            self.reached = False
        if was:
            log.warning("the store is away; going on with what is known", reason=str(error) or type(error).__name__)

    def record_write_failure(self, error: StoreUnavailable) -> None:
        """Note that it took no change."""
        was = self.up
        cause = error.__cause__
        if isinstance(error, StoreUnreadable):
            self.unreadable = True
        elif isinstance(cause, ResponseError):
            self.writable = False
        elif cause is not None:
            self.reached = False
        if was and not self.up:
            log.warning("the store takes no changes", reason=str(error))

    def record_write(self) -> None:
        """Note that it took a change."""
        self.writable = True
        self.unreadable = False
