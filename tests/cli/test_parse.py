from pathlib import Path

import pytest
import typer

from chaosapi.cli import parse


def test_on_and_off_stay_words() -> None:
    """A pulse has both as fields; YAML 1.1 would make booleans of them."""
    assert parse.parse_value("{type: pulse, on: 5s, off: 10s}") == {"type": "pulse", "on": "5s", "off": "10s"}
    assert parse.parse_value("true") is True


def test_parameters_go_where_their_dots_say() -> None:
    """Dotted names make objects; a value cannot hold another."""
    sent: dict[str, object] = {}
    parse.set_parameters(sent, ["distribution.type=constant", "distribution.value=200ms"])
    assert sent == {"effect": {"distribution": {"type": "constant", "value": "200ms"}}}
    with pytest.raises(typer.BadParameter, match="distribution is already a value"):
        parse.set_parameters({}, ["distribution=1", "distribution.value=2"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Nothing but the sentence, no traceback."""
    with pytest.raises(typer.BadParameter, match=r"none\.yaml"):
        parse.read_document(tmp_path / "none.yaml")


HOSTILE = [
    "[" * 100_000,
    "a: " + "[" * 20_000,
    "{" * 20_000,
    "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8 if n else 'x')}]" for n in range(7)),
    "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 7)),
    "a: &a [*a]",
    '"\\ud800"',
    'a: "\\ud800"',
    "\udcff",
    "NaN",
    "[1e999]",
    "a: 1e999",
    "a: 99999999999999999999",
    '{"503": 1, "503": 2}',
    "a: 1\na: 2",
    "!!binary aGk=",
    "!!set {a}",
    "? [a]\n: b",
    "<<",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda value: ascii(value)[:40])
def test_what_no_fault_can_hold_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    """From the command line and from a file alike: no traceback, no minute, no gigabyte."""
    file = tmp_path / "fault.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(typer.BadParameter) as given:
        parse.parse_value(text)
    with pytest.raises(typer.BadParameter) as read:
        parse.read_document(file)
    assert len(str(given.value)) < 1000
    assert len(str(read.value)) < 1000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-02-30", "2026-02-30"),
        ("1:30", "1:30"),
        ("0123", "0123"),
        ("0x_", "0x_"),
        ("yes", "yes"),
        (".nan", ".nan"),
        ("a:", {"a": None}),
        ("~", None),
        ("-5", -5),
        ("a: [1, 0.25, 1e3, true, null]", {"a": [1, 0.25, 1000.0, True, None]}),
        ("{503: 0.8, 500: 0.2}", {503: 0.8, 500: 0.2}),
        ("5m", "5m"),
        ("", None),
    ],
)
def test_yaml_is_read_as_json_would_say_it(text: str, value: object) -> None:
    """No dates, no octal and no sexagesimal numbers: what is no JSON value is text."""
    assert parse.parse_value(text) == value


def test_dotted_names_are_as_deep_as_a_fault() -> None:
    """What is sent can be read by whoever receives it."""
    with pytest.raises(typer.BadParameter, match="32 levels"):
        parse.set_parameters({}, [f"{'a.' * 1000}b=1"])


def test_a_file_is_read_no_further_than_its_budget() -> None:
    """Nor is one that never ends."""
    with pytest.raises(typer.BadParameter, match="1,000,000 bytes"):
        parse.read_document(Path("/dev/zero"))
