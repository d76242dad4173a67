"""The client of Locust's web API, against the real one."""

import pytest

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.locust import LocustClient, arguments_of
from tests.loadtests import shop
from tests.loadtests.processes import wait_for, web_ui


@pytest.mark.slow
def test_a_run_is_started_and_stopped() -> None:
    """A form that Locust refuses is an error in its words."""
    with web_ui() as url, shop.opened() as target, LocustClient(url) as locust:
        assert "scenario" in locust.arguments()["extra_options"]
        form = {"scenario": "steady", "rate": "20", "duration": "1m", "host": target.url}
        with pytest.raises(RefusedError, match="rate"):
            locust.start({**form, "rate": "typo"})
        locust.start(form)
        wait_for(lambda: locust.arguments()["state"] in {"spawning", "running"}, "the run")
        locust.stop()
        wait_for(lambda: locust.stats()["state"] == "stopped", "the end")


def test_a_page_that_is_no_locusts_has_no_arguments() -> None:
    """Nor one whose arguments cannot be read."""
    assert arguments_of("<html>") == {}
    assert arguments_of("window.templateArgs = {broken}\n") == {}
    assert arguments_of('  window.templateArgs = {"state": "ready"}\n') == {"state": "ready"}
