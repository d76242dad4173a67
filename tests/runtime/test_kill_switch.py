"""The kill switch with a failing store."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.state import Action, Applied, AuditEntry, Halt, State
from chaosapi.injection.engine import Engine
from chaosapi.routes import Route
from chaosapi.routing import RouteTable
from chaosapi.runtime import kill_flags
from chaosapi.runtime.kill_flags import KillFlags
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.store import MemoryStore
from tests.conftest import Clock
from tests.patience import patience
from tests.store.conftest import a_fault, an_entry, until

ROUTES = RouteTable.of([Route("/a")])
REQUEST = {"method": "GET", "headers": []}


class Failing(MemoryStore):
    """A store whose changes fail with `fails`, or never return while `stands`."""

    fails: Exception | None = None
    stands = False

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        await self._trouble()
        return await super().apply(change, entry)

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        if not isinstance(self.fails, StoreUnreadable):
            await self._trouble()
        self.fails = None
        return await super().reset(entry, halt)

    async def _trouble(self) -> None:
        if self.stands:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails


class Service:
    """A replica: a store, an engine and a kill switch."""

    def __init__(self, clock: Clock, store: Failing, shared: KillFlags | None = None) -> None:
        self.clock = clock
        self.store = store
        self.engine = Engine(ROUTES, clock)
        self.kill = KillSwitch(store, self.engine, self.engine.load, shared)
        store.subscribe(self.kill.apply_stored)

    def entry(self, action: Action = "end_all", reason: str = "") -> AuditEntry:
        return AuditEntry(at=self.clock.now, actor="me", action=action, reason=reason)

    async def inject(self, name: str) -> None:
        await self.store.apply(changes.create(a_fault(name), self.clock.now), an_entry())

    def hits(self) -> bool:
        return bool(self.engine.roll(REQUEST, "/a", "r"))


def play(clock: Clock, scenario: Callable[[Service], Awaitable[None]]) -> None:
    """Run the scenario with a service that fails every request."""

    async def played() -> None:
        service = Service(clock, Failing(clock))
        service.kill.start()
        await service.inject("a")
        assert service.hits()
        try:
            await scenario(service)
        finally:
            service.store.stands = False
            await service.kill.close()

    asyncio.run(asyncio.wait_for(played(), patience(30)))


def away(service: Service) -> None:
    """Let the store refuse all changes."""
    service.store.fails = StoreUnavailable("gone")


def standing(service: Service) -> None:
    """Let the store never answer."""
    service.store.stands = True


@pytest.mark.parametrize("trouble", [away, standing])
def test_without_the_store_faults_end_here_and_the_stop_is_stored_later(
    clock: Clock, trouble: Callable[[Service], None]
) -> None:
    """The response says `stored: false`; meanwhile changes are refused, and the store's faults stay ended here."""

    async def scenario(service: Service) -> None:
        trouble(service)
        done = await service.kill.end_all(service.entry(reason="enough"))
        assert (done.ended, done.stored) == (1, False)
        assert not service.hits()
        assert service.engine.state.live(clock.now) == []
        with pytest.raises(StoreUnavailable, match="does not have that yet"):
            await service.kill.wait_until_stored()
        if service.store.fails:
            service.store.fails = None
            await until(lambda: service.store._snapshot.state.revision == 2, "it is stored")  # noqa: SLF001 - what the store holds, without its API
            await service.kill.wait_until_stored()
            assert [entry.reason for entry in await service.store.audit(10)] == ["enough", ""]
            await service.inject("b")
            assert service.hits()

    play(clock, scenario)


