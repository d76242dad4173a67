import pytest
from pydantic import ValidationError

from chaosapi.settings import Settings, is_loopback


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
    "bad",
    [
        *({"port": 70000}, {"max_held": 0}, {"max_duration": "0s"}, {"admin_token": " "}, {"log_level": "loud"}),
        *({"workers": 0}, {"workers": 65}),
    ],
)
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    """An empty token would be a token that everybody knows; a thousand workers would be the end of the machine."""
    with pytest.raises(ValidationError):
        Settings.model_validate(bad)
