"""Commands that are imported when they are run, and say which extra they need where it is not installed."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import typer
from rich.markup import escape
from typer.core import TyperGroup

from chaosapi.extras import needed
from chaosapi.terminal import print_error
from chaosapi.text import escape_control


class LazyCommand(NamedTuple):
    """Where a command is: a function, or an app with commands of its own; `extra` brings what it imports."""

    module: str
    attribute: str
    extra: str


class MissingExtraError(Exception):
    """A command cannot be imported; the text says what to install."""


def lazy_group(entries: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """Make the class of a group, for `typer.Typer(cls=...)`, whose last commands are these."""

    class Commands(TyperGroup):
        """Commands whose refusals are text, like all else that they print: a file's content may stand in one."""

        def list_commands(self, ctx: Any) -> list[str]:
            return [*super().list_commands(ctx), *entries]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in entries:
                return super().get_command(ctx, cmd_name)
            return _loaded(cmd_name, entries[cmd_name], f"{ctx.command_path} {cmd_name}")

        def invoke(self, ctx: Any) -> Any:
            try:
                return super().invoke(ctx)
            except typer.BadParameter as refused:
                refused.message = escape_control(refused.message, keep="\n")
                raise

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
