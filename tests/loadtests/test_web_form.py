"""The form that starts a run, as the web page and the console send it."""

from threading import Thread
from typing import Any

import httpx2
import pytest

from tests.loadtests import shop
from tests.loadtests.ids import SCENARIO
from tests.loadtests.processes import wait_for, web_ui

pytestmark = pytest.mark.slow

USERS = {"scenario": "none", "user_count": "3", "spawn_rate": "3"}
SPIKE = {**USERS, "scenario": "spike", "rate": "5", "duration": "1m"}
UNDER_WAY = "a run is in progress: stop it first"


def test_a_running_test_is_not_replaced_by_another_kind() -> None:
    """Neither of users for a scenario, nor the other way round, nor two scenarios; users alone may be edited."""
    with web_ui() as url, shop.opened() as target:
        start(url, target, USERS)
        wait_for(lambda: look(url) == ("running", 3), "three users")
        assert start(url, target, SPIKE)["message"] == UNDER_WAY
        assert start(url, target, {**USERS, "user_count": "5"})["success"]
        wait_for(lambda: look(url) == ("running", 5), "five users")
        assert not scenario(target)

        httpx2.post(f"{url}/stop").raise_for_status()
        wait_for(lambda: look(url)[0] == "stopped", "the end of the users")
        assert start(url, target, SPIKE)["success"]
        assert start(url, target, USERS)["message"] == UNDER_WAY
        assert start(url, target, {**SPIKE, "scenario": "steady"})["message"] == UNDER_WAY
        wait_for(lambda: scenario(target) == {"spike"}, "requests of the spike")


def test_no_run_starts_while_the_previous_one_ends() -> None:
    """Locust cleans up until the last answer has come; a run that starts meanwhile would be lost with it."""
    with web_ui("--stop-timeout", "60") as url, shop.opened() as target:
        with target.held:
            start(url, target, SPIKE)
            wait_for(lambda: scenario(target) == {"spike"}, "requests of the spike")
            Thread(target=httpx2.post, args=[f"{url}/stop"], kwargs={"timeout": 60}, daemon=True).start()
            wait_for(lambda: look(url)[0] == "cleanup", "the beginning of the end")
            for form in (USERS, SPIKE):
                assert "is still ending" in start(url, target, form)["message"]
        wait_for(lambda: look(url)[0] == "stopped", "the end of the spike")
        assert start(url, target, {**SPIKE, "scenario": "steady"})["success"]
        wait_for(lambda: "steady" in scenario(target), "requests of the next run")


def start(url: str, target: shop.Shop, form: dict[str, str]) -> dict[str, Any]:
    """Send the form; Locust answers 200 in any case and says in the body whether it did it."""
    answer: dict[str, Any] = httpx2.post(f"{url}/swarm", data={**form, "host": target.url}).json()
    return answer


def look(url: str) -> tuple[str, int]:
    """Return what Locust does, and with how many users."""
    found = httpx2.get(f"{url}/stats/requests").json()
    return found["state"], found["user_count"]


def scenario(target: shop.Shop) -> set[str]:
    """Return the scenarios whose requests have come; the closed model's ids have none."""
    ids = [headers["x-request-id"] for headers in list(target.headers)]
    return {SCENARIO[name] for name in ids if name in SCENARIO}
