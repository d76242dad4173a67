"""`chaosapi trace`: print the traces of the lab's service."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from chaosapi import errors
from chaosapi.cli import here, spans
from chaosapi.cli.spans import Span
from chaosapi.terminal import echo, print_error
from chaosapi.text import escape_control

_LISTED = 20


def trace(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The id of a trace, or of a request (x-request-id).", show_default=False),
    ] = None,
    *,
    slowest: Annotated[int | None, typer.Option(min=1, help="List the slowest requests, so many.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="List requests that failed: 5xx, or no whole answer.")
    ] = False,
    route: Annotated[
        str | None, typer.Option(help="List those of a route, by its template, such as /api/products/{product_id}.")
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="List the newest, so many.")] = _LISTED,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="The folder of the spans (CHAOSAPI_TRACE_DIR).", show_default="the running lab's"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print spans as JSON, one a line, as OTLP has them.")] = False,
) -> None:
    """Print a trace as a tree with durations, or list requests with the ids of their traces."""
    if wanted and (slowest or failed or route):
        raise typer.BadParameter("it goes without --slowest, --failed and --route", param_hint="ID")
    with _reported_errors():
        place = folder or here.trace_dir()
        if wanted:
            _print_traces(wanted, place, as_json=as_json)
            return
        found = [span for span in spans.requests(spans.read(place)) if _selected(span, route, failed=failed)]
        if slowest:
            found.sort(key=lambda span: -span.seconds)
            chosen = found[:slowest]
        else:
            chosen = sorted(found, key=lambda span: span.start_ns)[-number:]
        for span in chosen:
            echo(json.dumps(span.source) if as_json else _listed(span))
        if not chosen:
            print_error("no request is that" if slowest or failed or route else f"no spans in {place} yet")
            raise typer.Exit(1)


def _selected(span: Span, route: str | None, *, failed: bool) -> bool:
    return (route is None or span.attributes["http.route"] == route) and (span.failed or not failed)


def _listed(span: Span) -> str:
    status = span.attributes.get("http.response.status_code", "000")
    return f"{spans.moment(span)}  {span.trace_id}  {status}  {span.seconds:8.3f}s  {span.name}"


def _print_traces(wanted: str, folder: Path, *, as_json: bool) -> None:
    found = spans.find(folder, wanted)
    if not found:
        raise errors.NotFound(f"{folder} has no spans of {wanted}: they are written within a second")
    found.sort(key=lambda span: span.trace_id)
    for trace_id, group in groupby(found, lambda span: span.trace_id):
        _print_trace(trace_id, [*group], as_json=as_json)


def _print_trace(trace_id: str, group: Sequence[Span], *, as_json: bool) -> None:
    if as_json:
        for span in sorted(group, key=lambda span: span.start_ns):
            echo(json.dumps(span.source))
        return
    first = min(group, key=lambda span: span.start_ns)
    named = "".join(f"  request {span.request_id}" for span in spans.requests(group) if span.request_id)
    echo(f"trace {trace_id}  {spans.moment(first)}{named}")
    coloured = sys.stdout.isatty()
    for line in spans.tree(group):
        text = escape_control(line.text)
        typer.echo(typer.style(text, fg="red") if line.failed and coloured else text)


@contextmanager
def _reported_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (errors.ChaosError, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
