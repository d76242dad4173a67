"""Through a real server: the delay is real, and the receipt has the planned and the measured delay."""

import asyncio

import httpx2
import pytest
from pydantic import ValidationError

from chaosapi import durations
from chaosapi.effects import Latency
from tests.conftest import Serve
from tests.patience import patience


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["add", "floor"])
def test_no_request_is_faster_than_its_planned_delay(serve: Serve, mode: str) -> None:
    """Timers may fire early; the effect waits again until the deadline has passed."""
    url = serve()
    effect = {"type": "latency", "distribution": {"type": "constant", "value": "20ms"}, "mode": mode}
    httpx2.post(f"{url}/admin/faults", json={"name": "slow", "effect": effect}).raise_for_status()
    with httpx2.Client(base_url=url) as client:
        elapsed = [client.get("/api/products").elapsed.total_seconds() for _ in range(50)]
    assert min(elapsed) >= 0.02
    delay = httpx2.get(f"{url}/admin/faults/slow").json()["receipt"]["delay"]
    assert durations.parse(delay["measured"]["p50"]) >= durations.parse(delay["planned"]["p50"])


@pytest.mark.slow
def test_the_kill_switch_releases_held_requests(serve: Serve) -> None:
    """A request that is held for half a minute is answered when the fault ends."""
    url = serve()
    effect = {"type": "latency", "distribution": {"type": "constant", "value": "30s"}}
    httpx2.post(f"{url}/admin/faults", json={"effect": effect}).raise_for_status()

    async def story() -> int:
        async with httpx2.AsyncClient(base_url=url, timeout=patience(20)) as client:
            held = asyncio.create_task(client.get("/api/products"))
            while "chaosapi_held_requests 1.0" not in (await client.get("/admin/metrics")).text:
                await asyncio.sleep(0.01)
            await client.delete("/admin/faults")
            return (await held).status_code

    assert asyncio.run(story()) == 200
    assert "chaosapi_held_requests 0.0" in httpx2.get(f"{url}/admin/metrics").text


def test_a_cap_below_every_delay_is_refused() -> None:
    """A constant delay of a minute with the default cap of 30 s would silently be shorter."""
    with pytest.raises(ValidationError, match="cap"):
        Latency.model_validate({"distribution": {"type": "constant", "value": "1m"}})
