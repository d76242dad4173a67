"""Every setting of the service: environment variables with the prefix CHAOSAPI_, or arguments."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chaosapi import json_limits
from chaosapi.durations import Duration
from chaosapi.errors import ChaosError
from chaosapi.peers import is_loopback

_TOKEN: Final = re.compile(r"[!-~]{1,1024}")
RELEASE: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
REPLICA: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_SERVICE_LINK: Final = re.compile(r"(?:tcp|udp|sctp)://")


class SettingsError(ValueError):
    """A setting does not fit the app; the message names its environment variable."""


def _split_names(value: Any) -> Any:
    """Read `"pause, cpu"` or `'["pause", "cpu"]'`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json_limits.read(value.encode("utf-8", "surrogateescape"), json_limits.SMALL)
        except ChaosError:
            raise PydanticCustomError("list", "names with commas between them, or a JSON list of them") from None
    return [name.strip() for name in value.split(",") if name.strip()]


def _lower_names(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def token_problem(token: str) -> str:
    """Return why a text cannot be a bearer token, or an empty string.

    Headers carry visible ASCII characters. RFC 6750 allows fewer of them, but clients and servers accept all.
    """
    if not token.strip():
        return "it is empty: give a token, or unset the variable"
    if _TOKEN.fullmatch(token):
        return ""
    wrong = next((position for position, each in enumerate(token, 1) if not "!" <= each <= "~"), None)
    what = "it is longer" if wrong is None else f"its character {wrong} is U+{ord(token[wrong - 1]):04X}"
    return f"it must be 1 to 1024 visible ASCII characters without spaces, such as `openssl rand -hex 32` makes: {what}"


def token_from_environment(environment: Mapping[str, str]) -> str | None:
    """Return the admin token of an environment, or of the file that it names; raises SettingsError."""
    token = environment.get("CHAOSAPI_ADMIN_TOKEN")
    file = environment.get("CHAOSAPI_ADMIN_TOKEN_FILE")
    if token is None and file is not None:
        try:
            token = _read_token_file(Path(file))
        except PydanticCustomError as error:
            raise SettingsError(error.message()) from None
    if token is not None and (trouble := token_problem(token)):
        raise SettingsError(f"CHAOSAPI_ADMIN_TOKEN: {trouble}")
    return token


def service_links(environment: Mapping[str, str]) -> list[str]:
    """Return the port variables that Kubernetes sets for a Service named chaosapi: they are addresses, not settings."""
    names = ("CHAOSAPI_PORT", "CHAOSAPI_ADMIN_PORT")
    return [name for name in names if _SERVICE_LINK.match(environment.get(name, ""))]


class _Environment(EnvSettingsSource):
    """The environment, where empty variables count as unset, and Kubernetes' Service addresses are ignored.

    An empty token is kept, and then refused: otherwise a failed substitution would open the admin API.
    """

    def __call__(self) -> dict[str, Any]:
        foreign = {name.removeprefix("CHAOSAPI_").lower() for name in service_links(os.environ)}
        found = super().__call__()
        return {
            name: value
            for name, value in found.items()
            if name not in foreign and (value != "" or name in {"admin_token", "admin_token_file"})
        }


def _usable_cores() -> int:
    """Return the number of cores in this process's CPU affinity mask; all cores where the system has none."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PathPattern = Annotated[str, Field(pattern="^/", max_length=200)]


class Settings(BaseSettings):
    """The settings of the service."""

    model_config = SettingsConfigDict(
        env_prefix="CHAOSAPI_",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # the input of all settings together has the token
    )

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """The number of worker processes of `chaosapi serve`."""
    drain_delay: Annotated[Duration, Field(ge=0, le=60)] = 0.0
    """How long the service serves requests after SIGTERM while it is not ready, so that load balancers can react."""
    admin_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """A separate port for /admin and /hooks, served by its own thread: it responds even while the main port cannot."""
    admin_host: str | None = None
    """The address of the admin port; that of the service unless given."""
    admin_token: SecretStr | None = None
    """The token of /admin and /hooks (`Authorization: Bearer …`); required on any address except loopback."""
    admin_token_file: Path | None = None
    """A file with the token, instead of CHAOSAPI_ADMIN_TOKEN; a trailing newline is removed."""
    operator_token: SecretStr | None = None
    """A token that may read the world, its changes and the alerts, and change the world within its safe ranges."""
    observer_token: SecretStr | None = None
    """A token that may read what an operator reads."""
    admin_open: bool = False
    """Admit every peer without a token. Any client that can reach the service can break it."""
    admin_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(_split_names), AfterValidator(_lower_names)] = (
        frozenset()
    )
    """With CHAOSAPI_ADMIN_OPEN: the allowed host names, in addition to IP addresses and loopback names."""
    exempt: Annotated[tuple[PathPattern, ...], NoDecode, BeforeValidator(_split_names)] = ()
    """Paths without faults and metrics, in addition to the default ones, such as `/internal/*`."""
    store: str = "memory://"
    """The store of the faults: `memory://` (not shared), `sqlite:///faults.db` (one machine), `redis://host`."""
    max_duration: Annotated[Duration, Field(gt=0)] = 86400.0
    """The longest duration of a fault."""
    max_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The highest rate of a fault."""
    max_faults: Annotated[int, Field(ge=1)] = 100
    """The highest number of live faults."""
    max_cpu: Annotated[float, Field(gt=0)] = Field(default_factory=lambda: float(_usable_cores()))
    """The most cores that all cpu faults together may load; by default all that this process may use."""
    max_memory: Annotated[ByteSize, Field(gt=0)] = ByteSize(2**30)
    """The most memory that all memory faults together may allocate, in bytes (`512MiB`)."""
    effects_denied: Annotated[frozenset[str], NoDecode, BeforeValidator(_split_names)] = frozenset()
    """Effects that are refused: comma-separated, or a JSON list."""
    allow_crash: bool = False
    """Whether a fault may end the process."""
    max_held: Annotated[int, Field(ge=1)] = 10_000
    """The most requests that effects may hold at once; beyond that, injections are skipped and counted."""
    slo: Path | None = None
    """The Sloth file whose alerts are forecast; the shop's unless given."""
    profile: str = "production"
    """The windows of those alerts: `production`, `lab`, or an AlertWindows file."""
    mark_responses: bool = False
    """Whether responses name the faults that acted on them, in `x-chaos-fault` and `Server-Timing`."""
    blind: bool = False
    """Hide from learners what would give faults away and is only convenient: refuses `mark_responses`, and metrics show
    the statuses of a fault only once it has answered with them."""
    replica: Annotated[str, Field(pattern=REPLICA, max_length=100)] | None = None
    """The name of this replica, which it keeps after a restart (`shop-1`); its id unless given."""
    release: Annotated[str, Field(pattern=RELEASE, max_length=50)] = "1.0.0"
    """The release that the shop runs until an operator changes it."""
    shop_timeout: Annotated[Duration, Field(gt=0, le=3600)] = 1.0
    """The shop's time-out for each try of a call to a dependency."""
    shop_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """The shop's retries of a failed call, if the call is idempotent."""
    shop_breaker: bool = True
    """Whether the shop has a circuit breaker, which opens after five consecutive failures."""
    access_log: bool = True
    """Whether every request writes a log line."""
    trace_dir: Path | None = None
    """A folder for the spans of requests, as OTLP in lines of JSON; needs the extra `tracing`."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes JSON unless a person is watching."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level of log lines."""
    audit_log: str | None = None
    """Where `chaosapi serve` logs changes of faults and of the world: `stdout` with other lines, a file, or `off`.

    Unless given, `stdout`; with `blind`, `off`.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment."""
        return init_settings, _Environment(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _load_token_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Set the token from its file, if one is named."""
        file = values.get("admin_token_file")
        if file is None:
            return values
        if "admin_token" in values:
            raise PydanticCustomError("token", "CHAOSAPI_ADMIN_TOKEN and CHAOSAPI_ADMIN_TOKEN_FILE: set one of them")
        return {**values, "admin_token": _read_token_file(Path(file))}

    @model_validator(mode="after")
    def _check_admin_exposure(self) -> Self:
        if self.admin_token is not None and (trouble := token_problem(self.admin_token.get_secret_value())):
            name = "CHAOSAPI_ADMIN_TOKEN_FILE" if self.admin_token_file else "CHAOSAPI_ADMIN_TOKEN"
            raise PydanticCustomError("token", "{name}: {trouble}", {"name": name, "trouble": trouble})
        self._check_learners_tokens()
        if self.blind and self.mark_responses:
            raise PydanticCustomError(
                "blind", "CHAOSAPI_MARK_RESPONSES names faults: with CHAOSAPI_BLIND it must be off"
            )
        if self.blind and self.audit_log == "stdout":
            raise PydanticCustomError(
                "blind", "CHAOSAPI_AUDIT_LOG names faults: with CHAOSAPI_BLIND it must be a file, or off"
            )
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

    def _check_learners_tokens(self) -> None:
        given = {"CHAOSAPI_OPERATOR_TOKEN": self.operator_token, "CHAOSAPI_OBSERVER_TOKEN": self.observer_token}
        known = {self.admin_token.get_secret_value()} if self.admin_token else set()
        for name, token in given.items():
            if token is None:
                continue
            trouble = token_problem(token.get_secret_value())
            if not self.admin_token:
                trouble = "set CHAOSAPI_ADMIN_TOKEN too: without it everybody on this machine is an instructor"
            elif token.get_secret_value() in known:
                trouble = "another role has the same token: choose another"
            if trouble:
                raise PydanticCustomError("token", "{name}: {trouble}", {"name": name, "trouble": trouble})
            known.add(token.get_secret_value())


def _read_token_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise PydanticCustomError("token", "CHAOSAPI_ADMIN_TOKEN_FILE: {why}", {"why": why}) from None
