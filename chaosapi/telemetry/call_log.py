"""The log of the calls to dependencies: a warning for each failed try, each refusal and each change of a breaker."""

from collections.abc import Iterable

from chaosapi.calls import Try, Wait
from chaosapi.logger import Logger, get_logger


class CallLog:
    """Writes as the app's own client of each dependency would.

    The dependencies of `names` have a logger each, below `prefix`: `shop.db`. The others, whose names are of any
    number, share that of the prefix.
    """

    def __init__(self, prefix: str, names: Iterable[str]) -> None:
        self._log = get_logger(prefix)
        self._by_name = {name: get_logger(f"{prefix}.{name}") for name in names}

    def write_try(self, done: Try) -> None:
        """Write the line of a failed try, or of one that was not made."""
        log = self._logger(done.dependency)
        if done.outcome == "rejected":
            log.warning("call rejected", dependency=done.dependency, error=done.error)
            return
        log.warning(
            "call failed",
            dependency=done.dependency,
            attempt=done.number,
            outcome=done.outcome,
            seconds=round(done.seconds, 6),
            error=done.error,
        )

    def write_wait(self, wait: Wait) -> None:
        """Write the line of a request that got no place."""
        if not wait.rejected:
            return
        seconds = round(wait.seconds, 6)
        if wait.dependency:
            error = "no free connection in the pool"
            self._logger(wait.dependency).warning(
                "call rejected", dependency=wait.dependency, queue_seconds=seconds, error=error
            )
        else:
            self._log.warning("request rejected", route=wait.route, queue_seconds=seconds, error="all places are taken")

    def write_breaker(self, dependency: str, state: str) -> None:
        """Write the line of a breaker that has changed its state."""
        self._logger(dependency).warning("circuit breaker changed", dependency=dependency, state=state)

    def _logger(self, dependency: str) -> Logger:
        return self._by_name.get(dependency, self._log)
