"""The main promises with real processes: exact rates, the same hits everywhere, and an end."""

import asyncio
import math
from collections.abc import Iterable

import httpx2
import pytest

from tests.conftest import Serve
from tests.patience import patience

pytestmark = pytest.mark.slow


async def _statuses(url: str, keys: Iterable[str]) -> dict[str, int]:
    """Send one request per key, sixteen at a time; return the statuses."""
    found: dict[str, int] = {}
    queue = iter(keys)
    async with httpx2.AsyncClient(base_url=url) as client:

        async def work() -> None:
            for key in queue:
                answer = await client.get("/api/products/p-0001", headers={"x-request-id": key})
                found[key] = answer.status_code

        await asyncio.gather(*(work() for _ in range(16)))
    return found


def statuses(url: str, keys: Iterable[str]) -> dict[str, int]:
    """Send one request per key; return the statuses."""
    return asyncio.run(_statuses(url, keys))


def inject(url: str, **fault: object) -> None:
    """Inject the fault `f`."""
    body = {"effect": {"type": "error", "status": 503}, **fault}
    httpx2.put(f"{url}/admin/faults/f", json=body).raise_for_status()


def test_a_fifth_of_ten_thousand_requests_fails_and_all_counts_agree(serve: Serve) -> None:
    """Within five standard deviations (false alarm below one in a million); client, receipt and metrics are equal."""
    url = serve()
    inject(url, rate=0.2)
    seen = statuses(url, (f"request-{number}" for number in range(10_000)))
    failed = list(seen.values()).count(503)
    assert set(seen.values()) == {200, 503}
    assert abs(failed - 2000) < 5 * math.sqrt(10_000 * 0.2 * 0.8)
    receipt = httpx2.get(f"{url}/admin/faults/f").json()["receipt"]
    assert (receipt["matched"], receipt["injected"], receipt["requested_rate"]) == (10_000, failed, 0.2)
    metrics = httpx2.get(f"{url}/metrics").text.splitlines()
    counted = 'http_requests_total{handler="/api/products/{product_id}",method="GET",status="503"}'
    assert f"{counted} {failed:.1f}" in metrics
    assert httpx2.get(f"{url}/healthz").status_code == httpx2.get(f"{url}/readyz").status_code == 200


def test_two_processes_fail_the_same_requests_and_a_higher_rate_includes_them(serve: Serve) -> None:
    """The same seed and ids give the same hits, in any order; another seed gives others."""
    keys = [f"request-{number}" for number in range(1500)]
    one = serve()
    other = serve()

    def failing(url: str, keys: Iterable[str]) -> set[str]:
        return {key for key, status in statuses(url, keys).items() if status == 503}

    for url in (one, other):
        inject(url, rate=0.2, seed=7)
    first = failing(one, keys)
    assert first == failing(other, reversed(keys))
    inject(one, rate=0.4, seed=7)
    assert first < failing(one, keys)
    inject(other, rate=0.2, seed=8)
    assert first != failing(other, keys)


def test_a_fault_ends_by_itself(serve: Serve) -> None:
    """Without a call of the admin API."""
    url = serve()
    inject(url, schedule={"duration": "1s"})
    assert set(statuses(url, ["a"]).values()) == {503}
    ends_at = httpx2.get(f"{url}/admin/faults/f").json()["ends_at"]

    async def until_it_works() -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            while (await client.get("/api/products")).status_code == 503:
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(until_it_works(), patience(30)))
    fault = httpx2.get(f"{url}/admin/faults/f").json()
    assert (fault["state"], fault["ends_at"], fault["remaining"]) == ("ended", ends_at, "0s")


def test_the_receipts_delays_agree_with_the_clients(serve: Serve) -> None:
    """Every response takes at least its delay; the medians of plan, measurement and client are in that order."""
    url = serve()
    distribution = {"type": "uniform", "low": "5ms", "high": "30ms"}
    inject(url, effect={"type": "latency", "distribution": distribution, "mode": "floor"})
    with httpx2.Client(base_url=url) as client:
        elapsed = sorted(client.get("/api/products").elapsed.total_seconds() for _ in range(200))
    assert elapsed[0] >= 0.005
    delay = httpx2.get(f"{url}/admin/faults/f").json()["receipt"]["delay"]
    planned, measured = (float(delay[kind]["p50"].removesuffix("ms")) / 1000 for kind in ("planned", "measured"))
    assert planned <= measured <= elapsed[100] * 1.0021
