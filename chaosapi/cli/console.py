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
_QUICKEST: Final = 0.05  # seconds


def console(
    *,
    service: Url = None,
    prometheus: Annotated[str, typer.Option(help="Where Prometheus is.")] = "http://127.0.0.1:9090",
    alertmanager: Annotated[str, typer.Option(help="Where Alertmanager is.")] = "http://127.0.0.1:9093",
    locust: Annotated[str, typer.Option(help="Where Locust's web page is, if it runs.")] = "http://127.0.0.1:8089",
    job: Annotated[str, typer.Option(help="The service's scrape job in Prometheus.")] = "chaosapi",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = PORT,
    every: Annotated[str, typer.Option(help="How often the sources are asked and pages updated.")] = "2s",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CHAOSAPI_ADMIN_TOKEN", help="The service's admin token; without, each browser is asked for it."
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="CHAOSAPI_CONSOLE_PASSWORD", help="What people log in with; needed unless it listens on loopback."
        ),
    ] = None,
) -> None:
    """Show signals, budgets, faults, alerts and the timeline in the browser, and steer faults from there."""
    with needed("chaosapi console", "console", _refused):
        import uvicorn

        from chaosapi.console import app, bounds, sources
        from chaosapi.runtime.admin_server import bind, url
        from chaosapi.settings import SettingsError, token_from_environment
    if not password and not is_loopback(host):
        raise _refused(
            f"{host} can be reached from other machines, and whoever reaches the console can break the service: "
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
    if seconds < _QUICKEST:
        raise _refused(f"--every {every} is too often: at least {durations.format(_QUICKEST)}")
    addresses = sources.Addresses(
        _address(
            "--service", service or find_service((*HERE, HERE[0]))
        ),  # which may be started later: then as the lab does
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
        proxy_headers=False,  # the peer, which passwords are counted by, is whoever is connected
        ws_max_size=bounds.LARGEST,
        timeout_graceful_shutdown=2,
    )
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises once all is done
        uvicorn.Server(config).run([bound])


def _address(option: str, text: str) -> str:
    """Return the URL of a source as paths are put behind it; raises Exit where it is none."""
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
