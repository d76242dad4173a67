"""The next commands that the lab suggests."""

from pathlib import Path

from chaosapi.lab import next_steps
from chaosapi.lab.ports import Ports
from chaosapi.lab.service import DemoShop, Endpoints, OwnApp, Service
from chaosapi.lab.stack import Options
from chaosapi.lab_addresses import LabAddresses

ENDPOINTS = Endpoints("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1/metrics")


def lines(service: Service, **options: object) -> list[str]:
    """Return the lines of a lab with these options."""
    chosen = Options(Path("/data"), ports=Ports(prometheus=3), service=service, **options)  # type: ignore[arg-type]
    return list(next_steps.lines(chosen, ENDPOINTS))


def test_commands_have_the_addresses_and_the_files_of_the_lab() -> None:
    """Quoted for the shell, so that they can be pasted."""
    copy, predict, inject = lines(OwnApp("main:app", Path("my slo.yml")), traffic=True)
    assert copy.endswith(" /data/locustfile.py")
    assert predict.endswith(" --spec 'my slo.yml' --profile lab --history 12h --prometheus http://127.0.0.1:3")
    assert inject.endswith(" --url http://127.0.0.1:2")


def test_a_token_is_asked_for_and_not_shown() -> None:
    """Whoever started the lab knows it."""
    *_, inject, token = lines(OwnApp("main:app", Path("slo.yml")), token="s3cret")
    assert inject.startswith("inject: ")
    assert "CHAOSAPI_ADMIN_TOKEN" in token
    assert "s3cret" not in inject + token


def test_running_traffic_is_not_suggested() -> None:
    """With a user's Locust file, and with the shop's running traffic."""
    own = OwnApp("main:app", Path("slo.yml"))
    assert len(lines(own, traffic=True, locustfile=Path("mine.py"))) == 2
    assert lines(DemoShop(), traffic=True) == []
    assert "-m locust" in lines(DemoShop())[0]


def test_the_lab_shows_how_another_terminal_finds_the_commands(tmp_path: Path) -> None:
    """Where PATH has none; the path is quoted for the shell."""
    script = tmp_path / "my venv" / "activate"
    assert list(next_steps.in_another_terminal(None, script)) == []
    script.parent.mkdir()
    script.touch()
    (line,) = next_steps.in_another_terminal(None, script)
    assert line.startswith(f"in another terminal: . '{script}' && chaosapi fault add ")
    assert list(next_steps.in_another_terminal("/usr/bin/chaosapi", script)) == []


def test_the_demo_ends_with_what_comes_next() -> None:
    """As it was started: by make in a checkout, or as a command."""
    by_make = list(next_steps.after_demo({"MAKELEVEL": "1"}))
    assert by_make[0] == "Next: make lab"
    assert "console" in by_make[1]
    assert "docs/tutorial.md" in by_make[2]
    installed = list(next_steps.after_demo({}))
    assert installed[0] == "Next: chaosapi lab"
    assert "docs/" not in "".join(installed)


def test_two_labs_name_each_other() -> None:
    """A second one says how commands reach it, or, on the same ports, that the first one runs."""
    usual = dict.fromkeys(("service", "prometheus", "alertmanager", "locust"), "http://127.0.0.1:1")
    first, second = (LabAddresses(admin=f"http://127.0.0.1:{port}", **usual) for port in (8001, 18001))
    assert list(next_steps.among([second], second)) == []
    assert "CHAOSAPI_LAB=18001" in "".join(next_steps.among([first, second], second))
    (line,) = next_steps.for_taken_ports([first])
    assert line.startswith("a lab of yours runs already, at http://127.0.0.1:8001")
