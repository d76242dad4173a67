"""`chaosapi history`: backfill a Prometheus, outside the lab, with samples of healthy traffic."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated

import httpx2
import typer

from chaosapi.errors import Invalid
from chaosapi.lab import history as past
from chaosapi.lab import prometheus
from chaosapi.lab.errors import LabError
from chaosapi.slo import windows
from chaosapi.terminal import print_error


def history(
    url: Annotated[str, typer.Argument(help="The URL of the service, such as http://127.0.0.1:8000.")],
    *,
    instance: Annotated[
        str | None,
        typer.Option(help="The `instance` label in Prometheus.", show_default="the URL's host and port"),
    ] = None,
    job: Annotated[str, typer.Option(help="The `job` label in Prometheus.")] = prometheus.JOB,
    profile: Annotated[
        str, typer.Option(help="The alert windows to fill: production, lab, or an AlertWindows file.")
    ] = "lab",
    rate: Annotated[float, typer.Option(min=0.1, help="Requests per second to write.")] = 20.0,
    output: Annotated[Path | None, typer.Option(help="The file to write.", show_default="standard output")] = None,
) -> None:
    """Write one SLO period of healthy traffic, up to now, for `promtool tsdb create-blocks-from openmetrics`.

    The routes have the shares of the requests that the service has counted so far.

    In a Prometheus with minutes of history, long windows hold little but the fault, and all alerts fire at once.
    """
    try:
        instants = past.sample_times(windows.load(profile), time.time())
        address = httpx2.URL(url).netloc.decode()
        exposition = httpx2.get(f"{url.rstrip('/')}/metrics", timeout=30).raise_for_status().text
        rates = past.past_rates(exposition, rate)
    except (Invalid, LabError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        print_error(f"no metrics from {url}: {error}")
        raise typer.Exit(1) from None
    labels = prometheus.ScrapeTarget(instance or address, job).labels
    series = past.healthy_series(exposition, rates, labels, instants[-1] - instants[0])
    with output.open("w", encoding="utf-8") if output else contextlib.nullcontext(sys.stdout) as file:
        file.writelines(past.openmetrics(series, instants))
