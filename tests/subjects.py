"""Two subjects for the state machine: a store with an engine, and a service over HTTP."""

import asyncio
from typing import Any, Final, NamedTuple

from fastapi.testclient import TestClient
from hypothesis import strategies as st

from chaosapi.app import create_app
from chaosapi.errors import ChaosError
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.receipt import SPARED
from chaosapi.faults.state import AuditEntry
from chaosapi.injection.engine import Engine
from chaosapi.routes import Route
from chaosapi.routing import RouteTable
from chaosapi.settings import Settings
from chaosapi.store import MemoryStore
from chaosapi.world.changes import WorldChange
from chaosapi.world.world import World
from tests.conftest import Clock

NAMES = st.sampled_from("abc")
DURATIONS = st.sampled_from([10, 20, 60])
IDLE = {"type": "latency", "distribution": {"type": "constant", "value": 0}}
FLAG: Final = "new-pricing"
SPECS = st.builds(
    lambda name, start_after, duration, flag: Fault.model_validate(
        {
            "name": name,
            "effect": IDLE,
            "schedule": {"start_after": start_after, "duration": duration},
            **({} if flag is None else {"while": {"flags": {FLAG: flag}}}),
        }
    ),
    NAMES,
    st.sampled_from([0, 10]),
    DURATIONS,
    st.sampled_from([None, True, False]),
)
"""Faults, some of which act only while a flag is on, or off."""


class Seen(NamedTuple):
    """The observable state of a service."""

    revision: int
    phases: dict[str, str]
    matched: dict[str, int]
    spared: dict[str, int]
    """How many requests the condition of each fault has spared."""
    flag: bool
    audit: list[tuple[int, str, str | None]]
    """Revision, action and fault, oldest first."""


class Direct:
    """The store and the engine of one replica, without HTTP."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.engine = Engine(RouteTable.of([Route("/a")]), clock)
        self.store.subscribe(self.engine.load)

    def create(self, spec: Fault) -> bool:
        return self._do("create", changes.create(spec, self.clock.now), spec.name)

    def replace(self, spec: Fault) -> bool:
        return self._do("replace", changes.replace(spec, self.clock.now), spec.name)

    def patch(self, name: str, document: dict[str, Any]) -> bool:
        return self._do("patch", changes.patch(name, document, Fault.model_validate, self.clock.now), name)

    def end(self, name: str) -> bool:
        return self._do("end", changes.end(name, self.clock.now), name)

    def end_all(self) -> bool:
        return self._do("end_all", changes.end_all(self.clock.now))

    def halt(self, reason: str) -> bool:
        return self._do("halt", changes.halt(reason, self.clock.now))

    def resume(self) -> bool:
        return self._do("resume", changes.resume())

    def switch(self, *, on: bool) -> bool:
        about = WorldChange(revision=0, at=self.clock.now, actor="test")
        document = {"flags": {FLAG: on}}
        return self._do("world", changes.change_world(document, World(), World.model_validate, about))

    def _do(self, action: str, change: Change, name: str | None = None) -> bool:
        entry = AuditEntry(at=self.clock.now, actor="test", action=action, fault=name)
        try:
            asyncio.run(self.store.apply(change, entry))
        except ChaosError:
            return False
        return True

    def request(self) -> None:
        self.engine.roll({"method": "GET", "headers": []}, "/a", "r")

    def seen(self) -> Seen:
        state = self.engine.state
        entries = asyncio.run(self.store.audit(1000))
        return Seen(
            state.revision,
            {each.name: each.phase(self.clock.now) for each in state.faults},
            {each.name: self.engine.counts_of(each).matched for each in state.faults},
            {each.name: self.engine.counts_of(each).skipped[SPARED] for each in state.faults},
            state.world.flags[FLAG],
            [(each.revision, each.action, each.fault) for each in reversed(entries)],
        )

    def close(self) -> None:
        """Do nothing."""


class Http:
    """A whole service, used through its HTTP API only."""

    def __init__(self, clock: Clock) -> None:
        app = create_app(Settings(access_log=False), clock, steady=clock)
        self.client = TestClient(app, base_url="http://localhost").__enter__()

    def create(self, spec: Fault) -> bool:
        return self._do("POST", "faults", spec.model_dump(mode="json"))

    def replace(self, spec: Fault) -> bool:
        return self._do("PUT", f"faults/{spec.name}", spec.model_dump(mode="json"))

    def patch(self, name: str, document: dict[str, Any]) -> bool:
        return self._do("PATCH", f"faults/{name}", document)

    def end(self, name: str) -> bool:
        return self._do("DELETE", f"faults/{name}")

    def end_all(self) -> bool:
        return self._do("DELETE", "faults")

    def halt(self, reason: str) -> bool:
        return self._do("POST", "halt", {"reason": reason})

    def resume(self) -> bool:
        return self._do("DELETE", "halt")

    def switch(self, *, on: bool) -> bool:
        return self._do("PATCH", "world", {"flags": {FLAG: on}})

    def _do(self, method: str, path: str, body: Any = None) -> bool:
        answer = self.client.request(method, f"/admin/{path}", json=body)
        assert answer.status_code in {200, 201, 404, 409, 422}, answer.text
        return answer.is_success

    def request(self) -> None:
        self.client.get("/api/products")

    def seen(self) -> Seen:
        known = self.client.get("/admin/faults").json()
        entries = self.client.get("/admin/audit?limit=1000").json()["entries"]
        return Seen(
            known["revision"],
            {each["name"]: each["state"] for each in known["faults"]},
            {each["name"]: each["receipt"]["matched"] for each in known["faults"]},
            {each["name"]: each["receipt"]["spared"] for each in known["faults"]},
            self.client.get("/admin/world").json()["flags"][FLAG],
            [(each["revision"], each["action"], each["fault"]) for each in reversed(entries)],
        )

    def close(self) -> None:
        self.client.__exit__()
