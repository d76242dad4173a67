from pathlib import Path
from typing import Any

import pytest
import typer

from chaosapi.cli import parse
from chaosapi.effects import EFFECTS, Effect
from chaosapi.faults.fault import Fault


def test_on_and_off_are_text() -> None:
    """A pulse has both as fields; in YAML 1.1 they are booleans."""
    assert parse.parse_value("{type: pulse, on: 5s, off: 10s}") == {"type": "pulse", "on": "5s", "off": "10s"}
    assert parse.parse_value("true") is True


def test_dotted_parameters_are_nested() -> None:
    """Dotted names create objects; a value cannot contain another."""
    sent: dict[str, object] = {}
    parse.set_parameters(sent, ["distribution.type=constant", "distribution.value=200ms"])
    assert sent == {"effect": {"distribution": {"type": "constant", "value": "200ms"}}}
    with pytest.raises(typer.BadParameter, match="distribution is already a value"):
        parse.set_parameters({}, ["distribution=1", "distribution.value=2"])


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("release=2.4", {"release": "2.4"}),
        ("flags.new-pricing=on", {"flags": {"new-pricing": True}}),
        ("flags.new-pricing=off", {"flags": {"new-pricing": False}}),
        ("settings.shop_retries>0", {"settings": {"shop_retries": {"above": 0}}}),
        ("settings.queue<=10", {"settings": {"queue": {"at_most": 10}}}),
        ("settings.shop_timeout>=500ms", {"settings": {"shop_timeout": {"at_least": "500ms"}}}),
        ("settings.shop_breaker=false", {"settings": {"shop_breaker": False}}),
        ("providers.payments=acme", {"providers": {"payments": "acme"}}),
        ("in_rotation=true", {"in_rotation": True}),
        ("limits.x-tenant=acme>5", {"limits": {"x-tenant=acme": {"above": 5}}}),
        ("limits.x-tenant=acme=0", {"limits": {"x-tenant=acme": 0}}),
        ("shed.browse<0.3", {"shed": {"browse": {"below": 0.3}}}),
        ("quarantine.p-0042=off", {"quarantine": {"p-0042": False}}),
        ("{release: '2.4'}", {"release": "2.4"}),
    ],
)
def test_a_condition_is_written_as_operators_say_it(text: str, condition: dict[str, Any]) -> None:
    """Each part is one that the API accepts."""
    assert parse.read_condition([text]) == condition
    Fault.model_validate({"effect": {"type": "error"}, "while": condition})


def test_the_parts_of_a_condition_add_up() -> None:
    """Comparisons of one setting, too; what is no comparison is refused."""
    texts = ["settings.queue>0", "settings.queue<9", "release=2.4.1"]
    assert parse.read_condition(texts) == {"settings": {"queue": {"above": 0, "below": 9}}, "release": "2.4.1"}
    with pytest.raises(typer.BadParameter, match=r"'new-pricing' must be like release=2.4.1"):
        parse.read_condition(["new-pricing"])


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_value_without_a_name_sets_the_main_parameter(effect: type[Effect]) -> None:
    """The shorthand of each effect names a parameter of its example or of its class."""
    kind = effect.model_fields["type"].default
    if effect.shorthand is None:
        with pytest.raises(typer.BadParameter, match="must be name=value"):
            parse.set_parameters({"effect": {"type": kind}}, ["5"])
        return
    assert effect.shorthand.partition(".")[0] in effect.model_fields


def test_the_main_parameters_of_error_and_latency() -> None:
    """`error 503` and `latency 300ms` are complete faults."""
    for words, effect in (
        (["503"], {"type": "error", "status": 503}),
        (["300ms"], {"type": "latency", "distribution": {"value": "300ms"}}),
    ):
        sent = {"effect": {"type": effect["type"]}}
        parse.set_parameters(sent, words)
        assert sent == {"effect": effect}
        Fault.model_validate(sent)


def test_a_parameter_may_be_an_option() -> None:
    """The value follows a space or an equals sign; other parameters are unchanged."""
    sent: dict[str, object] = {"effect": {"type": "error"}}
    parse.set_parameters(sent, ["--status", "502", "--retry-after=3s", "when=after"])
    assert sent == {"effect": {"type": "error", "status": 502, "retry_after": "3s", "when": "after"}}


@pytest.mark.parametrize(
    ("effect", "parameters", "reason"),
    [
        ({"type": "error"}, ["--stat", "502"], "no option --stat .*error has the parameters status"),
        ({"type": "error"}, ["--status"], "--status needs a value"),
        ({"type": "eror"}, ["503"], "'eror' is no effect: there are error, latency"),
        ({}, ["503"], "'None' is no effect"),
        ("error", ["status=503"], "effect must be an object"),
    ],
)
def test_a_wrong_parameter_is_refused(effect: object, parameters: list[str], reason: str) -> None:
    """The message lists the known parameters."""
    with pytest.raises(typer.BadParameter, match=reason):
        parse.set_parameters({"effect": effect}, parameters)


@pytest.mark.parametrize(
    ("given", "text"), [("5", "5s"), ("0.5", "0.5s"), (".5", ".5s"), ("5m", "5m"), ("x", "x"), ("", ""), (None, None)]
)
def test_a_duration_without_a_unit_is_in_seconds(given: str | None, text: str | None) -> None:
    """Other text is passed to the API, which refuses it."""
    assert parse.duration_text(given) == text


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8001", "http://localhost:8001"),
        ("127.0.0.1:8001/", "http://127.0.0.1:8001"),
        ("https://chaos.example/svc/admin", "https://chaos.example/svc"),
        ("http://localhost:8001/admin/docs", "http://localhost:8001"),
        ("http://administrator:8001", "http://administrator:8001"),
        ("http://[::1]:8001", "http://[::1]:8001"),
    ],
)
def test_an_address_is_converted_to_a_url(given: str, url: str) -> None:
    """Addresses as in log lines or in a browser."""
    assert parse.base_url(given) == url


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The output is one sentence, without a traceback."""
    with pytest.raises(typer.BadParameter, match=r"none\.yaml"):
        parse.read_faults(tmp_path / "none.yaml")


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
def test_input_beyond_the_limits_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    """From the command line and from a file: without a traceback, within a second, in little memory."""
    file = tmp_path / "fault.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(typer.BadParameter) as given:
        parse.parse_value(text)
    with pytest.raises(typer.BadParameter) as read:
        parse.read_faults(file)
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
def test_yaml_values_are_json_values(text: str, value: object) -> None:
    """No dates, no octal and no sexagesimal numbers: other values are text."""
    assert parse.parse_value(text) == value


def test_the_depth_of_dotted_names_is_limited() -> None:
    """To the depth that the API accepts."""
    with pytest.raises(typer.BadParameter, match="32 levels"):
        parse.set_parameters({}, [f"{'a.' * 1000}b=1"])


def test_a_file_is_read_no_further_than_its_budget() -> None:
    """Nor is one that never ends."""
    with pytest.raises(typer.BadParameter, match="1,000,000 bytes"):
        parse.read_faults(Path("/dev/zero"))


def test_seconds_of_an_option() -> None:
    """With a unit or without; other text is refused with what is valid."""
    assert [parse.seconds(text) for text in ("5", "0.5", "1m30s")] == [5, 0.5, 90]
    with pytest.raises(ValueError, match="or a number of seconds"):
        parse.seconds("soon")