def test_a_newer_state_does_not_revive_faults_before_the_stop_is_stored(clock: Clock) -> None:
    """Until the stop is stored; a fault that another replica created after the call acts."""

    async def scenario(service: Service) -> None:
        away(service)
        await service.kill.end_all(service.entry())
        service.store.fails = None
        earlier = clock.now - 1
        clock.now += 1
        state = State(revision=9)
        for name, made in (("unheard", earlier), ("a", earlier)):
            state = changes.create(a_fault(name), made)(state)
        service.kill.apply_stored(state)
        assert not service.hits()
        service.kill.apply_stored(changes.create(a_fault("later"), clock.now)(state))
        assert service.hits()
        await service.kill.wait_until_stored()
        assert [record.name for record in service.store._snapshot.state.live(clock.now)] == []  # noqa: SLF001 - what the store holds, without its API

    play(clock, scenario)


def test_an_unreadable_state_is_overwritten(clock: Clock) -> None:
    """At once, and the response says `stored: true`; a known halt stays."""

    async def scenario(service: Service) -> None:
        await service.kill.halt(service.entry("halt", "incident"))
        service.store.fails = StoreUnreadable("garbage")
        done = await service.kill.end_all(service.entry())
        assert done.stored
        assert done.state.faults == ()
        assert done.state.halt == Halt(since=clock.now, reason="incident")

    play(clock, scenario)


def test_a_halt_without_a_store_refuses_new_faults_here(clock: Clock) -> None:
    """It is shown as a halt, and is stored when the store is back."""

    async def scenario(service: Service) -> None:
        away(service)
        done = await service.kill.halt(service.entry("halt", "incident"))
        assert not done.stored
        assert service.engine.state.halt == Halt(since=clock.now, reason="incident")
        await service.kill.end_all(service.entry())
        assert service.engine.state.halt == Halt(since=clock.now, reason="incident"), "a later call does not lift it"
        service.store.fails = None
        await until(lambda: service.store._snapshot.state.halt, "it is stored")  # noqa: SLF001 - what the store holds, without its API

    play(clock, scenario)


def test_a_flood_without_a_store_is_bounded_and_keeps_the_halt(clock: Clock) -> None:
    """Each call includes the earlier ones."""

    async def scenario(service: Service) -> None:
        away(service)
        calls = [service.kill.halt(service.entry("halt", "incident"))]
        calls += [service.kill.end_all(service.entry()) for _ in range(300)]
        assert not any(done.stored for done in await asyncio.gather(*calls))
        service.store.fails = None
        await until(lambda: service.store._snapshot.state.halt, "it is stored")  # noqa: SLF001 - what the store holds, without its API
        await service.kill.wait_until_stored()

    play(clock, scenario)


def test_a_fault_from_the_future_of_the_clock_ends_too(clock: Clock) -> None:
    """The clock was stepped back after the fault was created."""

    async def scenario(service: Service) -> None:
        clock.now -= 3600
        away(service)
        assert (await service.kill.end_all(service.entry())).ended == 1
        clock.now += 3600
        assert not service.hits()

    play(clock, scenario)


def test_all_workers_end_theirs_without_a_store(clock: Clock) -> None:
    """One worker is called while the store is down; a worker that starts later ends its faults too, and stores it."""

    async def scenario() -> None:
        with kill_flags.shared_memory() as file:
            store = Failing(clock)
            one, other = (Service(clock, store, KillFlags.attach(file, slot)) for slot in (0, 1))
            for service in (one, other):
                service.kill.start()
            await one.inject("a")
            assert one.hits()
            assert other.hits()
            away(one)
            await one.kill.halt(one.entry("halt", "incident"))
            assert not one.hits()
            await until(lambda: not other.hits(), "the other worker ends it")
            await until(lambda: other.engine.state.halt, "it shows the halt")
            with pytest.raises(StoreUnavailable):
                await other.kill.wait_until_stored()
            await one.kill.close()
            heir = Service(clock, store, KillFlags.attach(file, 0))
            heir.kill.start()
            assert not heir.hits()
            store.fails = None
            await until(lambda: store._snapshot.state.halt, "the heir stores it")  # noqa: SLF001 - what the store holds, without its API
            await heir.kill.wait_until_stored()
            await other.kill.wait_until_stored()
            for service in (other, heir):
                await service.kill.close()

    asyncio.run(asyncio.wait_for(scenario(), patience(30)))
