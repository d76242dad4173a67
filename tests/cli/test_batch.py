"""Several faults of a file: all of them act, or none."""

from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from chaosapi.cli import app, batch, fault, parse
from chaosapi.clients.admin import AdminClient, UnreachableError
from chaosapi.errors import Invalid

ERROR: dict[str, Any] = {"effect": {"type": "error"}}


def named(*names: str) -> list[dict[str, Any]]:
    """Return an error fault for each name."""
    return [{**ERROR, "name": name} for name in names]


def add(monkeypatch: pytest.MonkeyPatch, client: TestClient, text: str, *options: str) -> Result:
    """Run `fault add --file -` with the service in this process."""
    monkeypatch.setattr(fault, "AdminClient", lambda _, **more: AdminClient(client, **more))
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["fault", "add", "--file", "-", *options], input=text)


@pytest.mark.parametrize(
    "text",
    [
        "[{effect: {type: error}, name: a}, {effect: {type: reset}, name: b}]",
        '[{"effect": {"type": "error"}, "name": "a"}, {"effect": {"type": "reset"}, "name": "b"}]',
        "effect: {type: error}\nname: a\n---\neffect: {type: reset}\nname: b\n---\n",
        "- {effect: {type: error}, name: a}\n---\n- {effect: {type: reset}, name: b}\n",
    ],
)
def test_a_file_holds_one_fault_or_several(tmp_path: Path, text: str) -> None:
    """As JSON or YAML, in lists and documents."""
    file = tmp_path / "faults"
    file.write_text(text)
    assert [each["name"] for each in parse.read_faults(file)] == ["a", "b"]


@pytest.mark.parametrize("text", ["", "---\n", "[]", "503", "- effect: {type: error}\n- 503\n"])
def test_a_file_without_faults_is_refused(tmp_path: Path, text: str) -> None:
    """With what it must hold."""
    file = tmp_path / "faults"
    file.write_text(text)
    with pytest.raises(typer.BadParameter, match="one, a list, or several documents"):
        parse.read_faults(file)


def test_several_faults_are_added_at_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options hold for each of them; there is a table, or a list in JSON."""
    text = "effect: {type: error}\nname: a\n---\neffect: {type: reset}\nname: b\n"
    added = add(monkeypatch, client, text, "--duration", "30s", "--json")
    assert added.exit_code == 0, added.output
    faults = AdminClient(client).list_faults("active")["faults"]
    assert {(each["name"], each["schedule"]["duration"]) for each in faults} == {("a", "30s"), ("b", "30s")}
    assert [each["name"] for each in parse.parse_value(added.stdout)] == ["a", "b"]
    for option in (["--name", "c"], ["error"]):
        assert add(monkeypatch, client, text, *option).exit_code == 2


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ([*named("a"), {"effect": {"type": "eror"}, "name": "b"}], r"fault 2 of 2 \(b\): .*one of error, latency"),
        ([*named("a"), {**ERROR, "rate": 5}], "fault 2 of 2: .*nothing was injected"),
        (named("a", "b", "a"), "'a' is the name of two faults"),
    ],
)
def test_a_wrong_fault_is_refused_before_the_first_is_sent(faults: list[dict[str, Any]], reason: str) -> None:
    """What no service takes is known without one."""
    with pytest.raises(Invalid, match=reason):
        batch.check(faults)


def test_faults_are_ended_again_when_a_later_one_is_refused(client: TestClient) -> None:
    """The error names them; the audit has the reason."""
    admin = AdminClient(client)
    admin.create_fault(named("taken")[0])
    with pytest.raises(Invalid, match=r"fault 3 of 3 \(taken\): .*ended again: a, b; none of the faults acts"):
        batch.create_faults(admin, named("a", "b", "taken"), wait=None)
    assert [each["name"] for each in admin.list_faults("active")["faults"]] == ["taken"]
    assert admin.audit()["entries"][0]["reason"] == "another fault of the same file was refused"


def test_faults_that_cannot_be_ended_are_named(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service dies in between: whether the last one acts is unknown."""
    admin = AdminClient(client)

    class Dying(AdminClient):
        def end_fault(self, *args: Any, **options: Any) -> Any:
            raise UnreachableError("no answer")

        def create_fault(self, fault: Any, **options: Any) -> Any:
            if fault["name"] == "b":
                raise UnreachableError("no answer")
            return admin.create_fault(fault, **options)

    with pytest.raises(Invalid, match="could not be ended and may act: b, a"):
        batch.create_faults(Dying(client), named("a", "b"), wait=None)


def test_an_interrupt_leaves_no_fault(client: TestClient) -> None:
    """Ctrl-C while a later fault is sent."""
    admin = AdminClient(client)

    class Interrupted(AdminClient):
        def create_fault(self, fault: Any, **options: Any) -> Any:
            if fault["name"] == "b":
                raise KeyboardInterrupt
            return admin.create_fault(fault, **options)

    with pytest.raises(KeyboardInterrupt):
        batch.create_faults(Interrupted(client), named("a", "b"), wait=None)
    assert admin.list_faults("active")["faults"] == []
