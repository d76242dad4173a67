"""The traffic of the last minute, with a fake clock."""

from chaosapi.telemetry.traffic import FaultFreeMeter, RateMeter
from tests.conftest import Clock

PRODUCTS = ("GET", "/api/products", "200")
SEARCH = ("GET", "/api/search", "200")


def test_rates_cover_the_last_minute(clock: Clock) -> None:
    """Earlier requests do not count: ten per second for a minute, then one per second for a minute."""
    counts = {PRODUCTS: 0.0}
    flow = RateMeter(lambda: dict(counts), clock)
    for rate in (10.0, 1.0):
        for _ in range(12):
            clock.now += 5
            counts[PRODUCTS] += 5 * rate
            flow.sample()
    assert flow.rates() == {PRODUCTS: 1.0}


def test_requests_count_at_once(clock: Clock) -> None:
    """Also between two samples, and on a route without earlier requests."""
    counts: dict[tuple[str, str, str], float] = {}
    flow = RateMeter(lambda: dict(counts), clock)
    clock.now += 2
    counts[SEARCH] = 6.0
    assert flow.rates() == {SEARCH: 3.0}


def test_without_traffic_there_is_no_rate(clock: Clock) -> None:
    """Not even 0, and also at the start."""
    flow = RateMeter(lambda: {PRODUCTS: 4.0}, clock)
    assert flow.rates() == {}
    clock.now += 10
    assert flow.rates() == {}


def test_rates_without_a_fault_are_kept_while_one_acts(clock: Clock) -> None:
    """And measured anew once it is over."""
    counts = {PRODUCTS: 0.0}
    ends_at = -1.0
    flow = FaultFreeMeter(lambda: dict(counts), lambda seconds: clock.now - seconds < ends_at, clock)

    def serve(rate: float) -> None:
        for _ in range(4):
            clock.now += 5
            counts[PRODUCTS] += 5 * rate
            flow.sample()

    serve(2.0)
    assert flow.rates() == {PRODUCTS: 2.0}
    ends_at = clock.now + 20
    assert flow.rates() == {PRODUCTS: 2.0}
    serve(50.0)
    assert flow.rates() == {PRODUCTS: 2.0}
    serve(3.0)
    clock.now += 5
    counts[PRODUCTS] += 15
    assert flow.rates() == {PRODUCTS: 3.0}


def test_rates_are_read_while_a_sample_is_taken(clock: Clock) -> None:
    """A score, which another thread computes, asks for them at any moment."""
    meters: list[FaultFreeMeter] = []
    read: list[dict[tuple[str, str, str], float]] = []

    def counts() -> dict[tuple[str, str, str], float]:
        read.extend(meter.rates() for meter in meters)
        return {PRODUCTS: 3.0 * clock.now}

    meters.append(FaultFreeMeter(counts, lambda _: True, clock))
    meters[0].sample()
    assert read == [{}]
