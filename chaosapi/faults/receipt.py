"""The receipt of a fault: what the fault really did, counted by the middleware, next to what was requested."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chaosapi.durations import Duration
from chaosapi.faults.sketch import Sketch
from chaosapi.models import Model


class DelayQuantiles(Model):
    """Percentiles of delays."""

    p50: Duration
    p95: Duration
    p99: Duration


class DelayReceipt(Model):
    """The planned delays, as drawn, and the measured delays."""

    planned: DelayQuantiles
    measured: DelayQuantiles


class Replicas(Model):
    """How many of the known replicas have applied this revision of the fault."""

    applied: int
    known: int


_ALONE = Replicas(applied=1, known=1)
SPARED: Final = "condition"
"""Among the reasons to skip a request: the fault's condition did not hold."""


class Denial(Model):
    """A replica on which the fault does not act, because its settings forbid it."""

    replica: str
    reason: str


class ReplicaCounts(Model):
    """What one replica counted."""

    replica: str
    """The replica's name."""
    matched: int
    injected: int
    skipped: int
    spared: int


class Receipt(Model):
    """What a fault has done so far."""

    matched: int
    """Requests that matched the target while the fault was active."""
    injected: int
    """Matched requests on which the effect acted."""
    skipped: int
    """Requests that the dice hit but the effect did not act on; chaosapi_fault_skipped_total has the reasons."""
    spared: int
    """Requests that the dice would have hit, had the fault's condition (`while`) held; not among the skipped."""
    requested_rate: float
    """The requested share: rate × strength, averaged over the matched requests; 0 for those that a condition spared."""
    achieved_rate: float
    """The achieved share: injected / matched."""
    delay: DelayReceipt | None
    """The delays, for effects that delay requests."""
    replicas: Replicas
    denied: Sequence[Denial] = ()
    """The replicas whose settings forbid the fault, and the reasons."""
    by_replica: Sequence[ReplicaCounts] = ()
    """The counts of each replica, for faults with `while` or `target.replicas`."""


@dataclass(slots=True)
class DelaySketches:
    """All delays of one fault on this replica, in seconds."""

    planned: Sketch = field(default_factory=Sketch)
    measured: Sketch = field(default_factory=Sketch)


@dataclass(slots=True)
class Counts:
    """The running counts of one fault on this replica."""

    matched: int = 0
    expected: float = 0.0
    injected: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    delays: DelaySketches | None = None
    """None until the first delay."""
    denied: str | None = None
    """Why the fault must not act on this replica; None where it may."""

    def record_delay(self, planned: float, measured: float) -> None:
        """Count one delay, in seconds."""
        self.delays = self.delays or DelaySketches()
        self.delays.planned.add(planned)
        self.delays.measured.add(measured)

    def of_replica(self, replica: str) -> ReplicaCounts:
        """Return the counts as those of the replica of this name."""
        skipped = self.skipped.copy()  # another thread may add a reason meanwhile
        spared = skipped.pop(SPARED, 0)
        return ReplicaCounts(
            replica=replica, matched=self.matched, injected=self.injected, skipped=skipped.total(), spared=spared
        )

    def receipt(self, rate: float, replicas: Replicas = _ALONE, denied: Sequence[Denial] = ()) -> Receipt:
        """Return the receipt; `rate` is the requested rate while no request has matched yet."""
        counts = self.of_replica("")
        return Receipt(
            matched=counts.matched,
            injected=counts.injected,
            skipped=counts.skipped,
            spared=counts.spared,
            requested_rate=round(self.expected / self.matched, 6) if self.matched else rate,
            achieved_rate=round(self.injected / self.matched, 6) if self.matched else 0.0,
            delay=DelayReceipt(planned=_quantiles(self.delays.planned), measured=_quantiles(self.delays.measured))
            if self.delays and self.delays.planned.count
            else None,
            replicas=replicas,
            denied=denied,
        )


def _quantiles(sketch: Sketch) -> DelayQuantiles:
    p50, p95, p99 = sketch.quantiles((0.5, 0.95, 0.99))
    return DelayQuantiles(p50=p50, p95=p95, p99=p99)
