"""`chaosapi world`: the actions of operators from a terminal."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from chaosapi.cli import parse, render_faults
from chaosapi.cli.fault import WAIT, AsJson, Token, Url, Wait, admin_client
from chaosapi.cli.group import CommandGroup
from chaosapi.clients import world_actions
from chaosapi.clients.answers import ChangedWorld, ChangeView, WorldView
from chaosapi.clients.exchange import Json
from chaosapi.terminal import Terminal, styled

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Show and change what operators change: releases, flags, settings, …"
)

Note = Annotated[str | None, typer.Option(help="Why, for the feed of changes and the audit log.")]
HeaderValue = Annotated[str, typer.Argument(metavar="HEADER=VALUE", help="A request header and its value.")]

_out = Terminal()


@app.command()
def show(*, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show the world, and what is outside its safe range."""
    with admin_client(url, token) as admin:
        world = admin.world()
    if as_json:
        _out.print_json(data=world)
        return
    table = Table.grid(padding=(0, 2))
    for part in ("release", "flags", "settings", "providers", "rotation", "limits", "shed", "quarantine"):
        if part not in world["absent"]:
            table.add_row(styled(part, "bold"), _part(world[part]))
    for risk in world["risks"]:
        table.add_row(styled("risk", "yellow"), styled(risk, "yellow"))
    _out.print(table)


@app.command()
def changes(*, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """List the latest changes: who changed what, when and why."""
    with admin_client(url, token) as admin:
        found = admin.world_changes()
    if as_json:
        _out.print_json(data=found)
    else:
        _out.print(_feed(found["changes"]) if found["changes"] else "No changes.")


@app.command("set")
def set_(
    fields: Annotated[
        list[str], typer.Argument(metavar="FIELD=VALUE…", help="Such as shop_retries=0; null restores the default.")
    ],
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of the world at once, for example: chaosapi world set shop_retries=0 --note "retry storm"."""
    patch: Json = {}
    for name, value in map(parse.split_parameter, fields):
        field = name if "." in name else f"settings.{name}"
        patch = world_actions.merged(patch, world_actions.set_field(field, parse.parse_value(value)))
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def deploy(
    version: str,
    *,
    replica: Annotated[list[str] | None, typer.Option(help="Only on this replica; repeatable.")] = None,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Deploy a release, on all replicas or on some."""
    patch = world_actions.deploy(version, replica or ())
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def rollback(
    *,
    to: Annotated[str | None, typer.Option(help="The release to run.", show_default="the former one")] = None,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Roll back: single replicas to the release of all, else all to the former release."""
    _change(lambda world: world_actions.roll_back(world, to), note, wait, url, token, as_json=as_json)


@app.command()
def flag(
    state: Annotated[str, typer.Argument(metavar="on|off")],
    name: str,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Switch a flag on or off."""
    if state not in ("on", "off"):
        raise typer.BadParameter(f"{state!r} must be on or off")
    patch = {"flags": {name: state == "on"}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def drain(
    replica: str,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Take a replica out of rotation: it is not ready, and finishes what it serves."""
    patch = {"rotation": {replica: "drained"}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def restore(
    replica: str,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Put a replica back into rotation."""
    patch = {"rotation": {replica: None}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def failover(
    dependency: str,
    provider: str,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Let another company stand behind a dependency: chaosapi world failover payments bolt."""
    patch = {"providers": {dependency: provider}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def limit(
    header: HeaderValue,
    rate: Annotated[float, typer.Argument(help="Requests per second, on each replica.")],
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Limit the requests with a header of this value."""
    name, value = parse.split_parameter(header)
    _change(lambda world: world_actions.limit(world, name, value, rate), note, wait, url, token, as_json=as_json)


@app.command()
def block(
    header: HeaderValue,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Refuse all requests with a header of this value."""
    name, value = parse.split_parameter(header)
    _change(lambda world: world_actions.limit(world, name, value, 0), note, wait, url, token, as_json=as_json)


@app.command()
def unblock(
    header: HeaderValue,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Lift a limit or a block."""
    name, value = parse.split_parameter(header)
    _change(lambda world: world_actions.unlimit(world, name, value), note, wait, url, token, as_json=as_json)


@app.command()
def shed(
    kind: Annotated[str, typer.Argument(metavar="browse|cart|checkout")],
    share: Annotated[str, typer.Argument(help="Of its requests, the share to refuse: 30% or 0.3; 0 for none.")],
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a share of the requests of a class, the least valuable class first."""
    patch = {"shed": {kind: _share(share) or None}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text!r} is not a share of requests such as 30% or 0.3", param_hint="SHARE")
    return share


@app.command()
def quarantine(
    product: str,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Bring it back.")] = False,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Take a product off the shop."""
    action = world_actions.bring_back if undo else world_actions.quarantine
    _change(lambda world: action(world, product), note, wait, url, token, as_json=as_json)


@app.command()
def degrade(
    what: Annotated[str, typer.Argument(metavar="search")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Ask the index again.")] = False,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Answer searches from earlier results, without the index."""
    if what != "search":
        raise typer.BadParameter(f"{what!r} cannot be degraded: search can")
    patch = {"settings": {"search": "live" if undo else "cached"}}
    _change(lambda _: patch, note, wait, url, token, as_json=as_json)


@app.command()
def undo(
    revision: Annotated[int | None, typer.Argument(help="Of the change.", show_default="the latest change")] = None,
    *,
    note: Note = None,
    wait: Wait = WAIT,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Undo a change, unless its fields have changed since."""
    with admin_client(url, token) as admin:
        found = [each for each in admin.world_changes()["changes"] if revision in (None, each["revision"])]
    if not found:
        raise typer.BadParameter("there is no such change: chaosapi world changes lists the latest ones")
    why = note or f"undo of revision {found[0]['revision']}"
    _change(lambda world: world_actions.undo(world, found[0]), why, wait, url, token, as_json=as_json)


def _change(
    action: Callable[[WorldView], Json],
    note: str | None,
    wait: str,
    url: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Change the world by the action's patch, unless somebody else changes it meanwhile; print what has changed."""
    with admin_client(url, token) as admin:
        world = admin.world()
        try:
            patch = action(world)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        changed = admin.change_world(patch, note=note, if_revision=world["revision"], wait=parse.duration_text(wait))
    if as_json:
        _out.print_json(data=changed)
    else:
        _print_change(changed)


def _print_change(world: ChangedWorld) -> None:
    if not world["changed"]:
        _out.print("Nothing to change: it is so already.")
        return
    for field in world["changed"]:
        _out.print(styled(world_actions.words(field)))
    for risk in world["risks"]:
        _out.print(styled(f"risk: {risk}", "yellow"))
    applied = render_faults.format_replicas(world["replicas"])
    revision = world["revision"]
    _out.print(f"revision {revision}, applied by {applied}; to undo it: chaosapi world undo {revision}")


def _part(part: Any) -> Any:
    if isinstance(part, Mapping):
        texts = [f"{name} {world_actions.word(value)}" for name, value in part.items()]
        return styled("\n".join(texts) or "none")
    return styled(world_actions.word(part))


def _feed(found: list[ChangeView]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("revision", justify="right", no_wrap=True)
    table.add_column("UTC", no_wrap=True)
    for column in ("who", "what", "why"):
        table.add_column(column, overflow="fold")
    for each in found:
        what = "\n".join(map(world_actions.words, each["fields"]))
        table.add_row(
            str(each["revision"]), each["at"][11:19], styled(each["actor"]), styled(what), styled(each["note"])
        )
    return table
