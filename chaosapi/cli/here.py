"""The addresses that a command uses where none is given: those of the running lab, else the usual ones."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaosapi import errors
from chaosapi.clients.admin import find_admin_api
from chaosapi.lab_addresses import LabAddresses, running_lab, running_labs
from chaosapi.settings import SettingsError, token_from_environment

ADMIN: Final = ("http://127.0.0.1:8001", "http://127.0.0.1:8000")
"""The usual admin APIs of `chaosapi lab` and of `chaosapi serve`."""
PROMETHEUS: Final = "http://127.0.0.1:9090"
ALERTMANAGER: Final = "http://127.0.0.1:9093"
LOCUST: Final = "http://127.0.0.1:8089"

ADMIN_DEFAULT: Final = "the running lab's, else port 8001 or 8000 on 127.0.0.1"
PROFILE: Final = "production"
PROFILE_DEFAULT: Final = "that of the rules in Prometheus, or the running lab's; else production"
PROMETHEUS_DEFAULT: Final = "the running lab's, else port 9090 on 127.0.0.1"
"""How the help describes the defaults."""


def service_urls() -> Sequence[str]:
    """Return the URLs that a service may have; raises errors.Invalid where it is not clear which lab is meant."""
    lab = running_lab()
    return (lab.admin, lab.service) if lab else ADMIN


def admin_url() -> str:
    """Return the running lab's admin API, else the usual one that answers, else the last; raises errors.Invalid."""
    lab = running_lab()
    return lab.admin if lab else find_service(ADMIN)


def prometheus_url() -> str:
    """Return the running lab's Prometheus, else the usual one; raises errors.Invalid."""
    lab = running_lab()
    return lab.prometheus if lab else PROMETHEUS


def log_file() -> Path:
    """Return the log of the running lab's service; raises errors.Invalid."""
    lab = running_lab()
    if lab is None:
        raise errors.Invalid("no lab runs here: start one with `chaosapi lab`, or name the file of a log")
    if lab.log is None:
        raise errors.Invalid("the lab did not start its service, so it has no log: name the file of one")
    return Path(lab.log)


def trace_dir() -> Path:
    """Return the folder with the spans of the running lab's service; raises errors.Invalid."""
    lab = running_lab()
    if lab is None:
        raise errors.Invalid("no lab runs here: start one with `chaosapi lab`, or name the folder of the spans (--dir)")
    if lab.traces is None:
        raise errors.Invalid(
            "the service of the lab writes no spans: install the extra before, pip install 'chaosapi[tracing]'; a "
            "service that the lab did not start writes them where CHAOSAPI_TRACE_DIR says (--dir)"
        )
    return Path(lab.traces)


def profile(prometheus: str | None = None) -> str:
    """Return the running lab's alert windows, unless another Prometheus is meant; else production.

    Raises errors.Invalid where it is not clear which lab is meant.
    """
    lab = running_lab()
    return lab.profile if lab and (prometheus is None or prometheus.rstrip("/") == lab.prometheus) else PROFILE


def find_service(urls: Sequence[str]) -> str:
    """Return the first URL that serves chaosapi, or the last one."""
    return find_admin_api(urls[:-1]) or urls[-1]


def admin_token(given: str | None, url: str) -> str | None:
    """Return the token for an admin API: the given one, that of the environment, or that of the lab at this URL.

    A lab's token is sent to that lab only. Raises errors.Invalid for a token that is none.
    """
    try:
        token = token_from_environment({"CHAOSAPI_ADMIN_TOKEN": given} if given else os.environ)
    except SettingsError as error:
        raise errors.Invalid(str(error)) from None
    return token or next((_token_of(lab) for lab in running_labs() if lab.admin == url.rstrip("/")), None)


def _token_of(lab: LabAddresses) -> str | None:
    try:
        return Path(lab.token_file).read_text(encoding="utf-8").strip() if lab.token_file else None
    except OSError:
        return None
