from functools import partial

import httpx2
import pytest

from tests.loadtests import shop
from tests.loadtests.processes import wait_for, web_ui

pytestmark = pytest.mark.slow


def test_the_web_form_chooses() -> None:
    """The web UI offers the scenarios, refuses a wrong one with a reason, runs the chosen one, and none again."""
    form = {"user_count": "3", "spawn_rate": "3", "rate": "12", "peak": "100", "duration": "2m"}
    with web_ui() as url, shop.opened() as target:
        form["host"] = target.url
        page = httpx2.get(url).text
        assert '"choices": ["none", "steady", "spike"]' in page
        wrong = httpx2.post(f"{url}/swarm", data={**form, "scenario": "spike", "peak": "12"}).json()
        assert (wrong["success"], wrong["message"]) == (
            False,
            "the peak is 12 requests/s; it must be above the rate, 12",
        )
        for scenario, users in (("steady", 12), ("none", 3)):
            assert httpx2.post(f"{url}/swarm", data={**form, "scenario": scenario}).json()["success"]
            wait_for(partial(user_count, url, users), f"{users} users")
            httpx2.post(f"{url}/stop").raise_for_status()
            wait_for(partial(user_count, url, 0), "the end")


def user_count(url: str, wanted: int) -> bool:
    """Ask the web UI whether so many users run."""
    return bool(httpx2.get(f"{url}/stats/requests").json()["user_count"] == wanted)
