"""The settings that workers get from their parent."""

import json
from pathlib import Path
from typing import Any

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


def test_every_setting_is_passed_to_workers() -> None:
    """With secrets, and without the environment."""
    settings = Settings()
    settings = Settings.model_validate({name: odd(name, value) for name, value in settings.model_dump().items()})
    assert settings.admin_token == SecretStr("secret")
    assert settings.slo == Path("slo.yml")
    line = service.settings_line(settings)
    assert line.count(b"\n") == 1
    assert Settings.model_validate(json.loads(line)) == settings
