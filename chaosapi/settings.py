"""Every setting of the service: environment variables with the prefix CHAOSAPI_, or arguments."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chaosapi.durations import Duration

_LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost"}


class Settings(BaseSettings):
    """How the service runs."""

    model_config = SettingsConfigDict(
        env_prefix="CHAOSAPI_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on."""
    admin_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """A port for /admin and /hooks alone, served by a thread of its own: it answers even while the other one cannot."""
    admin_host: str | None = None
    """The address of the admin port; that of the service unless given."""
    admin_token: SecretStr | None = None
    """What /admin and /hooks ask for as `Authorization: Bearer …`; needed on any address that is not loopback."""
    admin_open: bool = False
    """Allow an address that is not loopback without a token. Whoever can reach it can break the service."""
    max_duration: Annotated[Duration, Field(gt=0)] = 86400.0
    """The longest a fault may last."""
    max_held: Annotated[int, Field(ge=1)] = 10_000
    """How many requests effects may keep waiting at once; past it an injection is skipped and counted."""
    mark_responses: bool = False
    """Let answers name the faults that acted on them, in `x-chaos-fault` and `Server-Timing`."""
    access_log: bool = True
    """Whether every request writes a log line."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes JSON unless a person is watching."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.admin_token is not None and not self.admin_token.get_secret_value().strip():
            raise PydanticCustomError("token", "CHAOSAPI_ADMIN_TOKEN is empty: set a token, or unset it")
        if self.admin_token is None and not self.admin_open and not is_loopback(self.host):
            raise PydanticCustomError(
                "open_admin",
                "{host} can be reached from other machines and so could /admin: set CHAOSAPI_ADMIN_TOKEN, listen on "
                "127.0.0.1, or set CHAOSAPI_ADMIN_OPEN=true if everyone may inject faults",
                {"host": self.host},
            )
        return self


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine only."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
