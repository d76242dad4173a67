from pathlib import Path

import pytest
from pydantic import ValidationError

from chaosapi.peers import is_loopback
from chaosapi.settings import Settings, SettingsError, service_links, token_from_environment


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    """Other machines cannot reach it."""
    assert is_loopback(host)
    assert Settings(host=host).admin_token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chaos.example", ""])  # noqa: S104 - refused here
def test_any_other_address_needs_a_token_or_admin_open(host: str) -> None:
    """The error names all three options."""
    with pytest.raises(ValidationError, match=r"CHAOSAPI_ADMIN_TOKEN.*127\.0\.0\.1.*CHAOSAPI_ADMIN_OPEN"):
        Settings(host=host)
    assert Settings.model_validate({"host": host, "admin_token": "secret"}).host == host
    assert Settings(host=host, admin_open=True).host == host


def test_an_admin_host_needs_them_too() -> None:
    """Also if the service itself listens on loopback."""
    with pytest.raises(ValidationError, match=r"192\.0\.2\.1 can be reached"):
        Settings(admin_port=8001, admin_host="192.0.2.1")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefix CHAOSAPI_, durations with units."""
    monkeypatch.setenv("CHAOSAPI_PORT", "9000")
    monkeypatch.setenv("CHAOSAPI_MAX_DURATION", "2h")
    assert (Settings().port, Settings().max_duration) == (9000, 7200)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("tökén", r"character 2 is U\+00F6"),
        ("one two", r"character 4 is U\+0020"),
        ("secret\n", r"character 7 is U\+000A"),
        (" secret", r"character 1 is U\+0020"),
        ("a\x7fb", r"character 2 is U\+007F"),
        ("\u2010", r"U\+2010"),
        ("", "empty"),
        (" \t", "empty"),
        ("x" * 1025, "longer"),
    ],
)
def test_a_token_with_invalid_header_characters_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    """From the environment and from a file; the error does not contain it."""
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", token)
    with pytest.raises(ValidationError, match=f"CHAOSAPI_ADMIN_TOKEN: .*{said}") as refused:
        Settings()
    assert not token.strip() or token not in str(refused.value)


def test_an_invalid_setting_does_not_reveal_the_token() -> None:
    """Also if another setting is invalid."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"host": "192.0.2.1", "admin_port": 8000, "admin_token": "hush", "port": 8000})
    assert "hush" not in str(refused.value)


def test_the_token_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trailing newline is removed; a second token or a missing file is an error."""
    file = tmp_path / "token"
    file.write_text("hush\n")
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN_FILE", str(file))
    token = Settings(host="192.0.2.1").admin_token
    assert token is not None
    assert token.get_secret_value() == "hush"
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", "other")
    with pytest.raises(ValidationError, match="set one of them"):
        Settings()
    monkeypatch.delenv("CHAOSAPI_ADMIN_TOKEN")
    for content in (b"", b"two words", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(ValidationError, match="CHAOSAPI_ADMIN_TOKEN_FILE: "):
            Settings()
    file.unlink()
    with pytest.raises(ValidationError, match=r"CHAOSAPI_ADMIN_TOKEN_FILE: .*No such file"):
        Settings()


def test_commands_read_the_same_token_settings_as_the_service(tmp_path: Path) -> None:
    """From the variable or the file; an invalid token is refused with the reason."""
    file = tmp_path / "token"
    file.write_text("hush\n")
    assert token_from_environment({"CHAOSAPI_ADMIN_TOKEN": "hush"}) == "hush"
    assert token_from_environment({"CHAOSAPI_ADMIN_TOKEN_FILE": str(file)}) == "hush"
    assert token_from_environment({}) is None
    for wrong in ({"CHAOSAPI_ADMIN_TOKEN": ""}, {"CHAOSAPI_ADMIN_TOKEN_FILE": str(tmp_path / "none")}):
        with pytest.raises(SettingsError, match="CHAOSAPI_ADMIN_TOKEN"):
            token_from_environment(wrong)


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except the token: an empty token must not start a service without one."""
    for name in Settings.model_fields:
        if not name.startswith("admin_token"):
            monkeypatch.setenv(f"CHAOSAPI_{name.upper()}", "")
    assert Settings() == Settings.model_construct()
    for name in ("CHAOSAPI_ADMIN_TOKEN", "CHAOSAPI_ADMIN_TOKEN_FILE"):
        monkeypatch.setenv(name, "")
        with pytest.raises(ValidationError, match=name):
            Settings()
        monkeypatch.delenv(name)


def test_the_service_variables_of_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pod has them for a Service named chaosapi or chaosapi-admin; serve logs that they are ignored."""
    link = {"CHAOSAPI_PORT": "tcp://10.0.0.1:8000", "CHAOSAPI_ADMIN_PORT": "tcp://10.0.0.2:8001"}
    for name, value in link.items():
        monkeypatch.setenv(name, value)
    assert (Settings().port, Settings().admin_port) == (8000, None)
    assert service_links(link) == list(link)
    assert service_links({"CHAOSAPI_PORT": "8000"}) == []
    monkeypatch.setenv("CHAOSAPI_PORT", "eight")
    with pytest.raises(ValidationError, match="port"):
        Settings()


@pytest.mark.parametrize(
    "bad",
    [
        *({"port": 70000}, {"max_held": 0}, {"max_duration": "0s"}, {"admin_token": " "}, {"log_level": "loud"}),
        *({"workers": 0}, {"workers": 65}, {"effects_denied": "[" * 100_000}),
    ],
)
def test_invalid_settings_are_refused(bad: dict[str, object]) -> None:
    """An empty token would be known to all; a thousand workers would exhaust the machine."""
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)
