"""Every setting of the service: environment variables with the prefix CHAOSAPI_, or arguments."""

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ByteSize, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chaosapi.durations import Duration

_LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost"}


class SettingsError(ValueError):
    """A setting that does not fit the app it is for; names its environment variable."""


def _listed(value: Any) -> Any:
    """Read `"pause, cpu"` or `'["pause", "cpu"]'`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise PydanticCustomError("list", "names with commas between them, or a JSON list of them") from None
    return [name.strip() for name in value.split(",") if name.strip()]


def _cores() -> int:
    """Count the cores that this process may use, where the system tells; else all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """How the service runs."""

    model_config = SettingsConfigDict(
        env_prefix="CHAOSAPI_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """How many processes `chaosapi serve` runs behind that port."""
    drain_delay: Annotated[Duration, Field(ge=0, le=60)] = 0.0
    """How long it goes on serving after SIGTERM, no longer ready, so that load balancers can turn away."""
    admin_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """A port for /admin and /hooks alone, served by a thread of its own: it answers even while the other one cannot."""
    admin_host: str | None = None
    """The address of the admin port; that of the service unless given."""
    admin_token: SecretStr | None = None
    """What /admin and /hooks ask for as `Authorization: Bearer …`; needed on any address that is not loopback."""
    admin_open: bool = False
    """Allow an address that is not loopback without a token. Whoever can reach it can break the service."""
    store: str = "memory://"
    """What replicas share the faults in: `memory://` (nothing), `sqlite:///faults.db` (one machine), `redis://host`."""
    max_duration: Annotated[Duration, Field(gt=0)] = 86400.0
    """The longest a fault may last."""
    max_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The highest rate a fault may ask for."""
    max_faults: Annotated[int, Field(ge=1)] = 100
    """How many faults may live at once."""
    max_cpu: Annotated[float, Field(gt=0)] = Field(default_factory=lambda: float(_cores()))
    """How many cores all cpu faults together may load; those that this process may use unless given."""
    max_memory: Annotated[ByteSize, Field(gt=0)] = ByteSize(2**30)
    """How much all memory faults together may take, in bytes (`512MiB`)."""
    effects_denied: Annotated[frozenset[str], NoDecode, BeforeValidator(_listed)] = frozenset()
    """Effects that are refused: comma-separated, or a JSON list."""
    allow_crash: bool = False
    """Whether a fault may end the process."""
    max_held: Annotated[int, Field(ge=1)] = 10_000
    """How many requests effects may keep waiting at once; past it an injection is skipped and counted."""
    slo: Path | None = None
    """The Sloth file whose alerts are forecast; the shop's unless given."""
    profile: str = "production"
    """The windows of those alerts: `production`, `lab`, or an AlertWindows file."""
    mark_responses: bool = False
    """Let answers name the faults that acted on them, in `x-chaos-fault` and `Server-Timing`."""
    shop_timeout: Annotated[Duration, Field(gt=0)] = 1.0
    """How long the shop waits for what it depends on, each try."""
    shop_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often the shop repeats a call that failed, where repeating does no harm."""
    shop_breaker: bool = True
    """Whether the shop stops calling, for a while, what has failed five times in a row."""
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
        if self.admin_port and self.admin_port == self.port:
            raise PydanticCustomError("ports", "CHAOSAPI_ADMIN_PORT and CHAOSAPI_PORT are the same: choose another")
        exposed = [host for host in (self.host, self.admin_host) if host is not None and not is_loopback(host)]
        if self.admin_token is None and not self.admin_open and exposed:
            raise PydanticCustomError(
                "open_admin",
                "{host} can be reached from other machines and so could /admin: set CHAOSAPI_ADMIN_TOKEN, listen on "
                "127.0.0.1, or set CHAOSAPI_ADMIN_OPEN=true if everyone may inject faults",
                {"host": exposed[0]},
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
