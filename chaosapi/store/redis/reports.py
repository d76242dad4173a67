"""What the replicas say of themselves."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from redis.asyncio import Redis

from chaosapi.errors import StoreUnreadable
from chaosapi.store.codec import read_valid, write
from chaosapi.store.redis.errors import translate_errors
from chaosapi.store.replica import Replica

_TALLY_TTL_S: Final = 7 * 86400
"""Seconds: whoever has not heard yet that a fault is forgotten may report it once more, and nobody deletes that."""


class Reports:
    """Signs of life in one hash, tallies in one hash a fault: `key` names them."""

    def __init__(self, client: Redis, key: Callable[..., str], now: Callable[[], float]) -> None:
        self._client, self._key, self.now = client, key, now

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Note a sign of life, or that the replica leaves, and what its faults did."""
        seen = replica.model_copy(update={"seen": self.now()})
        try:
            await self._write(seen, tallies, leaving=leaving)
        except StoreUnreadable:  # something else stands in their place, and signs of life are soon given again
            async with translate_errors():
                await self._client.delete(self._key("replicas"), *(self._key("tally", fault) for fault in tallies))
            raise

    async def _write(self, seen: Replica, tallies: Mapping[str, str], *, leaving: bool) -> None:
        async with translate_errors(), self._client.pipeline(transaction=False) as pipe:
            for fault, text in tallies.items():
                pipe.hset(self._key("tally", fault), seen.id, text)
                pipe.expire(self._key("tally", fault), _TALLY_TTL_S)
            # At last: whoever sees how far the replica is finds its tallies.
            if leaving:
                pipe.hdel(self._key("replicas"), seen.id)
            else:
                pipe.hset(self._key("replicas"), seen.id, write(seen))
            await pipe.execute()

    async def replicas(self) -> list[Replica]:
        """Return those that gave a sign of life lately, and forget the others."""
        async with translate_errors():
            known = await self._client.hgetall(self._key("replicas"))
            replicas = read_valid(Replica, (str(known[name]) for name in sorted(known)))
            alive = [replica for replica in replicas if replica.is_alive(self.now())]
            gone = set(known).difference(replica.id for replica in alive)
            if gone:
                await self._client.hdel(self._key("replicas"), *gone)
        return [replica for replica in alive if replica.id in known]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        """Return what the replicas reported."""
        async with translate_errors(), self._client.pipeline(transaction=False) as pipe:
            for fault in faults:
                pipe.hgetall(self._key("tally", fault))
            answers = await pipe.execute(raise_on_error=False)
        return {
            fault: answer if isinstance(answer, dict) else {} for fault, answer in zip(faults, answers, strict=True)
        }
