"""The environment of each of the lab's programs: what it needs, and no other secret."""

from collections.abc import Mapping
from typing import Final

_SHARED: Final = {
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
}
_SHARED_PREFIXES: Final = ("LC_", "PYTHON", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG")
_TOKEN: Final = ("CHAOSAPI_ADMIN_TOKEN", "CHAOSAPI_ADMIN_TOKEN_FILE")
_PASSWORD: Final = "CHAOSAPI_CONSOLE_PASSWORD"  # noqa: S105 - the name of a variable


def shared(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that every program gets: paths, locale and runtime options."""
    return {name: value for name, value in environment.items() if name in _SHARED or name.startswith(_SHARED_PREFIXES)}


def service(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the service, its token among them, and those of OpenTelemetry."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("CHAOSAPI_", "OTEL_")) and name != _PASSWORD
    }


def own_app(environment: Mapping[str, str]) -> dict[str, str]:
    """Return everything for an app of the user's own, which runs as if the user had started it."""
    return {name: value for name, value in environment.items() if name != _PASSWORD}


def own_traffic(environment: Mapping[str, str]) -> dict[str, str]:
    """Return everything for a Locust file of the user's own but what is chaosapi's."""
    return {name: value for name, value in environment.items() if not name.startswith("CHAOSAPI_")}


def console(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the admin token, and the login password of the console."""
    return {name: environment[name] for name in (*_TOKEN, _PASSWORD) if name in environment}


def traffic(environment: Mapping[str, str]) -> dict[str, str]:
    """Return Locust's settings, and those of our scenarios."""
    return {name: value for name, value in environment.items() if name.startswith(("LOCUST_", "CHAOSAPI_SCENARIO_"))}


def grafana(environment: Mapping[str, str]) -> dict[str, str]:
    """Return Grafana's settings."""
    return {name: value for name, value in environment.items() if name.startswith("GF_")}
