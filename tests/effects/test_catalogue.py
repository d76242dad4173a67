"""Every effect there is, with its own example, through a real server; and the paths that none may touch."""

import contextlib
import math

import httpx2
import pytest

from chaosapi.effects import EFFECTS, Effect
from chaosapi.routes import EXEMPT
from tests.conftest import Serve

pytestmark = pytest.mark.slow


@pytest.fixture(params=EFFECTS, ids=lambda effect: effect.model_fields["type"].default)
def effect(request: pytest.FixtureRequest) -> type[Effect]:
    """Give every effect in turn."""
    kind: type[Effect] = request.param
    return kind


def attempt(url: str) -> tuple[int, bytes] | None:
    """Return what a client gets, None for no proper answer."""
    with contextlib.suppress(httpx2.HTTPError):
        answer = httpx2.get(f"{url}/api/products?size=3", timeout=2)
        return answer.status_code, answer.content
    return None


def test_it_acts_counts_and_is_over_when_it_is_ended(effect: type[Effect], serve: Serve) -> None:
    """What the client sees changes, the receipt and the metrics agree, and afterwards all is as before."""
    url = serve()
    healthy = attempt(url)
    timed = "latency", "throttle"
    body = {"effect": effect.example}
    httpx2.put(f"{url}/admin/faults/f", json=body).raise_for_status()
    hurt = attempt(url)
    kind = effect.model_fields["type"].default
    assert (hurt == healthy) == (kind in timed)
    fault = httpx2.delete(f"{url}/admin/faults/f").json()
    assert (fault["receipt"]["matched"], fault["receipt"]["injected"]) == (1, 1)
    metrics = httpx2.get(f"{url}/metrics").text
    assert f'chaosapi_fault_injected_total{{effect="{kind}",fault="f"}} 1.0' in metrics
    assert attempt(url) == healthy
    assert "chaosapi_held_requests 0.0" in httpx2.get(f"{url}/metrics").text


def test_exempt_paths_never_pass_through_it(effect: type[Effect], serve: Serve) -> None:
    """Probes, metrics, docs, hooks and the admin API answer as ever, and the receipt has not seen them."""
    url = serve()
    httpx2.put(f"{url}/admin/faults/f", json={"effect": effect.example}).raise_for_status()
    paths = {**dict.fromkeys(EXEMPT), "/admin": "/admin/faults", "/hooks": "/hooks/alertmanager"}
    paths["/static-offline-docs"] = "/static-offline-docs/swagger-ui.css"
    for prefix, path in paths.items():
        answer = httpx2.get(f"{url}{path or prefix}", timeout=10)
        assert answer.status_code == (405 if prefix == "/hooks" else 200)
    assert httpx2.get(f"{url}/admin/faults/f").json()["receipt"]["matched"] == 0
    assert math.isclose(httpx2.get(f"{url}/admin/faults/f").json()["strength"], 1)
