import pytest
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.patience import until

PROBES = {"readiness": "/readyz", "liveness": "/healthz"}


@pytest.mark.parametrize("probe", PROBES)
def test_only_the_named_probe_fails_while_the_fault_is_live(client: TestClient, probe: str) -> None:
    """503 for one, 200 for the other; both are healthy at once after the end."""
    client.put("/admin/faults/f", json={"effect": {"type": "health", "probe": probe}})
    other = "/healthz" if probe == "readiness" else "/readyz"
    until(lambda: client.get(PROBES[probe]).status_code == 503)
    assert client.get(PROBES[probe]).json() == {"status": "failing"}
    assert client.get(other).status_code == 200
    assert client.get("/api/products").status_code == 200
    receipt = client.delete("/admin/faults/f").json()["receipt"]
    assert receipt["injected"] == receipt["matched"] >= 2
    assert client.get(PROBES[probe]).status_code == 200


def test_a_pulse_makes_the_probe_flap(client: TestClient, clock: Clock) -> None:
    """The probe fails while the pulse is on."""
    shape = {"type": "pulse", "on": "10s", "off": "10s"}
    client.put("/admin/faults/f", json={"effect": {"type": "health"}, "schedule": {"shape": shape}})
    for expected in (503, 200, 503):
        until(lambda expected=expected: client.get("/readyz").status_code == expected)  # type: ignore[misc]
        clock.now += 10


def test_two_faults_fail_one_probe_until_both_have_ended(client: TestClient) -> None:
    """Ending one fault leaves the other."""
    for name in ("a", "b"):
        client.put(f"/admin/faults/{name}", json={"effect": {"type": "health"}})
    until(lambda: client.get("/readyz").status_code == 503)
    until(lambda: client.get("/admin/faults/b").json()["receipt"]["matched"])
    client.delete("/admin/faults/a")
    assert client.get("/readyz").status_code == 503
    client.delete("/admin/faults/b")
    assert client.get("/readyz").status_code == 200
