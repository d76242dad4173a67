"""Fail a probe."""

from typing import Any, ClassVar, Literal

from chaosapi.effects.base import Host, Probe, ProcessEffect

_POLL_S = 0.1


class Health(ProcessEffect):
    """Fail a probe with 503 while the strength is above zero: an orchestrator takes out, or restarts, the replica."""

    type: Literal["health"] = "health"
    probe: Probe = "readiness"
    """`readiness` (/readyz): the replica gets no more traffic; `liveness` (/healthz): the process is restarted."""

    shorthand: ClassVar[str | None] = "probe"
    example: ClassVar[dict[str, Any]] = {"type": "health", "probe": "readiness"}

    def act(self, host: Host) -> None:
        """Fail the probe while the strength is above zero."""
        try:
            while host.acting():
                host.fail(self.probe, failing=host.strength() > 0)
                host.sleep(_POLL_S)
        finally:
            host.fail(self.probe, failing=False)
