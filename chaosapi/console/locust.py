"""Poll Locust, and start, change and stop its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaosapi.clients.errors import RefusedError, UnreachableError
from chaosapi.clients.locust import AsyncLocustClient
from chaosapi.console.feed import State

CHECK: Final = "check"
"""A field of the form that lets chaosapi's scenarios check it and start nothing."""


@dataclass(frozen=True)
class LoadState:
    """One snapshot of Locust: its state (`ready`, `running`, `stopped` …), its traffic, and the options of a run."""

    state: str
    rps: float
    failing: float
    """Share of failed requests of the run, 0 to 1."""
    users: int
    options: Mapping[str, Mapping[str, Any]]
    """The options of a run, by name: `default_value`, `choices`, `help_text`; empty without scenarios."""


def describe_badge(state: State, rate: float | None, *, known: bool) -> str:
    """Return the badge of the traffic: Locust's state, or what arrives without a Locust that has a page.

    `rate` is that of the service's requests, None if it is unknown, and `known` whether Locust has ever answered.
    """
    if state == "up" or known:
        return f"Locust: {state}"
    if rate is None:
        return "Traffic: unknown"
    return "Traffic without a page" if rate > 0 else "No traffic"


class LocustWatcher:
    """Polls Locust and controls its run; every method raises ClientError."""

    def __init__(self, client: AsyncLocustClient) -> None:
        self._client = client
        self._options: Mapping[str, Mapping[str, Any]] | None = None
        self._accepted: Mapping[str, str] | None = None

    async def poll(self) -> LoadState:
        """Return the present state; the options are read from Locust's page once."""
        if self._options is None:
            self._options = options(await self._client.arguments())
        try:
            found = await self._client.stats()
        except UnreachableError:
            self._options = None  # Locust may come back with other options
            raise
        return LoadState(
            state=found["state"],
            rps=found.get("current_rps") or 0.0,
            failing=found.get("fail_ratio") or 0.0,
            users=found["user_count"],
            options=self._options,
        )

    async def running(self) -> bool:
        """Return whether a run is under way, read from the page: Locust caches the statistics for two seconds."""
        return (await self._client.arguments()).get("state") in {"running", "spawning"}

    async def start(self, form: Mapping[str, str]) -> None:
        await self._client.start(form)
        self._accepted = dict(form)

    async def change(self, form: Mapping[str, str]) -> None:
        """Stop the run and start another: Locust cannot change the options of a run under way.

        A form that Locust would refuse raises RefusedError, and the run goes on. If Locust refuses it after all, the
        last run that was started here is started again, and RefusedError is raised.
        """
        await self._client.start({**form, CHECK: "1"})
        await self.stop()
        try:
            await self.start(form)
        except RefusedError as trouble:
            if self._accepted is None:
                raise RefusedError(f"{trouble} The run before is stopped: it was not started here.") from trouble
            await self.start(self._accepted)
            raise RefusedError(f"{trouble} The run before was started again.") from trouble

    async def stop(self) -> None:
        await self._client.stop()


def options(arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the options of a run from the template arguments of Locust's page."""
    known = arguments.get("extra_options") or {}
    return {name: option for name, option in known.items() if isinstance(option, dict)}
