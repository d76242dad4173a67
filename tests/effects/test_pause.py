"""Through a service with an admin port: the loop that serves users stands, the one that steers does not."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from chaosapi import durations
from chaosapi.effects.pause import Pause
from chaosapi.runtime.process_effects import LoopFreeze
from tests.effects.hosts import Turned, until
from tests.patience import patience
from tests.planes import Planes, started


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """Yield a service that the tests of this module share."""
    with started(tmp_path_factory.mktemp("pause") / "log") as planes:
        yield planes


def stands(planes: Planes) -> bool:
    """Return whether users wait."""
    try:
        httpx2.get(f"{planes.users}/api/products", timeout=0.3)
    except httpx2.ReadTimeout:
        return True
    return False


@pytest.mark.slow
def test_users_wait_while_people_can_still_steer_and_the_kill_switch_frees_them(planes: Planes) -> None:
    """A pause of a minute; probes of the main port wait too, and the receipt has the pause as it was."""
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
def test_it_ends_by_itself_in_the_middle_of_a_pause(planes: Planes) -> None:
    """Nobody calls the admin API; the receipt has the pause as it was."""
    planes.inject({"type": "pause", "pause": "1m", "every": "2m"}, schedule={"duration": "3s"})
    until(lambda: planes.fault()["receipt"]["injected"] == 1)
    assert httpx2.get(f"{planes.users}/api/products", timeout=patience(30)).status_code == 200
    fault = planes.fault()
    assert fault["state"] == "ended"
    assert durations.parse(fault["receipt"]["delay"]["measured"]["p50"]) < 30


@pytest.mark.slow
def test_a_pause_right_after_that_of_another_fault_is_not_lost(planes: Planes) -> None:
    """It begins as soon as the loop has had time to run, not a whole period later."""
    for _ in range(2):
        planes.inject({"type": "pause", "pause": "1m", "every": "2m"})
        until(lambda: stands(planes))
        assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=patience(20)).json()["ended"] == 1


def test_a_scale_makes_pauses_shorter_and_none_at_nothing() -> None:
    """A quarter of 4 s every 10 s; at zero it only looks again."""
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


def test_pauses_leave_room_to_breathe() -> None:
    """A loop that always stands is no pause."""
    with pytest.raises(ValidationError, match="longer than"):
        Pause(pause=2, every=2)


def test_pauses_do_not_add_up() -> None:
    """One at a time; the next once the loop has run for as long as the fault would let it run alone."""
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


def test_the_loop_runs_between_two_pauses_however_short_the_rest_is() -> None:
    """A pause of ten seconds every ten seconds and a millisecond: a quarter of a second for others."""
    stood: list[tuple[float, float]] = []

    class Frozen(Turned):
        def freeze(self, seconds: float, rest: float) -> None:
            assert rest == 0.25
            stood.append((self.time, self.time + seconds))
            self.time += seconds

    Pause(pause=10, every=10.001).act(Frozen(40, lambda _: None))
    assert [begin - end for (_, end), (begin, _) in pairwise(stood)] == [0.25] * 3


@pytest.mark.slow
def test_ten_pauses_hold_up_the_kill_switch_of_a_shared_port_for_one_of_them_at_most(tmp_path: Path) -> None:
    """Ten of two seconds every ten: together they stand no longer than one."""
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
    """Return the samples of pauses that were held."""
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("chaosapi_fault_injected_total") and line.endswith(" 1.0")]


@pytest.mark.slow
def test_sigterm_is_heard_in_the_middle_of_a_pause(tmp_path: Path) -> None:
    """Of a minute; the service ends in order, long before it would be over."""
    with started(tmp_path / "log") as planes:
        planes.inject({"type": "pause", "pause": "1m", "every": "2m"})
        until(lambda: stands(planes))
        planes.process.terminate()
        assert planes.process.wait(patience(40)) == 0
