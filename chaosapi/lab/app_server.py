"""Serve an app of the user's with chaosapi in it: `python -m chaosapi.lab.app_server module:attribute HOST PORT`."""

import inspect
import os
import sys
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.importer import ImportFromStringError, import_from_string

from chaosapi.installation import ChaosMiddleware, install, is_installed
from chaosapi.settings import Settings
from chaosapi.telemetry import logs

BAD_REFERENCE: Final = os.EX_CONFIG
"""The exit status where the reference names no ASGI app; the last line of the output says why."""


class BadReferenceError(Exception):
    """The reference names no ASGI app."""


def load(reference: str) -> ASGIApp:
    """Import the app that `module:attribute` names; raises BadReferenceError."""
    try:
        found = import_from_string(reference)
    except ImportFromStringError as error:
        module = reference.partition(":")[0]
        raise BadReferenceError(f"--app {reference}: {error}{_apps_of(module)} (looked in {Path.cwd()})") from None
    if not _is_asgi(found):
        made = "; a function that makes the app is called in the module: app = create_app()" if callable(found) else ""
        raise BadReferenceError(
            f"--app {reference}: {type(found).__name__} is not an ASGI app, such as FastAPI or Starlette make{made}"
        )
    app: ASGIApp = found
    return app


def with_chaos(app: ASGIApp) -> ASGIApp:
    """Return the app with chaosapi installed, once."""
    if is_installed(app):
        return app
    if isinstance(app, Starlette):
        install(app)
        return app
    return ChaosMiddleware(app)


def _is_asgi(found: Any) -> bool:
    if inspect.isclass(found) or not callable(found):
        return False
    try:
        inspect.signature(found).bind("scope", "receive", "send")
    except (TypeError, ValueError):
        return False
    return True


def _apps_of(module: str) -> str:
    """Return what a reference to the module may name, where it could be imported."""
    names = vars(sys.modules[module]).items() if module in sys.modules else ()
    apps = [name for name, value in names if isinstance(value, Starlette)]
    return f" It has: {', '.join(apps)}." if apps else ""


def main(reference: str, host: str, port: int) -> None:
    """Serve until SIGTERM."""
    settings = Settings(host=host, port=port, workers=1, drain_delay=0)
    logs.configure(settings)
    try:
        app = with_chaos(load(reference))
    except BadReferenceError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BAD_REFERENCE)
    # Without a configuration of its own, uvicorn logs as all others; chaosapi has a line for each request.
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
