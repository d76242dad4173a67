"""`chaosapi console`: the control room in the browser."""

import contextlib
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from chaosapi import durations, errors
from chaosapi.cli import here, parse
from chaosapi.cli.fault import Url
from chaosapi.extras import needed
from chaosapi.lab_addresses import LabAddresses, running_lab, running_labs
from chaosapi.peers import is_loopback
from chaosapi.terminal import print_error

HOST: Final = "127.0.0.1"
PORT: Final = 8080
_SHORTEST_INTERVAL_S: Final = 0.05


def _default(usual: str) -> str:
    return f"the running lab's, else port {usual.rpartition(':')[2]} on {HOST}"


def console(
    *,
    service: Url = None,
    prometheus: Annotated[
        str | None,
        typer.Option(envvar="CHAOSAPI_PROMETHEUS", help="The URL of Prometheus.", show_default=here.PROMETHEUS_DEFAULT),
    ] = None,
    alertmanager: Annotated[
        str | None, typer.Option(help="The URL of Alertmanager.", show_default=_default(here.ALERTMANAGER))
    ] = None,
    locust: Annotated[
        str | None,
        typer.Option(help="The URL of Locust's web page; optional.", show_default=_default(here.LOCUST)),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="The Prometheus job that scrapes the service.", show_default="the running lab's, else chaosapi"
        ),
    ] = None,
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
    if not password and not is_loopback(host):
        raise _refused(
            f"{host} is reachable from other machines, and every user of the console can inject faults: "
            "set CHAOSAPI_CONSOLE_PASSWORD, or listen on 127.0.0.1"
        )
    try:
        seconds = parse.seconds(every)
    except ValueError as error:
        raise _refused(f"--every {every}: {error}") from None
    if seconds < _SHORTEST_INTERVAL_S:
        raise _refused(f"--every {every} is too short: at least {durations.format(_SHORTEST_INTERVAL_S)}")
    try:
        lab = _lab_of(service) if service and prometheus and alertmanager else running_lab()
        # A service that is not up yet is expected at the lab's address.
        admin = service or (lab.admin if lab else here.find_service((*here.ADMIN, here.ADMIN[0])))
        token = here.admin_token(token, admin)
    except errors.Invalid as error:
        raise _refused(str(error)) from None
    addresses = sources.Addresses(
        _address("--service", admin),
        _address("--prometheus", prometheus or (lab.prometheus if lab else here.PROMETHEUS)),
        _address("--alertmanager", alertmanager or (lab.alertmanager if lab else here.ALERTMANAGER)),
        _address("--locust", locust or (lab.locust if lab else here.LOCUST)),
        job or (lab.job if lab else "chaosapi"),
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


def _lab_of(service: str) -> LabAddresses | None:
    """Return the running lab with this admin API."""
    return next((lab for lab in running_labs() if lab.admin == service.rstrip("/")), None)


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
