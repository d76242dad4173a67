"""The store for several machines; needs the extra `redis`."""

from chaosapi.store.redis.store import RedisStore

__all__ = ["RedisStore"]
