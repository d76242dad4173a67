"""The kill switch under every trouble, on every store and port; `python -m fuzz.matrix` measures its latency."""

import sys
from collections.abc import Iterator

import pytest

from fuzz import matrix
from fuzz.stand import STORES, Stand
from tests.patience import patience

pytestmark = pytest.mark.slow

PORTS = ("own", "shared")
BOUND = 20_000.0
"""Milliseconds: enough for a busy machine, too short for a kill switch that waits for something."""


@pytest.fixture(scope="module", params=[(store, port) for store in STORES for port in PORTS], ids="-".join)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Yield a service on one store, with its own or a shared admin port."""
    store, port = request.param
    with matrix.stands(sys.executable, store, apart=port == "own") as stand:
        yield stand


@pytest.mark.parametrize("trouble", matrix.TROUBLES)
def test_the_kill_switch_ends_everything(stand: Stand, trouble: str) -> None:
    """It responds with 200, and frees the users of that replica at once, those of others after the trouble."""
    if not matrix.applies(trouble, stand.store):
        pytest.skip("there is no such trouble with this store")
    cell = matrix.measure(stand, trouble)
    assert cell.status == 200
    assert cell.took < patience(BOUND)
    assert cell.freed is not None, "users of the replica that answered were not served"
    assert cell.everywhere is not None, "users of another replica were not served after the trouble"
