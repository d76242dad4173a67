"""Several replicas in one process: stores and heartbeats, and a fault whose counts always change."""

import asyncio
import sys
from contextlib import AsyncExitStack

import uvloop

from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Counts
from chaosapi.faults.state import State
from chaosapi.runtime.heartbeat import Heartbeat
from chaosapi.store import Replica, Store, store_from_url


class Simulated:
    """The part of a replica that uses the store."""

    def __init__(self, url: str, name: str) -> None:
        self.store: Store = store_from_url(url)
        self._state = State()
        self._tally = Counts()
        me = Replica(id=name, host="simulated", pid=0, started=0.0)
        self.heart = Heartbeat(self.store, me, lambda: self._state.revision, self._counted)
        self.store.subscribe(self._apply)

    def _apply(self, state: State) -> None:
        self._state = state
        self.heart.report_soon()

    def _counted(self) -> list[tuple[Record, Counts]]:
        self._tally.matched += 1
        self._tally.record_delay(0.001 * self._tally.matched, 0.001 * self._tally.matched)
        return [(record, self._tally) for record in self._state.faults]


async def run(url: str, prefix: str, count: str) -> None:
    """Run `count` replicas until standard input ends."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    replicas = [Simulated(url, f"{prefix}-{number}") for number in range(int(count))]
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await replica.store.start()
            stack.push_async_callback(replica.store.close)
        beating = [asyncio.create_task(replica.heart.run()) for replica in replicas]
        await over.wait()
        for task in beating:
            task.cancel()
        await asyncio.gather(*beating, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
