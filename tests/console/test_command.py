"""The checks of `chaosapi console` at startup."""

import socket

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")


@pytest.mark.parametrize("url", ["http://[::1", "http://x:abc", "localhost:8001", "http://", "ftp://x"])
@pytest.mark.parametrize("option", ["--service", "--prometheus"])
def test_an_invalid_url_is_refused(option: str, url: str) -> None:
    """With a valid example."""
    told = CliRunner().invoke(app, ["console", "--service", "http://127.0.0.1:9", option, url])
    assert told.exit_code == 2
    assert f"{option} {url}: a URL with its scheme, such as http://" in told.output


def test_a_port_in_use_is_named_with_its_option() -> None:
    """The option selects another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = CliRunner().invoke(app, ["console", "--service", "http://127.0.0.1:9", "--port", port])
    assert told.exit_code == 2
    assert f"--port: cannot listen on 127.0.0.1:{port}" in told.output
