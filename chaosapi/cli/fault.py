"""`chaosapi fault`: the admin API from a terminal."""

import getpass
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from rich.text import Text

from chaosapi import errors
from chaosapi.cli import here, parse, render_faults
from chaosapi.cli.group import CommandGroup
from chaosapi.clients.admin import AdminClient, ClientError, find_admin_api
from chaosapi.clients.answers import Phase
from chaosapi.terminal import Terminal, print_error
from chaosapi.text import count_noun, escape_control, strip_control

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Inject, list, show and end faults of a running service."
)

Url = Annotated[
    str | None,
    typer.Option(envvar="CHAOSAPI_URL", help="The URL of the admin API.", show_default=here.ADMIN_DEFAULT),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="CHAOSAPI_ADMIN_TOKEN",
        help="The admin token, if the service has one.",
        show_default="the running lab's",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the JSON of the API.")]
Reason = Annotated[str | None, typer.Option(help="The reason to record in the audit log.")]
Wait = Annotated[str, typer.Option(help="Wait until every replica has applied the change, for at most this long.")]

WAIT: Final = "2s"

_out = Terminal()


@app.command(context_settings={"ignore_unknown_options": True})  # parameters of effects, such as --status
def add(
    effect: Annotated[str | None, typer.Argument(help="The effect's type, such as error or latency.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Argument(
            help="Its parameters: status=503 or --status 503 or just 503; distribution.type=exponential "
            "distribution.mean=200ms, …"
        ),
    ] = None,
    *,
    name: Annotated[str | None, typer.Option(help="The fault's name.", show_default="generated")] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            help="Share of matching requests to hit, 0 to 1; or '{burn_rate: 14.4, slo: availability}'.",
            show_default="1",
        ),
    ] = None,
    route: Annotated[
        list[str] | None, typer.Option(help="Hit only this route, or a prefix such as /api/*; repeatable.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Hit only this HTTP method; repeatable.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="Hit only requests with this header, name=value; repeatable.")
    ] = None,
    sticky_by: Annotated[
        str | None, typer.Option(help="Hit all requests with the same value of this header, or none of them.")
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option(help="Hit calls to this dependency, not whole requests; repeatable.")
    ] = None,
    replica: Annotated[
        list[str] | None, typer.Option(help="Act on the replica of this name alone; repeatable.")
    ] = None,
    while_: Annotated[
        list[str] | None,
        typer.Option(
            "--while",
            help="Act only while this part of the world holds: release=2.4.1, flags.new-pricing=on, "
            "'settings.shop_retries>0', providers.payments=acme, in_rotation=true; repeatable, all must hold.",
        ),
    ] = None,
    start_after: Annotated[
        str | None, typer.Option(help="Delay before the fault starts, such as 10s.", show_default="0s")
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="How long the fault lasts, such as 5m.", show_default="15m")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="How its strength changes: JSON or YAML, such as '{type: ramp, up: 2m}'.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the choice of requests; the same seed hits the same ones.")
    ] = None,
    guard: Annotated[
        str | None, typer.Option(help="When to end the fault early: JSON or YAML, '{stop_when: {alert: X}}'.")
    ] = None,
    reason: Reason = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSON or YAML file with a fault, a list, or several documents; all are injected, or none. "
            "The other options hold for each; - reads stdin; repeatable."
        ),
    ] = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Inject a fault, for example: chaosapi fault add error 503 --rate 0.2 --duration 5m."""
    read = [fault for each in file or [] for fault in parse.read_faults(each)] or [{}]
    if len(read) > 1 and (name or effect):
        raise typer.BadParameter(f"{len(read)} faults of files cannot have one name or effect", param_hint="--file")
    given: dict[str, Any] = {
        "name": name,
        "effect": {"type": effect} if effect else None,
        "rate": None if rate is None else parse.parse_value(rate),
        "target": parse.without_none(
            {
                "routes": route,
                "methods": method,
                "headers": dict(map(parse.split_parameter, header or [])),
                "sticky_by": sticky_by,
                "points": point,
                "replicas": replica,
            }
        ),
        "while": parse.read_condition(while_ or []),
        "schedule": parse.without_none(
            {
                "start_after": parse.duration_text(start_after),
                "duration": parse.duration_text(duration),
                "shape": shape and parse.parse_value(shape),
            }
        ),
        "seed": seed,
        "guard": guard and parse.parse_value(guard),
        "reason": reason,
    }
    for sent in read:
        sent.update(parse.without_none(given))
        parse.set_parameters(sent, parameters or [])
    if len(read) > 1:
        _add_all(read, parse.duration_text(wait), url, token, as_json=as_json)
        return
    with admin_client(url, token) as admin:
        made = admin.create_fault(read[0], wait=parse.duration_text(wait))
    _print(made, as_json=as_json)


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only faults in this state: scheduled, active or ended.")] = None,
    *,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List the faults, newest first."""
    with admin_client(url, token) as admin:
        answer = admin.list_faults(cast("Phase | None", state))  # the API refuses other states
    if as_json:
        _out.print_json(data=answer)
        return
    if answer["halt"]:
        halted = f" since {answer['halt']['since']}: {answer['halt']['reason']}"
        _out.print(Text.assemble(("Chaos is halted", "bold red"), escape_control(halted)))
    _out.print(render_faults.fault_table(answer["faults"]) if answer["faults"] else "No faults.")


