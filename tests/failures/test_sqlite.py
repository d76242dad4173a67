"""Services on one SQLite file, killed at any time: each acknowledged change is there, once."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.failures.ledger import HARMLESS, Ledger
from tests.failures.world import until
from tests.patience import patience
from tests.planes import Planes, started

pytestmark = pytest.mark.slow

KILLS = 8


@contextmanager
def changing(ledger: Ledger, planes: Planes, writers: int) -> Iterator[None]:
    """Make changes from several threads until the service ends or the block ends."""
    over = threading.Event()

    def write(name: str) -> None:
        with httpx2.Client(timeout=patience(60)) as client:
            while not over.is_set() and ledger.put(client, planes.admin, {**HARMLESS, "name": name}):
                pass

    threads = [threading.Thread(target=write, args=[f"{planes.process.pid}-{number}"]) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def wait_for(ledger: Ledger, changes: int) -> None:
    """Wait until more changes are made."""
    enough = ledger.made + changes
    until(lambda: ledger.made >= enough, "changes are made")


def test_services_that_are_killed_while_they_change(tmp_path: Path) -> None:
    """Repeatedly, while another service makes changes too, which is killed at the end."""
    chance = random.Random(5)
    ledger = Ledger()
    file = tmp_path / "faults.db"
    with ExitStack() as stack:

        def start(number: int) -> Planes:
            settings = {"CHAOSAPI_STORE": f"sqlite:///{file}"}
            return stack.enter_context(started(tmp_path / f"{number}.log", apart=False, **settings))

        survivor = start(0)
        client = stack.enter_context(httpx2.Client(timeout=patience(60)))
        for number in range(KILLS):
            last = number == KILLS - 1
            victim = survivor if last else start(number + 1)
            with changing(ledger, survivor, 1), changing(ledger, victim, 2):
                wait_for(ledger, chance.randrange(1, 60))
                victim.process.kill()
            if not last:
                ledger.check(client.get(f"{survivor.admin}/admin/audit?limit=10000").json()["entries"])
        heir = start(KILLS)
        ledger.check(client.get(f"{heir.admin}/admin/audit?limit=10000").json()["entries"])
        assert ledger.put(client, heir.admin)
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
