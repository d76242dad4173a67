"""The class of all command groups: errors escape what they quote, and an unknown command gets suggestions."""

from difflib import get_close_matches
from typing import Any, Final

import typer
from typer.core import TyperGroup

from chaosapi.text import escape_control

_SYNONYMS: Final = {
    "add": ("create", "inject", "new", "start"),
    "list": ("ls", "faults", "scenarios"),
    "show": ("cat", "describe", "get", "receipt", "status"),
    "end": ("cancel", "del", "delete", "remove", "rm", "stop"),
    "clear": ("kill", "end-all", "stop-all"),
    "lint": ("check", "validate", "verify"),
    "rules": ("render",),
    "forecast": ("predict",),
    "serve": ("run", "start", "up"),
    "run": ("start",),
    "copy": ("cp", "export", "init"),
    "traffic": ("load", "loadtest", "locust"),
}
"""What other tools call these commands."""


class CommandGroup(TyperGroup):
    """A group that suggests commands by their spelling and by what other tools call them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "suggest_commands": False})  # Typer's own suggestions know no synonyms

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name; raises UsageError with suggestions."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            found = [repr(name) for name in suggestions(args[0], self.list_commands(ctx))] if args else []
            if found and hasattr(error, "message"):
                error.message = f"{error.message.rstrip('.')}. Did you mean {' or '.join(found)}?"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and escape control characters in the message of a refused parameter: it may quote a file."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            refused.message = escape_control(refused.message, keep="\n")
            raise


def suggestions(typed: str, commands: list[str]) -> list[str]:
    """Return the commands that a user may have meant."""
    synonyms = [name for name in commands if typed in _SYNONYMS.get(name, ())]
    return synonyms or get_close_matches(typed, commands)
