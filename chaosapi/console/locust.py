"""Locust's own web API: what runs, what could, start and stop."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from chaosapi.console.errors import Refused, Silent, Unreachable
from chaosapi.console.http import asked


@dataclass(frozen=True)
class Load:
    """One look at Locust: its state (`ready`, `running`, `stopped` …), what it sends, and the options of a run."""

    state: str
    rps: float
    failing: float
    """Share of failed requests of the run, 0 to 1."""
    users: int
    options: Mapping[str, Mapping[str, Any]]
    """What a run can be told, by name: `default_value`, `choices`, `help_text`; empty without scenarios."""


class LocustClient:
    """Every method raises SourceError."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._options: Mapping[str, Mapping[str, Any]] | None = None
        self._accepted: Mapping[str, str] | None = None

    async def look(self) -> Load:
        """Ask for its numbers; the options are read off its page once."""
        if self._options is None:
            self._options = options(arguments(await self._page()))
        try:
            found = await asked(self._http, "GET", "/stats/requests")
        except Unreachable:
            self._options = None  # another one may come
            raise
        return Load(
            state=found["state"],
            rps=found.get("current_rps") or 0.0,
            failing=found.get("fail_ratio") or 0.0,
            users=found["user_count"],
            options=self._options,
        )

    async def running(self) -> bool:
        """Tell whether a run is under way at this very moment: what `look` asks may be two seconds old at Locust."""
        return arguments(await self._page()).get("state") in {"running", "spawning"}

    async def start(self, form: Mapping[str, str]) -> None:
        """Start a run where none is under way."""
        told = await asked(self._http, "POST", "/swarm", data=dict(form))
        if not told["success"]:
            raise Refused(told["message"])
        self._accepted = dict(form)

    async def change(self, form: Mapping[str, str]) -> None:
        """Stop the run and start another: Locust exchanges none that is under way.

        Where it refuses the form, the run that it last accepted here is started again, and Refused raised.
        """
        await self.stop()
        try:
            await self.start(form)
        except Refused as trouble:
            if self._accepted is None:
                raise Refused(f"{trouble} The run before is stopped: it was not started here.") from trouble
            await self.start(self._accepted)
            raise Refused(f"{trouble} The run before was started again.") from trouble

    async def stop(self) -> None:
        """End the run."""
        await asked(self._http, "POST", "/stop")

    async def _page(self) -> str:
        try:
            return (await self._http.get("/")).text
        except httpx2.ConnectError as error:
            raise Unreachable("nothing answers there") from error
        except httpx2.HTTPError as error:
            raise Silent(f"no answer ({type(error).__name__})") from error


def arguments(page: str) -> Mapping[str, Any]:
    """Read what Locust's page begins with; its API has no call that tells all of it."""
    found = re.search(r"window\.templateArgs\s*=\s*(\{.*\})\s*$", page, re.MULTILINE)
    try:
        return dict(json.loads(found[1])) if found else {}
    except ValueError:
        return {}


def options(arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the options of a run."""
    known = arguments.get("extra_options") or {}
    return {name: option for name, option in known.items() if isinstance(option, dict)}
