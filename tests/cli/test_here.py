"""Commands find the running lab by themselves."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaosapi.cli import app, here
from chaosapi.lab_addresses import LabAddresses, published
from tests.conftest import Serve

NOWHERE = "http://127.0.0.1:9"
TOKEN = "the-token-of-the-lab"  # noqa: S105 - of a test


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabAddresses]:
    """Publish the addresses of a lab with a token."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CHAOSAPI_LAB")
    file = tmp_path / "token"
    file.write_text(TOKEN)
    made = LabAddresses(
        service=NOWHERE,
        admin="http://127.0.0.1:18001",
        prometheus="http://127.0.0.1:19090",
        alertmanager=NOWHERE,
        locust=NOWHERE,
        token_file=str(file),
    )
    with published(made):
        yield made


def test_the_addresses_are_those_of_the_lab(publish: LabAddresses) -> None:
    """Before the usual ones."""
    assert here.admin_url() == publish.admin
    assert here.prometheus_url() == publish.prometheus
    assert here.service_urls() == (publish.admin, publish.service)


def test_the_windows_are_those_of_the_lab(publish: LabAddresses) -> None:
    """Unless another Prometheus is meant."""
    assert here.profile() == here.profile(publish.prometheus) == "lab"
    assert here.profile("http://10.1.2.3:9090") == here.profile("none") == "production"


def test_the_labs_token_is_sent_to_the_lab_only(publish: LabAddresses, monkeypatch: pytest.MonkeyPatch) -> None:
    """A given token, and that of the environment, come first."""
    assert here.admin_token(None, publish.admin) == TOKEN
    assert here.admin_token("given", publish.admin) == "given"
    assert here.admin_token(None, "http://127.0.0.1:8001") is None
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", "of-the-environment")
    assert here.admin_token(None, publish.admin) == "of-the-environment"


@pytest.mark.slow
def test_a_fault_reaches_the_lab_without_an_address(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token that the lab was started with; of two labs one is chosen."""
    admin = serve(CHAOSAPI_ADMIN_TOKEN=TOKEN)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CHAOSAPI_LAB")
    lab = LabAddresses(
        service=admin, admin=admin, prometheus=NOWHERE, alertmanager=NOWHERE, locust=NOWHERE, token_file=str(file)
    )
    with published(lab):
        added = CliRunner().invoke(app, ["fault", "add", "error", "--name", "found"])
        assert added.exit_code == 0, added.output
        with published(lab.model_copy(update={"admin": NOWHERE})):
            unclear = CliRunner().invoke(app, ["fault", "list"])
            assert (unclear.exit_code, "2 labs run" in unclear.output) == (1, True)
            chosen = {"CHAOSAPI_LAB": admin.rpartition(":")[2]}
            assert "found" in CliRunner().invoke(app, ["fault", "list"], env=chosen).output
            assert "found" in CliRunner().invoke(app, ["fault", "list", "--url", admin]).output
