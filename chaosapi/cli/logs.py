"""`chaosapi logs`: search the log of the lab's service."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chaosapi import durations, errors
from chaosapi.cli import here, log_file, log_lines
from chaosapi.cli.log_lines import Part, Selection
from chaosapi.terminal import Terminal, print_error

_POLL_S: Final = 0.2
_STDIN: Final = Path("-")


def _status(values: list[str] | None) -> list[str]:
    for value in values or ():
        if not log_lines.STATUS.fullmatch(value):
            raise typer.BadParameter(f"{value} is neither a status, such as 503, nor a class of them, such as 5xx")
    return values or []


def _level(value: str | None) -> str | None:
    if value is not None and value.lower() not in log_lines.LEVELS:
        raise typer.BadParameter(f"{value} is not one of {', '.join(log_lines.LEVELS)}")
    return value and value.lower()


def _moment(value: str | None) -> float | None:
    """Return Unix seconds: a duration is that long ago."""
    if value is None:
        return None
    try:
        return time.time() - durations.parse(value)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value} is neither a duration, such as 5m, nor a time of RFC 3339") from None
    return found.timestamp()


def logs(
    file: Annotated[
        Path | None,
        typer.Argument(help="The log; - for standard input.", show_default="that of the running lab's service"),
    ] = None,
    *,
    level: Annotated[
        str | None, typer.Option(callback=_level, help="The lowest level: debug, info, warning or error.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(callback=_status, help="A status, or a class of them: 503, 5xx. May be repeated."),
    ] = None,
    route: Annotated[
        str | None, typer.Option(help="The template of the route, such as /api/products/{product_id}.")
    ] = None,
    logger: Annotated[str | None, typer.Option(help="A logger and those below it, such as shop or shop.db.")] = None,
    grep: Annotated[str | None, typer.Option(metavar="TEXT", help="Text in the line, in any case.")] = None,
    request_id: Annotated[str | None, typer.Option(help="The id of a request.")] = None,
    trace_id: Annotated[str | None, typer.Option(help="The id of a trace.")] = None,
    since: Annotated[str | None, typer.Option(help="A duration ago (5m) or a time (2026-11-27T14:05:00Z).")] = None,
    until: Annotated[str | None, typer.Option(help="The same, for the last line.")] = None,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Only the last lines, so many.")] = None,
    count_by: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Count the lines by a field, such as status, route or calls.outcome."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with the lines that are written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False,
) -> None:
    """Search the log of the lab's service, or another one in the same form.

    All options that are given must hold.
    """
    if follow and (count_by or file == _STDIN):
        raise typer.BadParameter("it needs a file, and does not count", param_hint="--follow")
    selection = Selection(
        level, route, status or (), _moment(since), _moment(until), grep, request_id, trace_id, logger
    )
    with _reported_errors():
        found = _selected(file, selection, follow=follow)
        if count_by:
            _print_counts(log_lines.count_by((line for line in found if line is not None), count_by), as_json=as_json)
            return
        show = _print_json if as_json else _printer()
        last: deque[dict[str, Any]] = deque(maxlen=tail)
        waiting = tail is not None
        for line in found:
            if line is None:
                for each in last:
                    show(each)
                last.clear()
                waiting = False
                time.sleep(_POLL_S)
            elif waiting:
                last.append(line)
            else:
                show(line)
        for each in last:
            show(each)


def _selected(file: Path | None, selection: Selection, *, follow: bool) -> Iterator[dict[str, Any] | None]:
    """Yield the fields of selected lines, and None whenever there is no further line yet."""
    for text in _lines(file, follow=follow):
        if text is None:
            yield None
        elif text and selection.takes(line := log_lines.parse(text), text):
            yield line


def _lines(file: Path | None, *, follow: bool) -> Iterator[str | None]:
    if file == _STDIN:
        yield from log_file.read(sys.stdin.buffer)
        return
    path = file or here.log_file()
    if follow:
        yield from log_file.follow(path)
        return
    with path.open("rb") as opened:
        yield from log_file.read(opened)


def _printer() -> Any:
    terminal = Terminal()
    coloured = terminal.is_terminal and not terminal.no_color

    def show(line: dict[str, Any]) -> None:
        typer.echo(" ".join(map(_styled if coloured else _plain, log_lines.render(line))))
        for each in log_lines.traceback(line):
            typer.echo(f"  {each}")

    return show


def _styled(part: Part) -> str:
    return typer.style(part.text, fg=part.colour)


def _plain(part: Part) -> str:
    return part.text


def _print_json(line: dict[str, Any]) -> None:
    typer.echo(_json(line))


def _print_counts(counts: list[tuple[str | None, int]], *, as_json: bool) -> None:
    for value, lines in counts:
        if as_json:
            typer.echo(_json({"value": value, "lines": lines}))
        else:
            typer.echo(f"{lines:8,}  {'-' if value is None else value}")


def _json(found: dict[str, Any]) -> str:
    """Return JSON in ASCII: control characters are escaped."""
    return json.dumps(found)


@contextmanager
def _reported_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (errors.ChaosError, OSError) as error:
        print_error(error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
