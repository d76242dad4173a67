"""Through a service with an admin port: the loop that serves users stands, the one that steers does not."""

from collections.abc import Iterator

import httpx2
import pytest
from pydantic import ValidationError

from chaosapi import durations
from chaosapi.effects.pause import Pause
from tests.effects.hosts import Turned, until
from tests.planes import Planes, started


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """Give a service that the tests of this module share."""
    with started(tmp_path_factory.mktemp("pause") / "log") as planes:
        yield planes


def stands(planes: Planes) -> bool:
    """Tell whether users wait."""
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
    assert httpx2.get(f"{planes.admin}/healthz", timeout=20).status_code == 200
    assert planes.fault()["state"] == "active"
    assert httpx2.delete(f"{planes.admin}/admin/faults", timeout=20).json()["ended"] == 1
    assert httpx2.get(f"{planes.users}/api/products", timeout=20).status_code == 200
    until(lambda: planes.fault()["receipt"]["delay"])
    receipt = planes.fault()["receipt"]
    assert (receipt["matched"], receipt["injected"]) == (1, 1)
    assert durations.parse(receipt["delay"]["measured"]["p50"]) < durations.parse(receipt["delay"]["planned"]["p50"])


@pytest.mark.slow
def test_it_ends_by_itself_in_the_middle_of_a_pause(planes: Planes) -> None:
    """Nobody calls the admin API; the lag shows in the metrics afterwards."""
    planes.inject({"type": "pause", "pause": "1m", "every": "2m"}, schedule={"duration": "1s"})
    until(lambda: stands(planes))
    assert httpx2.get(f"{planes.users}/api/products", timeout=30).status_code == 200
    assert planes.fault()["state"] == "ended"


def test_a_scale_makes_pauses_shorter_and_none_at_nothing() -> None:
    """A quarter of 4 s every 10 s; at zero it only looks again."""
    pauses: list[tuple[float, float]] = []

    class Frozen(Turned):
        def freeze(self, seconds: float) -> None:
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
