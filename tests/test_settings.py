from pathlib import Path

import pytest
from pydantic import ValidationError

from chaosapi.peers import is_loopback
from chaosapi.settings import Settings, SettingsError, service_links, token_from_environment


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    """Only this machine can reach it."""
    assert is_loopback(host)
    assert Settings(host=host).admin_token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chaos.example", ""])  # noqa: S104 - refused here
def test_any_other_address_needs_a_token_or_the_word_open(host: str) -> None:
    """The error names all three ways out."""
    with pytest.raises(ValidationError, match=r"CHAOSAPI_ADMIN_TOKEN.*127\.0\.0\.1.*CHAOSAPI_ADMIN_OPEN"):
        Settings(host=host)
    assert Settings.model_validate({"host": host, "admin_token": "secret"}).host == host
    assert Settings(host=host, admin_open=True).host == host


def test_an_admin_port_of_its_own_address_needs_them_too() -> None:
    """However private the service itself is."""
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
def test_a_token_that_no_header_can_carry_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    """From the environment and from a file, and the refusal does not repeat it."""
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", token)
    with pytest.raises(ValidationError, match=f"CHAOSAPI_ADMIN_TOKEN: .*{said}") as refused:
        Settings()
    assert not token.strip() or token not in str(refused.value)


def test_a_refused_setting_does_not_show_the_token() -> None:
    """However unrelated the two are."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"host": "192.0.2.1", "admin_port": 8000, "admin_token": "hush", "port": 8000})
    assert "hush" not in str(refused.value)


def test_the_token_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line end that editors add; not beside another token, and not in a file that is not there."""
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


def test_commands_find_the_token_where_the_service_does(tmp_path: Path) -> None:
    """In the variable or in the file; what cannot be one is refused with the reason."""
    file = tmp_path / "token"
    file.write_text("hush\n")
    assert token_from_environment({"CHAOSAPI_ADMIN_TOKEN": "hush"}) == "hush"
    assert token_from_environment({"CHAOSAPI_ADMIN_TOKEN_FILE": str(file)}) == "hush"
    assert token_from_environment({}) is None
    for wrong in ({"CHAOSAPI_ADMIN_TOKEN": ""}, {"CHAOSAPI_ADMIN_TOKEN_FILE": str(tmp_path / "none")}):
        with pytest.raises(SettingsError, match="CHAOSAPI_ADMIN_TOKEN"):
            token_from_environment(wrong)


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the token: whoever meant to set one must not get a service without."""
    for name in Settings.model_fields:
        if not name.startswith("admin_token"):
            monkeypatch.setenv(f"CHAOSAPI_{name.upper()}", "")
    assert Settings() == Settings.model_construct()
    for name in ("CHAOSAPI_ADMIN_TOKEN", "CHAOSAPI_ADMIN_TOKEN_FILE"):
        monkeypatch.setenv(name, "")
        with pytest.raises(ValidationError, match=name):
            Settings()
        monkeypatch.delenv(name)


def test_the_address_of_a_kubernetes_service_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every pod gets it for a Service named chaosapi or chaosapi-admin; serve says that it is ignored."""
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
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    """An empty token would be a token that everybody knows; a thousand workers would be the end of the machine."""
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)
