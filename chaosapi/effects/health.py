"""Fail a probe."""

from typing import Any, ClassVar, Literal

from chaosapi.effects.base import Host, Probe, ProcessEffect

_LOOK = 0.1


class Health(ProcessEffect):
    """Let a probe answer 503 while the shape is above zero: an orchestrator takes the replica out, or restarts it."""

    type: Literal["health"] = "health"
    probe: Probe = "readiness"
    """`readiness` (/readyz): no more traffic is sent here; `liveness` (/healthz): the process is restarted."""

    example: ClassVar[dict[str, Any]] = {"type": "health", "probe": "readiness"}

    def act(self, host: Host) -> None:
        """Fail the probe as the strength says."""
        try:
            while host.acting():
                host.fail(self.probe, failing=host.strength() > 0)
                host.sleep(_LOOK)
        finally:
            host.fail(self.probe, failing=False)
