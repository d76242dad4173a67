"""The checks of `chaosapi console` at startup."""

import socket
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app
from chaosapi.lab_addresses import LabAddresses, published

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


def test_of_several_labs_none_must_be_chosen_where_all_urls_are_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only a lab would know what is missing otherwise."""
    monkeypatch.delenv("CHAOSAPI_LAB")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    urls = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(("service", "prometheus", "alertmanager"), 9)}
    others = {"admin": "http://127.0.0.1:9", "locust": "http://127.0.0.1:9"}
    options = [part for name, url in urls.items() for part in (f"--{name}", url)]
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        published(LabAddresses(**{**urls, **others})),
        published(LabAddresses(**{**urls, **others, "admin": "http://127.0.0.1:8"})),
    ):
        port = str(taken.getsockname()[1])
        whole = CliRunner().invoke(app, ["console", *options, "--port", port])
        part = CliRunner().invoke(app, ["console", *options[2:], "--port", port])
    assert "cannot listen" in whole.output
    assert "CHAOSAPI_LAB" in part.output
