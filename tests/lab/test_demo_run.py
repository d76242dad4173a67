from chaosapi.clients.answers import Receipt
from chaosapi.lab.demo_run import share_of_failures


def test_the_share_of_failures_has_its_expected_range() -> None:
    """23.5 % beside a requested 20 % is chance, and the line says so."""
    receipt = Receipt(
        matched=520,
        injected=122,
        spared=0,
        skipped=0,
        requested_rate=0.2,
        achieved_rate=0.234615,
        delay=None,
        replicas={"applied": 1, "known": 1},
        denied=[],
        by_replica=[],
    )
    assert share_of_failures(receipt) == (
        "122 of 520 requests failed: 23.5%; requested 20%, expected range 16.5% to 23.5% (in 95% of runs)"
    )
