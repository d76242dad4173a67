"""The client of Locust's web API with a real Locust."""

import pytest

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.locust import LocustClient, arguments_of
from tests.loadtests import shop
from tests.loadtests.processes import wait_for, web_ui


@pytest.mark.slow
def test_a_run_is_started_and_stopped() -> None:
    """A refused form is an error with Locust's message."""
    with web_ui() as url, shop.opened() as target, LocustClient(url) as locust:
        assert "scenario" in locust.arguments()["extra_options"]
        form = {"scenario": "steady", "rate": "20", "duration": "1m", "host": target.url}
        with pytest.raises(RefusedError, match="rate"):
            locust.start({**form, "rate": "typo"})
        locust.start(form)
        wait_for(lambda: locust.arguments()["state"] in {"spawning", "running"}, "the run")
        locust.stop()
        wait_for(lambda: locust.stats()["state"] == "stopped", "the end")


def test_another_page_has_no_arguments() -> None:
    """Also a Locust page with unparsable arguments."""
    assert arguments_of("<html>") == {}
    assert arguments_of("window.templateArgs = {broken}\n") == {}
    assert arguments_of('  window.templateArgs = {"state": "ready"}\n') == {"state": "ready"}
