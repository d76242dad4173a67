"""Troubles: each is a context manager that breaks something, and repairs it on exit."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.failures.world import World

Trouble = Callable[[World], AbstractContextManager[None]]


@contextmanager
def killed(world: World) -> Iterator[None]:
    """Redis is killed, and restarts with its data."""
    world.redis.kill()
    try:
        yield
    finally:
        world.start_redis()


@contextmanager
def emptied(world: World) -> Iterator[None]:
    """Redis is killed, and restarts without data."""
    world.redis.kill()
    try:
        yield
    finally:
        world.start_redis(empty=True)


@contextmanager
def paused(world: World) -> Iterator[None]:
    """Redis accepts connections and never replies."""
    world.redis.stop()
    try:
        yield
    finally:
        world.redis.resume()


@contextmanager
def full(world: World) -> Iterator[None]:
    """Redis refuses writes for lack of memory."""
    with world.redis_client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def deafened(world: World) -> Iterator[None]:
    """Disconnect the subscribers repeatedly."""
    over = threading.Event()

    def deafen() -> None:
        with world.redis_client() as client:
            while not over.is_set():
                client.client_kill_filter(_type="pubsub")

    thread = threading.Thread(target=deafen)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def cut(how: str) -> Trouble:
    """Cut the first replica off from Redis; `how` is one of `networks.CUTS`."""

    def cut(world: World) -> AbstractContextManager[None]:
        link = world.sites[0].link
        assert link
        return link.cut(how)

    return cut


def replica_killed(world: World) -> AbstractContextManager[None]:
    """Kill the second replica, and start it again."""
    return world.sites[1].absent()


AWAY: dict[str, Trouble] = {"killed": killed, "paused": paused, "full": full}
"""The store is away for all replicas."""
