"""What the replicas say of themselves."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from redis.asyncio import Redis

from chaosapi.store.codec import read, write
from chaosapi.store.redis.reach import reaching
from chaosapi.store.replica import Replica

_KEPT: Final = 7 * 86400
"""Seconds: whoever has not heard yet that a fault is forgotten may report it once more, and nobody deletes that."""


class Reports:
    """Signs of life in one hash, tallies in one hash a fault: `key` names them."""

    def __init__(self, client: Redis, key: Callable[..., str], now: Callable[[], float]) -> None:
        self._client, self._key, self.now = client, key, now

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Note a sign of life, or that the replica leaves, and what its faults did."""
        seen = replica.model_copy(update={"seen": self.now()})
        async with reaching(), self._client.pipeline(transaction=False) as pipe:
            for fault, text in tallies.items():
                pipe.hset(self._key("tally", fault), seen.id, text)
                pipe.expire(self._key("tally", fault), _KEPT)
            # At last: whoever sees how far the replica is finds its tallies.
            if leaving:
                pipe.hdel(self._key("replicas"), seen.id)
            else:
                pipe.hset(self._key("replicas"), seen.id, write(seen))
            await pipe.execute()

    async def replicas(self) -> list[Replica]:
        """Return those that gave a sign of life lately, and forget the others."""
        async with reaching():
            known = await self._client.hgetall(self._key("replicas"))
            replicas = [read(Replica, str(known[name])) for name in sorted(known)]
            gone = [replica.id for replica in replicas if not replica.alive(self.now())]
            if gone:
                await self._client.hdel(self._key("replicas"), *gone)
        return [replica for replica in replicas if replica.id not in gone]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        """Return what the replicas reported."""
        async with reaching(), self._client.pipeline(transaction=False) as pipe:
            for fault in faults:
                pipe.hgetall(self._key("tally", fault))
            return dict(zip(faults, await pipe.execute(), strict=True))
