"""The time until all replicas agree again after a failure of Redis or of the network to it.

Redis and three services are real processes. Each service has a network of its own, a clock that is up to 15 s wrong,
and users who never stop asking (tests/failures/world.py). Every trouble lasts a random while. Then the clock runs until
each replica reports that the store is up and has applied all acknowledged changes. The promise: within 2 s. Then all
invariants are checked. Network partitions need root; they are left out without it. About 40 s a round.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import _numbers
from rich.console import Console
from rich.table import Table

from tests.failures import networks, troubles
from tests.failures.world import World

GOAL = 2.0
TROUBLES = {
    "Redis killed and back": troubles.killed,
    "Redis paused and resumed": troubles.paused,
    "Redis back but empty": troubles.emptied,
    "Redis out of memory": troubles.full,
    **{f"one replica cut off, {how}": troubles.cut(how) for how in networks.CUTS},
    "subscribers cut off again and again": troubles.deafened,
    "one replica killed and started": troubles.replica_killed,
}


def measure(world: World, name: str, seconds: float) -> float:
    """Cause a trouble for some seconds; return the seconds until all replicas agree after it."""
    revision = world.ledger.revision
    with TROUBLES[name](world):
        until = time.monotonic() + seconds
        if "replica" in name or "subscribers" in name:
            world.put(world.sites[2])
            revision = world.ledger.revision
        elif TROUBLES[name] is troubles.emptied:
            revision += 1  # what heals it
        time.sleep(max(0.0, until - time.monotonic()))
    took = world.converge(revision)
    world.holds(revision)
    return took


def main() -> int:
    """Measure all troubles; return 1 if one misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=_numbers.count, default=10, help="how often each trouble comes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TROUBLES, action="append", help="only this trouble; may be repeated")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    if why := networks.missing():
        print(f"no network partitions: {why}")
    names = [name for name in arguments.only or TROUBLES if not (why and "cut off, " in name)]
    table = Table("trouble", "rounds", "p50, s", "max, s")
    late = False
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        world = World(Path(folder), stack, networks=not why)
        world.put(world.sites[0])
        for name in names:
            took = sorted(measure(world, name, chance.uniform(1, 4)) for _ in range(arguments.rounds))
            late |= took[-1] > GOAL
            print(f"{name}: " + " ".join(f"{seconds:.2f}" for seconds in took), flush=True)
            table.add_row(name, str(len(took)), f"{took[len(took) // 2]:.2f}", f"{took[-1]:.2f}")
    Console().print(table)
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
