"""Clients, receipts and metrics agree on every count, whichever worker answers."""

from pathlib import Path

import pytest

from fuzz.counts import APP, FAULTS, campaign
from tests.servers import serving

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("server", ["uvicorn", "uvicorn-h11", "gunicorn"])
def test_clients_receipts_and_metrics_agree(server: str, tmp_path: Path) -> None:
    """With mixed faults, HEAD, pipelining and clients that leave; `python -m fuzz.counts` sends more."""
    with serving(server, APP, tmp_path, workers=2) as served:
        counts, wrong = campaign(served, requests=2000, seed=7)
    assert wrong == []
    assert counts.answers.total() >= 2000
    assert counts.hits.keys() == FAULTS.keys()
