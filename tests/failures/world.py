"""Redis and three replicas of the service, each with its own users, and the invariants under all troubles."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import redis

from tests.failures.ledger import HARMLESS, Ledger
from tests.failures.networks import Network
from tests.failures.site import Site, Visit
from tests.patience import patience
from tests.store.conftest import RedisServer

CLOCKS: Final = (0.0, -15.0, 15.0)
"""Errors of the replicas' clocks, in seconds."""
_SLACK: Final = 1.0
"""Seconds that a fault may end early or late."""


@dataclass
class Planned:
    """A fault that fails every request: when all had applied it, and between which moments it ends, Unix seconds."""

    name: str
    applied: float
    ends: float
    latest: float

    def end(self, at: float, latest: float = 0.0) -> None:
        """Set another end."""
        self.ends = at
        self.latest = latest or at


def until(condition: Callable[[], object], what: str) -> None:
    """Return once the condition holds; fails after 30 seconds."""
    deadline = time.monotonic() + patience(30)
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within 30 s"
        time.sleep(0.01)


class World:
    """Real processes, sockets and, if possible, networks."""

    def __init__(self, folder: Path, stack: ExitStack, *, networks: bool) -> None:
        self._folder = folder
        self._hub = None
        arguments = ["--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"]
        host = "127.0.0.1"
        if networks:
            network = Network(len(CLOCKS))
            stack.callback(network.close)
            self._hub = network.hub
            host = network.address
            arguments += ["--bind", host, "127.0.0.1"]
        with self._inside():
            self.redis = RedisServer(folder, *arguments)
        stack.callback(self.redis.kill)
        store = f"redis://{host}:{self.redis.port}/0"
        self.ledger = Ledger()
        self.planned: list[Planned] = []
        self._numbers = itertools.count(1)
        self.sites = []
        for number, off in enumerate(CLOCKS):
            site = Site(folder, number, store, off, network.links[number] if networks else None)
            stack.callback(site.close)
            self.sites.append(site)
            site.open()
        self.meet()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        with self._hub.entered() if self._hub else nullcontext():
            yield

    @contextmanager
    def redis_client(self) -> Iterator[redis.Redis]:
        """Yield a Redis client."""
        with self._inside(), redis.Redis(port=self.redis.port) as client:
            yield client

    def start_redis(self, *, empty: bool = False) -> None:
        if empty:
            for each in self._folder.glob("appendonly*"):
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        with self._inside():
            self.redis.start()

    def put(self, site: Site, fault: Mapping[str, Any] = HARMLESS, **how: Any) -> Any:
        """Change a fault through one of the replicas; return its response."""
        with site.inside():
            return self.ledger.put(site.client, site.planes.admin, fault, **how)

    def change_world(self, site: Site, **how: Any) -> Any:
        """Change the world through one of the replicas; return its response."""
        with site.inside():
            return self.ledger.change_world(site.client, site.planes.admin, **how)

    def inject(self, seconds: float) -> Planned:
        """Inject a fault that fails every request, on all replicas."""
        fault = {"effect": {"type": "error"}, "schedule": {"duration": seconds}, "name": f"f{next(self._numbers)}"}
        shown = self._everywhere(self.sites[0], fault)
        ends = datetime.fromisoformat(shown["ends_at"]).timestamp()
        self.planned.append(Planned(shown["name"], time.time(), ends, ends))
        return self.planned[-1]

    def _everywhere(self, site: Site, fault: Mapping[str, Any] = HARMLESS) -> Any:
        """Make a change with a wait for all replicas; return the fault."""
        answer = self.put(site, fault, wait="30s")
        assert answer.is_success, answer.text
        counted = answer.json()["receipt"]["replicas"]
        assert counted == {"applied": len(self.sites), "known": len(self.sites)}, f"not all: {counted}"
        return answer.json()

    def refuse(self, sites: Sequence[Site], *, deaf: bool = False) -> list[str]:
        """Send a fault and a change of the world to each replica; check that all are refused; return the reasons."""
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda site: self.put(site, deaf=deaf), sites))
            answers += pool.map(lambda site: self.change_world(site, deaf=deaf), sites)
        assert all(answer.status_code == 503 for answer in answers), f"not refused: {answers}"
        return [answer.json()["detail"] for answer in answers]

    def over(self, fault: Planned) -> None:
        """Wait until the users of every replica succeed after the fault's end."""
        until(
            lambda: all(visit.status == 200 and visit.sent > fault.latest for visit in self._latest()),
            f"{fault.name} ends",
        )

    def meet(self) -> None:
        """Wait until every replica has seen a heartbeat of every other."""
        since = time.time()
        until(lambda: all(site.seen(since) == len(self.sites) for site in self.sites), "all see all")

    def converge(self, revision: int) -> float:
        """Wait until every replica is up, with the store, at this revision or a later one; return the seconds."""
        started = time.monotonic()
        until(lambda: all(site.standing() >= (True, revision) for site in self.sites), f"revision {revision}")
        return time.monotonic() - started

    def holds(self, revision: int = 0) -> float:
        """Check all invariants after the recovery; return the seconds until the replicas agreed."""
        took = self.converge(revision or self.ledger.revision)
        self.meet()
        changed = self.change_world(self.sites[0], wait="30s").json()
        for site in self.sites:
            self._everywhere(site)
        assert changed["replicas"] == {"applied": len(self.sites), "known": len(self.sites)}
        assert [site.read("/admin/world") for site in self.sites] == [
            {name: value for name, value in changed.items() if name != "changed"}
        ] * len(self.sites), "somebody has another world"
        assert {site.revision for site in self.sites} == {self.ledger.revision}, "somebody has another revision"
        audits = [site.read("/admin/audit?limit=10000")["entries"] for site in self.sites]
        assert audits == [audits[0]] * len(self.sites), "somebody tells another audit"
        self.ledger.check(audits[0])
        self._check_visits()
        return took

    def _latest(self) -> list[Visit]:
        return [site.visits[-1] for site in self.sites]

    def _check_visits(self) -> None:
        """Check that users got exactly the faults, and that faults ended at the same time on all replicas."""
        for site in self.sites:
            assert not site.errors()
            wrong = [visit for visit in site.visits if not (self._meant(visit) or site.excused(visit))]
            assert not wrong, f"replica {site.clock_off:+g} s: {wrong[:5]} of {self.planned}"
        for fault in (fault for fault in self.planned if fault.ends == fault.latest):
            after, before = zip(*(_end(site.visits, fault) for site in self.sites), strict=True)
            assert max(after) - min(before) <= _SLACK, f"{fault} ended at different times: {after} {before}"

    def _meant(self, visit: Visit) -> bool:
        if visit.status == 200:
            return not any(
                fault.applied < visit.sent and visit.answered < fault.ends - _SLACK for fault in self.planned
            )
        return visit.status == 503 and any(
            visit.fault == fault.name and visit.sent < fault.latest + _SLACK for fault in self.planned
        )


def _end(visits: Sequence[Visit], fault: Planned) -> tuple[float, float]:
    """Return the interval of the fault's end here: from the last hit to the next success."""
    last = max((visit.sent for visit in visits if visit.fault == fault.name), default=fault.applied)
    return last, min(visit.answered for visit in visits if visit.sent > last and visit.status == 200)
