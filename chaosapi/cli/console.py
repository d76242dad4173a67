"""`chaosapi console`: the control room in the browser."""

import contextlib
import os
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from chaosapi import durations
from chaosapi.cli.fault import HERE, Url, find_service
from chaosapi.extras import needed
from chaosapi.peers import is_loopback
from chaosapi.terminal import print_error

HOST: Final = "127.0.0.1"
PORT: Final = 8080
_SHORTEST_INTERVAL_S: Final = 0.05


def console(
    *,
    service: Url = None,
    prometheus: Annotated[str, typer.Option(help="The URL of Prometheus.")] = "http://127.0.0.1:9090",
    alertmanager: Annotated[str, typer.Option(help="The URL of Alertmanager.")] = "http://127.0.0.1:9093",
    locust: Annotated[str, typer.Option(help="The URL of Locust's web page; optional.")] = "http://127.0.0.1:8089",
    job: Annotated[str, typer.Option(help="The Prometheus job that scrapes the service.")] = "chaosapi",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = PORT,
    every: Annotated[str, typer.Option(help="Poll and refresh interval.")] = "2s",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CHAOSAPI_ADMIN_TOKEN", help="The service's admin token; without it, each browser asks for one."
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="CHAOSAPI_CONSOLE_PASSWORD", help="Login password; required unless --host is a loopback address."
        ),
    ] = None,
) -> None:
    """Serve a web console: signals, error budgets, faults, alerts and a timeline, with controls for faults."""
    with needed("chaosapi console", "console", _refused):
        import uvicorn

        from chaosapi.console import app, bounds, sources
        from chaosapi.runtime.admin_server import bind, url
        from chaosapi.settings import SettingsError, token_from_environment
    if not password and not is_loopback(host):
        raise _refused(
            f"{host} is reachable from other machines, and every user of the console can inject faults: "
            "set CHAOSAPI_CONSOLE_PASSWORD, or listen on 127.0.0.1"
        )
    try:
        token = token_from_environment({"CHAOSAPI_ADMIN_TOKEN": token} if token else os.environ)
    except SettingsError as error:
        raise _refused(str(error)) from None
    try:
        seconds = durations.parse(every)
    except ValueError as error:
        raise _refused(f"--every {every}: {error}") from None
    if seconds < _SHORTEST_INTERVAL_S:
        raise _refused(f"--every {every} is too short: at least {durations.format(_SHORTEST_INTERVAL_S)}")
    addresses = sources.Addresses(
        # A service that is not up yet is expected at the lab's address.
        _address("--service", service or find_service((*HERE, HERE[0]))),
        _address("--prometheus", prometheus),
        _address("--alertmanager", alertmanager),
        _address("--locust", locust),
        job,
    )
    try:
        bound = bind(host, port, "--port")
    except OSError as error:
        raise _refused(str(error)) from None
    made = app.create(addresses, token=token, password=password or None, every=seconds)
    typer.echo(f"The console is at {url(bound)}", err=True)
    config = uvicorn.Config(
        made,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # login attempts are counted by the connected peer, not by X-Forwarded-For
        ws_max_size=bounds.LARGEST,
        timeout_graceful_shutdown=2,
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn re-raises it after its shutdown
        uvicorn.Server(config).run([bound])


def _address(option: str, text: str) -> str:
    """Return the URL without trailing slashes; raises Exit where it is not an HTTP URL with a host."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise _refused(f"{option} {text}: a URL with its scheme, such as http://127.0.0.1:9090")
    return text.rstrip("/")


def _refused(message: str) -> typer.Exit:
    print_error(message)
    return typer.Exit(2)
