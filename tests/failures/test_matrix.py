"""The kill switch against every trouble, on every store and port; `python -m fuzz.matrix` measures how fast it is."""

import sys
from collections.abc import Iterator

import pytest

from fuzz import matrix
from fuzz.stand import STORES, Stand
from tests.patience import patience

pytestmark = pytest.mark.slow

PORTS = ("own", "shared")
BOUND = 20_000.0
"""Milliseconds: a busy machine must not fail this; a kill switch that waits for something does."""


@pytest.fixture(scope="module", params=[(store, port) for store in STORES for port in PORTS], ids="-".join)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Give a service on one store with the control plane on one of the ports."""
    store, port = request.param
    with matrix.stands(sys.executable, store, apart=port == "own") as stand:
        yield stand


@pytest.mark.parametrize("trouble", matrix.TROUBLES)
def test_the_kill_switch_ends_everything(stand: Stand, trouble: str) -> None:
    """It answers 200, frees the users of who answered at once, and those of all others once the trouble is over."""
    if not matrix.applies(trouble, stand.store):
        pytest.skip("there is no such trouble with this store")
    cell = matrix.measure(stand, trouble)
    assert cell.status == 200
    assert cell.took < patience(BOUND)
    assert cell.freed is not None, "users of the replica that answered were not served"
    assert cell.everywhere is not None, "users of another replica were not served after the trouble"
