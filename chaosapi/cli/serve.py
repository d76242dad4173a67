"""`chaosapi serve`: run the service."""

from typing import Annotated, Any

import typer
import uvicorn
from pydantic import ValidationError

from chaosapi import logs
from chaosapi.app import create_app
from chaosapi.settings import Settings, SettingsError

_DRAIN = 10


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [env: CHAOSAPI_HOST; 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [env: CHAOSAPI_PORT; 8000]")] = None,
    admin_port: Annotated[
        int | None, typer.Option(help="A port for the admin API alone.  [env: CHAOSAPI_ADMIN_PORT; none]")
    ] = None,
) -> None:
    """Run the service. All settings are environment variables with the prefix CHAOSAPI_."""
    given: dict[str, Any] = {
        name: value
        for name, value in {"host": host, "port": port, "admin_port": admin_port}.items()
        if value is not None
    }
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            setting = "".join(f"CHAOSAPI_{str(part).upper()}: " for part in each["loc"])
            typer.echo(f"chaosapi: {setting}{each['msg']}", err=True)
        raise typer.Exit(2) from None
    logs.configure(settings)
    try:
        app = create_app(settings)
    except SettingsError as error:
        typer.echo(f"chaosapi: {error}", err=True)
        raise typer.Exit(2) from None
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_DRAIN,
    )
