"""`chaosapi serve`: run the service."""

import contextlib
import os
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from chaosapi.app import create_app
from chaosapi.runtime import acceptor
from chaosapi.runtime.server import Server
from chaosapi.runtime.workers import service
from chaosapi.settings import Settings, SettingsError, service_links
from chaosapi.telemetry import logs
from chaosapi.terminal import print_error


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="CHAOSAPI_HOST, or 127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="CHAOSAPI_PORT, or 8000")] = None,
    admin_port: Annotated[
        int | None, typer.Option(help="A separate port for the admin API.", show_default="CHAOSAPI_ADMIN_PORT, or none")
    ] = None,
    workers_: Annotated[
        int | None,
        typer.Option("--workers", help="Worker processes that share the port.", show_default="CHAOSAPI_WORKERS, or 1"),
    ] = None,
) -> None:
    """Run the service. Further settings are environment variables with the prefix CHAOSAPI_."""
    given: dict[str, Any] = {
        name: value
        for name, value in {"host": host, "port": port, "admin_port": admin_port, "workers": workers_}.items()
        if value is not None
    }
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            setting = "".join(f"CHAOSAPI_{str(part).upper()}: " for part in each["loc"])
            typer.echo(f"chaosapi: {setting}{each['msg']}", err=True)
        raise typer.Exit(2) from None
    for name in service_links(os.environ):
        typer.echo(
            f"chaosapi: {name}={os.environ[name]} is the address of a Kubernetes Service, not a port, and is ignored: "
            "set enableServiceLinks: false in the pod, or rename the Service",
            err=True,
        )
    acceptor.raise_limit()
    try:
        dropped = logs.configure(settings)
        if settings.workers > 1:
            raise typer.Exit(_serve_workers(settings))
        app = create_app(settings, dropped=dropped)
    except SettingsError as error:
        print_error(error)
        raise typer.Exit(2) from None
    server = Server(app, settings)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn re-raises it after its shutdown
        server.run()
    if not server.started:
        raise typer.Exit(3)


def _serve_workers(settings: Settings) -> int:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        raise SettingsError("PROMETHEUS_MULTIPROC_DIR: with several workers chaosapi makes its own folder; unset it")
    try:
        return service.run("chaosapi.app:create_app", settings)
    except OSError as error:
        raise SettingsError(str(error)) from error
