"""The settings that workers get from their parent."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from chaosapi.runtime.workers import service
from chaosapi.settings import Settings


def odd(name: str, default: Any) -> Any:
    """Return a value other than the setting's default."""
    chosen: dict[str, Any] = {
        "host": "127.0.0.2",
        "admin_port": 1,
        "admin_token": "secret",
        "effects_denied": ["pause", "cpu"],
        "slo": "slo.yml",
        "log_format": "json",
        "log_level": "error",
        "profile": "lab",
        "store": "sqlite:///x",
    }
    if name in chosen:
        return chosen[name]
    if isinstance(default, bool):
        return not default
    return default


@pytest.mark.parametrize("usual", ["blind", "mark_responses"])
def test_every_setting_is_passed_to_workers(usual: str) -> None:
    """With secrets, and without the environment. Only one of these two settings may be switched on."""
    defaults = Settings().model_dump()
    settings = Settings.model_validate({name: odd(name, value) for name, value in defaults.items() if name != usual})
    assert settings.admin_token == SecretStr("secret")
    assert settings.slo == Path("slo.yml")
    line = service.settings_line(settings)
    assert line.count(b"\n") == 1
    assert Settings.model_validate(json.loads(line)) == settings
