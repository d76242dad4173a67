"""Every due request is in the statistics, whatever its outcome."""

import re
from pathlib import Path

import pytest

from tests.loadtests.processes import locust, statistics
from tests.loadtests.service import fault

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["garbage", "bits", "json"])
def test_an_unparsable_response_is_counted(service: str, tmp_path: Path, mode: str) -> None:
    """A purchase whose receipt is damaged is a failed request that may be tried again, and none gets lost."""
    with fault(service, {"type": "corrupt", "mode": mode}, routes=["/api/checkout"]):
        sale = ("--scenario", "flash-sale", "--rate", "10", "--duration", "2s", "--retries", "naive")
        run = locust(*sale, host=service, stats=tmp_path / "s")
    assert "Traceback" not in run.stderr
    found = re.search(r"([\d,]+) requests were due and (\d+) missed.*; (\d+) retries", run.stderr)
    assert found, run.stderr
    planned, missed, retries = (int(number.replace(",", "")) for number in found.groups())
    entries = {entry["name"]: entry for entry in statistics(tmp_path / "s.json") if entry["method"] != "MISSED"}
    assert sum(entry["num_requests"] for entry in entries.values()) == planned - missed + retries
    assert retries > 0
    assert entries["/api/checkout"]["num_failures"] > 0


def test_errors_are_named_by_their_kind() -> None:
    """Not by their URL: thousands of carts that time out are one line of Locust's table, and not thousands."""
    run = locust("--scenario", "steady", "--rate", "40", "--duration", "1s", host="http://127.0.0.1:9")
    table = run.stderr.partition("Error report")[2]
    (named,) = re.findall(r"POST /api/cart/\{cart_id\}/items: (.*)", table)
    assert named.startswith("ConnectionRefusedError")
    assert "http" not in table
