"""`chaosapi fault` against a real service."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from chaosapi.cli import here
from tests.conftest import Serve
from tests.patience import patience

pytestmark = pytest.mark.slow


def run(*arguments: str, url: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a terminal of eighty columns."""
    return subprocess.run(
        [sys.executable, "-m", "chaosapi", "fault", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={"CHAOSAPI_URL": url, "COLUMNS": "80", **environment},
        timeout=patience(30),
    )


def test_the_life_of_a_fault_in_the_terminal(serve: Serve) -> None:
    """Add, list, show, end, clear: a table, or the API's JSON."""
    url = serve()
    added = run(
        *("add", "error", 'status={"503": 0.8, "500": 0.2}', "retry_after=5s", "--rate", "0.5", "--name", "f"),
        *("--route", "/api/*", "--method", "get", "--duration", "10m", "--reason", "drill", "--json"),
        *(
            "--shape",
            "{type: ramp, up: 1m}",
            "--guard",
            "{stop_when: {alert: A}}",
            "--header",
            "x-tenant=acme",
            "--sticky-by",
            "x-user-id",
        ),
        *("--while", "flags.new-pricing=off", "--while", "settings.shop_retries>0"),
        url=url,
    )
    assert added.returncode == 0, added.stderr
    fault = json.loads(added.stdout)
    assert fault["effect"]["status"] == {"503": 0.8, "500": 0.2}
    assert (fault["rate"], fault["target"]["methods"], fault["schedule"]["shape"]["up"]) == (0.5, ["GET"], "1m")
    assert (fault["target"]["headers"], fault["target"]["sticky_by"]) == ({"x-tenant": "acme"}, "x-user-id")
    assert fault["guard"]["stop_when"]["alert"] == "A"
    assert (fault["while"]["flags"], fault["condition"]["holds"]) == ({"new-pricing": False}, True)
    table = run("list", url=url).stdout
    assert all(word in table for word in ("f", "error", "GET /api/*", "active", "50.00%"))
    assert max(map(len, table.splitlines())) <= 80
    assert "drill" in run("show", "f", url=url).stdout
    slow = run("add", "error", "--point", "payments", "--rate", "{burn_rate: 1, slo: availability}", url=url)
    assert "no traffic in the last minute" in " ".join(slow.stderr.split())
    assert "calls to payments in all routes" in run("add", "error", "--point", "payments", url=url).stdout
    assert "the process" in run("add", "health", "--name", "h", url=url).stdout
    assert "applied by 1 of 1 replicas" in run("end", "f", "--wait", "2s", url=url).stdout
    run("add", "latency", "distribution.type=constant", "distribution.value=10ms", url=url)
    assert "3 faults ended; revision 6, applied by 1 of 1 replicas" in run("clear", "--wait", "2s", url=url).stdout
    (replica,) = json.loads(run("replicas", "--json", url=url).stdout)["replicas"]
    assert replica["id"] in run("replicas", url=url).stdout
    assert json.loads(run("list", "--state", "active", "--json", url=url).stdout)["faults"] == []
    assert "No faults" in run("list", "--state", "active", url=url).stdout


def test_a_fault_is_read_from_a_file_or_a_pipe(serve: Serve) -> None:
    """JSON or YAML; options take precedence."""
    url = serve()
    added = run("add", "--file", "-", "--rate", "0.25", "--json", url=url, stdin="effect: {type: error}\nname: piped\n")
    assert added.returncode == 0, added.stderr
    assert (json.loads(added.stdout)["name"], json.loads(added.stdout)["rate"]) == ("piped", 0.25)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "eror"), "one of error, latency"),
        (("add", "error", "--rate", "5"), "did you mean 0.05"),
        (("add", "error", "status"), "must be name=value"),
        (("add", "error", "status={"), "neither JSON nor YAML"),
        (("show", "nobody"), "no fault called"),
    ],
)
def test_errors_are_explained(serve: Serve, arguments: tuple[str, ...], says: str) -> None:
    """On stderr, with a non-zero exit code, without a traceback."""
    failed = run(*arguments, url=serve())
    assert failed.returncode != 0
    assert says in " ".join(failed.stderr.replace("│", " ").split())
    assert "Traceback" not in failed.stderr


def test_a_missing_service_and_a_missing_token_are_explained(serve: Serve) -> None:
    """The error has the tried URLs, or the header to send."""
    assert "is `chaosapi serve` running there?" in run("list", url="http://127.0.0.1:9").stderr
    url = serve(CHAOSAPI_ADMIN_TOKEN="secret")
    assert "CHAOSAPI_ADMIN_TOKEN" in run("list", url=url).stderr
    assert run("list", url=url, CHAOSAPI_ADMIN_TOKEN="secret").returncode == 0
    assert httpx2.get(f"{url}/api/products").status_code == 200


def test_without_a_url_the_admin_port_is_tried_first(serve: Serve) -> None:
    """Closed ports and other services are skipped; the last URL is used without a check."""
    ours = serve()
    last = "http://127.0.0.1:9"

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"info": "none"}')

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        other = f"http://127.0.0.1:{stranger.server_port}"
        assert here.find_service((ours, last)) == ours
        assert here.find_service((other, ours, last)) == ours
        assert here.find_service((last, other, last)) == last
        stranger.shutdown()


def test_the_wrong_port_is_explained(serve: Serve) -> None:
    """The port of the users names no other; the command names the setting, but not where just a fault is unknown."""
    users = serve("--admin-port", "0")
    shared = serve()
    explained = f"{users} is no admin API, which has a port of its own where CHAOSAPI_ADMIN_PORT is set (--url)"
    assert explained in run("list", url=users).stderr
    unknown = run("show", "nameless", url=shared).stderr
    assert "nameless" in unknown
    assert "CHAOSAPI_ADMIN_PORT" not in unknown
