"""Locust: what runs, what could, start and stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosapi.clients.errors import RefusedError, UnreachableError
from chaosapi.clients.locust import AsyncLocustClient


@dataclass(frozen=True)
class LoadState:
    """One look at Locust: its state (`ready`, `running`, `stopped` …), what it sends, and the options of a run."""

    state: str
    rps: float
    failing: float
    """Share of failed requests of the run, 0 to 1."""
    users: int
    options: Mapping[str, Mapping[str, Any]]
    """What a run can be told, by name: `default_value`, `choices`, `help_text`; empty without scenarios."""


class LocustWatcher:
    """Looks at Locust, and exchanges the run that is under way; every method raises ClientError."""

    def __init__(self, client: AsyncLocustClient) -> None:
        self._client = client
        self._options: Mapping[str, Mapping[str, Any]] | None = None
        self._accepted: Mapping[str, str] | None = None

    async def poll(self) -> LoadState:
        """Ask for its numbers; the options are read off its page once."""
        if self._options is None:
            self._options = options(await self._client.arguments())
        try:
            found = await self._client.stats()
        except UnreachableError:
            self._options = None  # another one may come
            raise
        return LoadState(
            state=found["state"],
            rps=found.get("current_rps") or 0.0,
            failing=found.get("fail_ratio") or 0.0,
            users=found["user_count"],
            options=self._options,
        )

    async def running(self) -> bool:
        """Return whether a run is under way at this very moment: what `look` asks may be two seconds old at Locust."""
        return (await self._client.arguments()).get("state") in {"running", "spawning"}

    async def start(self, form: Mapping[str, str]) -> None:
        """Start a run where none is under way."""
        await self._client.start(form)
        self._accepted = dict(form)

    async def change(self, form: Mapping[str, str]) -> None:
        """Stop the run and start another: Locust exchanges none that is under way.

        Where it refuses the form, the run that it last accepted here is started again, and RefusedError raised.
        """
        await self.stop()
        try:
            await self.start(form)
        except RefusedError as trouble:
            if self._accepted is None:
                raise RefusedError(f"{trouble} The run before is stopped: it was not started here.") from trouble
            await self.start(self._accepted)
            raise RefusedError(f"{trouble} The run before was started again.") from trouble

    async def stop(self) -> None:
        """End the run."""
        await self._client.stop()


def options(arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the options of a run, by the arguments that Locust's page was made with."""
    known = arguments.get("extra_options") or {}
    return {name: option for name, option in known.items() if isinstance(option, dict)}
