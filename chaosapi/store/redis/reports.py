"""Heartbeats and tallies of the replicas in Redis."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from redis.asyncio import Redis

from chaosapi.errors import StoreUnreadable
from chaosapi.store.codec import read_valid, write
from chaosapi.store.redis.errors import translate_errors
from chaosapi.store.replica import Replica

_TALLY_TTL_S: Final = 7 * 86400
"""A late replica may report a fault once more after its tallies were deleted; only this TTL removes that report."""


class Reports:
    """Keeps heartbeats in one hash, and the tallies of each fault in a hash; `key` makes the names of the keys."""

    def __init__(self, client: Redis, key: Callable[..., str], now: Callable[[], float]) -> None:
        self._client = client
        self._key = key
        self.now = now

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Write a heartbeat, or remove it, and write the tallies."""
        seen = replica.model_copy(update={"seen": self.now()})
        try:
            await self._write(seen, tallies, leaving=leaving)
        except StoreUnreadable:  # foreign data under our keys: delete it, the next heartbeat is due soon
            async with translate_errors():
                await self._client.delete(self._key("replicas"), *(self._key("tally", fault) for fault in tallies))
            raise

    async def _write(self, seen: Replica, tallies: Mapping[str, str], *, leaving: bool) -> None:
        async with translate_errors(), self._client.pipeline(transaction=False) as pipe:
            for fault, text in tallies.items():
                pipe.hset(self._key("tally", fault), seen.id, text)
                pipe.expire(self._key("tally", fault), _TALLY_TTL_S)
            # Write the revision last: a reader that sees it must find the tallies.
            if leaving:
                pipe.hdel(self._key("replicas"), seen.id)
            else:
                pipe.hset(self._key("replicas"), seen.id, write(seen))
            await pipe.execute()

    async def replicas(self) -> list[Replica]:
        """Return the replicas with a recent heartbeat, and delete the others."""
        async with translate_errors():
            known = await self._client.hgetall(self._key("replicas"))
            replicas = read_valid(Replica, (str(known[name]) for name in sorted(known)))
            alive = [replica for replica in replicas if replica.is_alive(self.now())]
            dead = set(known).difference(replica.id for replica in alive)
            if dead:
                await self._client.hdel(self._key("replicas"), *dead)
        return [replica for replica in alive if replica.id in known]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        async with translate_errors(), self._client.pipeline(transaction=False) as pipe:
            for fault in faults:
                pipe.hgetall(self._key("tally", fault))
            answers = await pipe.execute(raise_on_error=False)
        return {
            fault: answer if isinstance(answer, dict) else {} for fault, answer in zip(faults, answers, strict=True)
        }