@app.command()
def show(name: str, *, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show one fault with its receipt."""
    with admin_client(url, token) as admin:
        found = admin.get_fault(name)
    _print(found, as_json=as_json)


@app.command()
def end(
    name: str,
    *,
    reason: Reason = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """End one fault now."""
    with admin_client(url, token) as admin:
        ended = admin.end_fault(name, reason=reason, wait=parse.duration_text(wait))
    _print(ended, as_json=as_json)


@app.command()
def clear(
    *, reason: Reason = None, wait: Wait = WAIT, url: Url = None, token: Token = None, as_json: AsJson = False
) -> None:
    """End every fault now: the kill switch."""
    with admin_client(url, token) as admin:
        answer = admin.end_all_faults(reason=reason, wait=parse.duration_text(wait))
    if as_json:
        _out.print_json(data=answer)
    else:
        applied = render_faults.format_replicas(answer["replicas"])
        ended = count_noun(answer["ended"], "fault")
        _out.print(f"{ended} ended; revision {answer['revision']}, applied by {applied}")


@app.command()
def replicas(*, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List the live replicas, and how many revisions each is behind."""
    with admin_client(url, token) as admin:
        answer = admin.replicas()
    if as_json:
        _out.print_json(data=answer)
    else:
        _out.print(render_faults.replica_table(answer["replicas"]))


@contextmanager
def admin_client(url: str | None, token: str | None) -> Iterator[AdminClient]:
    """Open a client of the admin API; a ClientError is printed and becomes exit code 1."""
    try:
        url = parse.base_url(url) if url else here.admin_url()
        token = here.admin_token(token, url)
    except errors.Invalid as error:
        raise _failed(str(error)) from None
    try:
        with AdminClient(url, token=token, actor=strip_control(_user())) as admin:
            yield admin
    except ClientError as error:
        raise _failed(_explained(error, url)) from None


def _explained(error: ClientError, url: str) -> str:
    if error.status is None:
        return f"no answer from {url}: {error.__cause__ or error}; is `chaosapi serve` running there? (--url)"
    if "title" in error.problem and "detail" in error.problem:
        said = f"{error.problem['title']}: {error.problem['detail']}"
    else:
        said = f"{url}: {error}; is it chaosapi?"
    if error.status == errors.NotFound.status and find_admin_api([url]) is None:
        said += f"; {url} is no admin API, which has a port of its own where CHAOSAPI_ADMIN_PORT is set (--url)"
    return said


def _user() -> str:
    """Return the user's name, or the uid where the system has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


def _failed(message: str) -> typer.Exit:
    print_error(message)
    return typer.Exit(1)


def _print(fault: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        _out.print_json(data=fault)
    else:
        _out.print(render_faults.fault_details(fault))


def _add_all(
    faults: Sequence[Mapping[str, Any]], wait: str | None, url: str | None, token: str | None, *, as_json: bool
) -> None:
    from chaosapi.cli import batch

    try:
        batch.check(faults)
        with admin_client(url, token) as admin:
            made = batch.create_faults(admin, faults, wait=wait)
    except errors.Invalid as error:
        raise _failed(str(error)) from None
    if as_json:
        _out.print_json(data=made)
    else:
        _out.print(render_faults.fault_table(made))
