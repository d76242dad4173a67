"""Through a service with an admin port: the main event loop is blocked, the control plane's is not."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from chaosapi import durations
from chaosapi.effects.pause import Pause
from chaosapi.runtime.process_effects import LoopFreeze
from tests.effects.hosts import Turned
from tests.patience import patience, until
from tests.planes import Planes, started


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """Yield a service for all tests of this module."""
    with started(tmp_path_factory.mktemp("pause") / "log") as planes:
        yield planes


def stands(planes: Planes) -> bool:
    """Return whether user requests wait."""
    try:
        httpx2.get(f"{planes.users}/api/products", timeout=0.3)
    except httpx2.ReadTimeout:
        return True
    return False


@pytest.mark.slow
def test_users_wait_while_the_admin_api_works_and_the_kill_switch_frees_them(planes: Planes) -> None:
    """A pause of a minute; probes of the main port wait too, and the receipt has the real pause."""
    planes.inject({"type": "pause", "pause": "1m", "every": "2m"})
    until(lambda: stands(planes))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{planes.users}/healthz", timeout=0.3)
    assert httpx2.get(f"{planes.admin}/healthz", timeout=patience(20)).status_code == 200
    assert planes.fault()["state"] == "active"
    assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(20)).json()["ended"] == 1
    assert httpx2.get(f"{planes.users}/api/products", timeout=patience(20)).status_code == 200
    until(lambda: planes.fault()["receipt"]["delay"])
    receipt = planes.fault()["receipt"]
    assert (receipt["matched"], receipt["injected"]) == (1, 1)
    assert durations.parse(receipt["delay"]["measured"]["p50"]) < durations.parse(receipt["delay"]["planned"]["p50"])


@pytest.mark.slow
def test_the_faults_end_ends_a_pause(planes: Planes) -> None:
    """Without a call of the admin API; the receipt has the real pause."""
    planes.inject({"type": "pause", "pause": "1m", "every": "2m"}, schedule={"duration": "3s"})
    until(lambda: planes.fault()["receipt"]["injected"] == 1)
    assert httpx2.get(f"{planes.users}/api/products", timeout=patience(30)).status_code == 200
    fault = planes.fault()
    assert fault["state"] == "ended"
    assert durations.parse(fault["receipt"]["delay"]["measured"]["p50"]) < 30


@pytest.mark.slow
def test_a_pause_directly_after_another_faults_pause_is_not_lost(planes: Planes) -> None:
    """It starts when the event loop has run for a while, not a whole period later."""
    for _ in range(2):
        planes.inject({"type": "pause", "pause": "1m", "every": "2m"})
        until(lambda: stands(planes))
        assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(20)).json()["ended"] == 1


def test_a_scale_shortens_pauses_and_0_removes_them() -> None:
    """A quarter of 4 s every 10 s; at 0 the effect only checks again."""
    pauses: list[tuple[float, float]] = []

    class Frozen(Turned):
        def freeze(self, seconds: float, rest: float) -> None:
            assert rest == 9.0
            pauses.append((self.time, seconds))
            self.time += seconds

        def strength(self) -> float:
            return 0.25 if self.time > 5 else 0.0

    Pause(pause=4, every=10).act(Frozen(30, lambda _: None))
    assert [seconds for _, seconds in pauses] == [1.0, 1.0, 1.0]
    assert [round(time) for time, _ in pauses] == [5, 15, 25]


def test_a_pause_must_be_shorter_than_its_period() -> None:
    """A permanently blocked event loop is not a pause."""
    with pytest.raises(ValidationError, match="longer than"):
        Pause(pause=2, every=2)


def test_pauses_do_not_add_up() -> None:
    """One at a time; the next starts after the event loop has run as long as between pauses of one fault."""
    frost = LoopFreeze()
    assert frost.begin(10, rest=8)
    assert not frost.begin(11, rest=0.25)  # another fault's
    frost.end(12, lambda: True)
    assert not frost.begin(13, rest=8)
    assert frost.begin(13, rest=0.5)
    frost.end(14, lambda: True)
    assert frost.begin(22, rest=8)
    frost.end(24, lambda: False)  # it has ended, and is in nobody's way
    assert not frost.begin(24.2, rest=8)
    assert frost.begin(24.25, rest=8)


def test_the_event_loop_runs_between_two_pauses() -> None:
    """A pause of 10 s every 10.001 s leaves a quarter of a second in between."""
    stood: list[tuple[float, float]] = []

    class Frozen(Turned):
        def freeze(self, seconds: float, rest: float) -> None:
            assert rest == 0.25
            stood.append((self.time, self.time + seconds))
            self.time += seconds

    Pause(pause=10, every=10.001).act(Frozen(40, lambda _: None))
    assert [begin - end for (_, end), (begin, _) in pairwise(stood)] == [0.25] * 3


@pytest.mark.slow
def test_ten_pauses_delay_the_kill_switch_on_a_shared_port_by_at_most_one_pause(tmp_path: Path) -> None:
    """Ten pauses of two seconds every ten: together they block no longer than one."""
    with (
        started(tmp_path / "log", apart=False) as planes,
        httpx2.Client(base_url=planes.users, timeout=patience(60)) as client,
    ):
        for number in range(10):
            body = {"effect": {"type": "pause", "pause": "2s", "every": "10s"}, "schedule": {"start_after": "1s"}}
            client.put(f"/admin/faults/p{number}", json=body).raise_for_status()
        until(lambda: any("pause" in line for line in _stood(client)))
        assert client.delete("/admin/faults").json()["ended"] == 10
        receipts = [each["receipt"] for each in client.get("/admin/faults").json()["faults"]]
        assert sum(receipt["injected"] for receipt in receipts) <= 2
        assert sum(receipt["injected"] for receipt in receipts) >= 1


def _stood(client: httpx2.Client) -> list[str]:
    """Return the samples of measured pauses."""
    lines = client.get("/admin/metrics").text.splitlines()
    return [line for line in lines if line.startswith("chaosapi_fault_injected_total") and line.endswith(" 1.0")]


@pytest.mark.slow
def test_sigterm_works_during_a_pause(tmp_path: Path) -> None:
    """A pause of a minute; the service shuts down long before its end."""
    with started(tmp_path / "log") as planes:
        planes.inject({"type": "pause", "pause": "1m", "every": "2m"})
        until(lambda: stands(planes))
        planes.process.terminate()
        assert planes.process.wait(patience(40)) == 0
