"""The troubles of failure runs: each is a context manager that breaks a stand, and repairs it on exit."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

import psutil
import redis

from fuzz import matrix
from fuzz.stand import Replica, Stand
from tests.failures.networks import CUTS
from tests.processes import freeze

Trouble = Callable[[Stand, Random], AbstractContextManager[None]]


@contextmanager
def frozen(stand: Stand, dice: Random) -> Iterator[None]:
    """Stop all processes of a replica, or one of its workers."""
    replica = dice.choice(stand.replicas)
    workers = replica.workers()
    victims = [dice.choice(workers)] if workers else replica.service.family()
    with _absent(replica):
        try:
            freeze(victims)
            yield
        finally:
            for victim in victims:
                with suppress(psutil.NoSuchProcess):
                    victim.send_signal(signal.SIGCONT)


@contextmanager
def killed(stand: Stand, dice: Random) -> Iterator[None]:
    """Kill a replica, and start it again on its ports."""
    replica = dice.choice(stand.replicas)
    with _absent(replica):
        stand.kill(replica)
        try:
            yield
        finally:
            stand.restart(replica)


@contextmanager
def worker_killed(stand: Stand, dice: Random) -> Iterator[None]:
    """Kill one worker; its parent starts another."""
    replica = stand.replicas[0]
    with _absent(replica):
        with suppress(psutil.NoSuchProcess):
            dice.choice(replica.workers()).kill()
        yield
        deadline = time.monotonic() + 20
        while len(replica.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)


@contextmanager
def clock_turned(stand: Stand, dice: Random) -> Iterator[None]:
    """Step a replica's clock, and step it back."""
    replica = dice.choice(stand.replicas)
    replica.turn(dice.choice((-3600.0, -10.0, 10.0, 3600.0)))
    try:
        yield
    finally:
        replica.turn(0.0)


@contextmanager
def output_stalled(stand: Stand, dice: Random) -> Iterator[None]:
    """Stop reading a replica's output while it writes many lines."""
    replica = dice.choice(stand.replicas)
    replica.reader.send_signal(signal.SIGSTOP)
    try:
        with matrix.flooded(stand, connections=4, seconds=0.7, number=replica.number):
            yield
    finally:
        replica.reader.send_signal(signal.SIGCONT)


@contextmanager
def disk_full(stand: Stand, _: Random) -> Iterator[None]:
    """Fill the disk; take all memory from Redis."""
    with stand.full_disk():
        yield


@contextmanager
def redis_flushed(stand: Stand, dice: Random) -> Iterator[None]:
    """Flush Redis, once or five times."""
    for _ in range(dice.choice((1, 1, 5))):
        with stand.redis_client() as client:
            client.flushall()
        time.sleep(0.05)
    yield


@contextmanager
def redis_killed(stand: Stand, _: Random) -> Iterator[None]:
    """Kill Redis, and start it with its data."""
    assert stand.redis
    stand.redis.kill()
    try:
        yield
    finally:
        stand.start_redis()


@contextmanager
def redis_emptied(stand: Stand, _: Random) -> Iterator[None]:
    """Kill Redis, and start it without data."""
    assert stand.redis
    stand.redis.kill()
    try:
        yield
    finally:
        for each in stand.redis_folder.glob("appendonly*"):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        stand.start_redis()


@contextmanager
def redis_restored(stand: Stand, _: Random) -> Iterator[None]:
    """Restore Redis to its content at the start of the trouble."""
    with stand.redis_client() as client:
        held = {key: client.dump(key) for key in client.scan_iter()}
    try:
        yield
    finally:
        with suppress(redis.RedisError), stand.redis_client() as client:
            pipe = client.pipeline(transaction=True)
            pipe.flushall()
            for key, value in held.items():
                if value is not None:
                    pipe.restore(key, 0, value)
            pipe.execute()


@contextmanager
def redis_stopped(stand: Stand, _: Random) -> Iterator[None]:
    """Freeze Redis (SIGSTOP): it accepts connections and never replies."""
    assert stand.redis
    stand.redis.stop()
    try:
        yield
    finally:
        stand.redis.resume()


@contextmanager
def partitioned(stand: Stand, dice: Random) -> Iterator[None]:
    """Cut a replica off from Redis, in one of three ways."""
    link = dice.choice(stand.replicas).link
    assert link
    with link.cut(dice.choice(CUTS)):
        yield


@contextmanager
def _absent(replica: Replica) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        replica.away.append((begun, time.monotonic()))


@dataclass(frozen=True)
class Kind:
    """A trouble, the stands on which it can happen, and the checks that it rules out."""

    act: Trouble
    stores: tuple[str, ...] = ("memory", "workers", "sqlite", "redis")
    networks: bool = False
    forgets: tuple[str, ...] = ()
    """Stores whose audit does not survive the trouble."""
    alone: bool = False
    """Whether the trouble comes alone: together with another, nothing could be checked."""
    touches: str = ""
    """The part that breaks; two troubles at once break different parts."""


TROUBLES: Final[Mapping[str, Kind]] = {
    "frozen": Kind(frozen, touches="replica"),
    "killed": Kind(killed, forgets=("memory", "workers"), touches="replica"),
    "worker killed": Kind(worker_killed, ("workers",), touches="replica"),
    "clock stepped": Kind(clock_turned, alone=True),
    "output stalled": Kind(output_stalled),
    "disk full": Kind(disk_full, touches="store"),
    "Redis flushed": Kind(redis_flushed, ("redis",), touches="store"),
    "Redis killed": Kind(redis_killed, ("redis",), touches="store"),
    "Redis emptied": Kind(redis_emptied, ("redis",), alone=True),
    "Redis restored": Kind(redis_restored, ("redis",), alone=True),
    "Redis stopped": Kind(redis_stopped, ("redis",), touches="store"),
    "partitioned": Kind(partitioned, ("redis",), networks=True),
}


def possible(stand: Stand) -> list[str]:
    """Return the names of the troubles that can happen to a stand."""
    return [
        name for name, kind in TROUBLES.items() if stand.store in kind.stores and (stand.network or not kind.networks)
    ]
