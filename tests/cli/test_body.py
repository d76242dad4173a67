from pathlib import Path

import pytest
import typer

from chaosapi.cli import body


def test_on_and_off_stay_words() -> None:
    """A pulse has both as fields; YAML 1.1 would make booleans of them."""
    assert body.value("{type: pulse, on: 5s, off: 10s}") == {"type": "pulse", "on": "5s", "off": "10s"}
    assert body.value("true") is True


def test_parameters_go_where_their_dots_say() -> None:
    """Dotted names make objects; a value cannot hold another."""
    sent: dict[str, object] = {}
    body.put(sent, ["distribution.type=constant", "distribution.value=200ms"])
    assert sent == {"effect": {"distribution": {"type": "constant", "value": "200ms"}}}
    with pytest.raises(typer.BadParameter, match="distribution is already a value"):
        body.put({}, ["distribution=1", "distribution.value=2"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Nothing but the sentence, no traceback."""
    with pytest.raises(typer.BadParameter, match=r"none\.yaml"):
        body.document(tmp_path / "none.yaml")
