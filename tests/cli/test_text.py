"""Text from users, services and files is escaped by every command."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from chaosapi.cli import app
from chaosapi.terminal import Terminal
from chaosapi.text import is_plain

MARK = "marker"
HOSTILE = "[/nope][bold]:smile:[link=http://evil.example]\x1b]8;;http://evil.example\x1b\\\x1b[2J\u202e\x9b31m\r"
SHOWN = r"[/nope][bold]:smile:[link=http://evil.example]\x1b]8;;http://evil.example\x1b\\x1b[2J\u202e\x9b31m\r"
PROBLEM = {"type": "about:blank", "title": HOSTILE, "status": 422, "detail": HOSTILE}
REFUSED = {"status": "error", "errorType": "bad_data", "error": HOSTILE}


@contextmanager
def answering(text: str, status: int = 200) -> Iterator[str]:
    """Serve one response to every request; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - names of the base class

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def harmless(text: str) -> bool:
    """Return whether the text has no terminal control characters."""
    return all(is_plain(each) for each in text if each != "\n")


@pytest.fixture
def answers(client: TestClient) -> dict[str, str]:
    """Return the service's response to each command, with hostile text in every user-defined field."""
    client.post("/admin/halt", json={"reason": MARK})
    halted = client.get("/admin/faults").json()
    client.delete("/admin/halt")
    fault = {
        "name": MARK,
        "effect": {"type": "error", "body": {"say": MARK}, "headers": {"x-a": MARK}},
        "target": {"headers": {"x-tenant": MARK}},
        "reason": MARK,
    }
    shown = client.post("/admin/faults", json=fault).raise_for_status().json()
    listed = client.get("/admin/faults").json() | {"halt": halted["halt"]}
    replicas = client.get("/admin/replicas").json()
    replicas["replicas"][0]["id"] = MARK
    made = {"show": shown, "end": shown, "add": shown, "list": listed, "replicas": replicas}
    return {name: json.dumps(each).replace(f'"{MARK}"', json.dumps(HOSTILE)) for name, each in made.items()}


@pytest.mark.parametrize(
    "command", [("list",), ("show", "f"), ("end", "f"), ("add", "error"), ("replicas",)], ids=lambda words: words[0]
)
def test_a_fault_is_shown_as_text(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], command: tuple[str, ...]
) -> None:
    """As a table in a very wide terminal, and as JSON that parses to the same value."""
    monkeypatch.setattr("chaosapi.cli.fault._out", Terminal(width=5000))
    answer = answers[command[0]]
    with answering(answer) as url:
        table = run("fault", *command, "--url", url)
        printed = run("fault", *command, "--url", url, "--json")
    assert table.exit_code == printed.exit_code == 0
    assert SHOWN in table.output
    assert harmless(table.output)
    assert json.loads(printed.output) == json.loads(answer)
    assert harmless(printed.output)


@pytest.mark.parametrize(
    ("answer", "status"), [(json.dumps(PROBLEM), 422), (json.dumps({"title": HOSTILE}), 500), (HOSTILE, 200)]
)
def test_errors_of_a_server_are_escaped(answer: str, status: int) -> None:
    """Problem documents and other bodies, also with a 2xx status."""
    with answering(answer, status) as url:
        refused = run("fault", "list", "--url", url)
    assert refused.exit_code == 1
    assert refused.output.startswith("chaosapi: ")
    assert harmless(refused.output)
    assert (SHOWN in refused.output) == (status == 422)


def test_errors_of_prometheus_are_escaped() -> None:
    """In backtests and forecasts."""
    with answering(json.dumps(REFUSED), 400) as url:
        found = [run("slo", "backtest", "--prometheus", url), run("forecast", "error", "--traffic-from", url)]
    for each in found:
        assert each.exit_code == 1
        assert SHOWN in each.output
        assert harmless(each.output)


def test_errors_in_an_slo_file_are_escaped(tmp_path: Path) -> None:
    """In findings and errors, for any keys and queries."""
    query = "sum(rate(a[{{.window}}]))"
    slo = {
        "name": "a",
        "objective": 99.9,
        HOSTILE: 1,
        "sli": {"events": {"error_query": f"{HOSTILE}{query}", "total_query": query}},
        "alerting": {"name": HOSTILE, "labels": {HOSTILE: HOSTILE}},
    }
    file = tmp_path / "slo.yaml"
    file.write_text(json.dumps({"version": "prometheus/v1", "service": "s", "slos": [slo]}))
    path = str(file)
    for command in (["slo", "lint", path], ["slo", "explain", path], ["forecast", "error", "--spec", path]):
        found = run(*command)
        assert found.exit_code == 1
        assert SHOWN in found.output
        assert harmless(found.output)
    assert harmless(run("slo", "lint", path, "--json").output)


def test_the_content_of_an_unreadable_file_is_escaped(tmp_path: Path) -> None:
    """Also in the error of an option."""
    file = tmp_path / "fault.yaml"
    file.write_text('{"a": "[/nope] \u202e', encoding="utf-8")
    for command in (["fault", "add", "--file"], ["forecast", "--file"]):
        refused = run(*command, str(file))
        assert refused.exit_code == 2
        assert r"[/nope] \u202e" in refused.output
        assert "\u202e" not in refused.output


def test_a_token_with_invalid_header_characters_is_refused_before_it_is_sent() -> None:
    """With the valid form."""
    refused = run("fault", "list", "--url", "http://127.0.0.1:9", "--token", "tökén")
    assert refused.exit_code == 1
    assert "CHAOSAPI_ADMIN_TOKEN" in refused.output
    assert "ASCII" in refused.output


@pytest.mark.parametrize("trouble", [KeyError("getpwuid(): uid not found: 10001"), OSError("no username")])
@pytest.mark.parametrize("name", [None, "jörg", "a\nb"])
def test_every_user_has_a_valid_actor_name(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception, name: str | None
) -> None:
    """An unknown user, as in a container, and names that are not ASCII."""

    def user() -> str:
        if name is None:
            raise trouble
        return name

    monkeypatch.setattr("getpass.getuser", user)
    with answering('{"revision": 0, "replicas": []}') as url:
        assert run("fault", "replicas", "--url", url).exit_code == 0
