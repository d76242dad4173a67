"""Commands that are imported when they are run; a missing extra is named in the error."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import typer
from rich.markup import escape

from chaosapi.cli.group import CommandGroup
from chaosapi.extras import needed
from chaosapi.terminal import print_error


class LazyCommand(NamedTuple):
    """The module and attribute of a command (a function) or group (a Typer app), and the extra that it needs."""

    module: str
    attribute: str
    extra: str


class MissingExtraError(Exception):
    """A command's extra is not installed; the text says how to install it."""


def lazy_group(entries: Mapping[str, LazyCommand]) -> type[CommandGroup]:
    """Return a class for `typer.Typer(cls=...)` that lists these commands after the app's own."""

    class Commands(CommandGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*super().list_commands(ctx), *entries]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in entries:
                return super().get_command(ctx, cmd_name)
            return _loaded(cmd_name, entries[cmd_name], f"{ctx.command_path} {cmd_name}")

    return Commands


def _loaded(name: str, entry: LazyCommand, path: str) -> Any:
    try:
        with needed(path, entry.extra, MissingExtraError):
            found = getattr(importlib.import_module(entry.module), entry.attribute)
    except MissingExtraError as missing:
        return _command(name, _refusal(str(missing)), ignore_unknown_options=True, allow_extra_args=True)
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)
        command.name = name
        return command
    return _command(name, found)


def _command(name: str, function: Any, **context: bool) -> Any:
    alone = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    alone.command(name, context_settings=context)(function)
    return typer.main.get_command(alone)


def _refusal(text: str) -> Any:
    def refuse() -> None:
        print_error(text)
        raise typer.Exit(2)

    refuse.__doc__ = escape(text)
    return refuse
