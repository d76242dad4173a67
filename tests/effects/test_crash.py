import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import MakeClient
from tests.patience import patience
from tests.planes import started


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [({"exit_code": 7}, 7), ({"signal": "SIGKILL"}, -signal.SIGKILL)])
def test_the_process_ends_after_the_response(how: dict[str, Any], status: int, tmp_path: Path) -> None:
    """The response to the request that creates the fault arrives; then the process ends."""
    with started(tmp_path / "log", CHAOSAPI_ALLOW_CRASH="true") as planes:
        fault = planes.inject({"type": "crash", "after": "500ms", **how})
        assert fault["state"] == "active"
        assert planes.process.wait(patience(30)) == status
        with pytest.raises(httpx2.TransportError):
            planes.fault()


def test_a_fault_that_is_ended_in_time_kills_no_process() -> None:
    """Not while it waits, and not later."""
    story = "from tests.effects.hosts import Host; from chaosapi.effects.crash import Crash; host = Host(); "
    story += "host.over.set(); Crash().act(host); assert host.acts == 0; print('alive')"
    assert subprocess.run([sys.executable, "-c", story], capture_output=True, check=True).stdout == b"alive\n"


@pytest.mark.parametrize(
    "effect",
    [
        {"exit_code": 1, "signal": "SIGKILL"},
        {"after": "499ms"},
        {"exit_code": 256},
        {"signal": "SIGTERM"},
        {"signal": "SIGSTOP"},
    ],
)
def test_an_invalid_crash_is_refused(effect: dict[str, Any], make_client: MakeClient) -> None:
    """Exit code and signal together, no time to respond, or a signal that does not kill at once."""
    client = make_client(allow_crash=True)
    assert client.post("/admin/faults", json={"effect": {"type": "crash", **effect}}).status_code == 422
