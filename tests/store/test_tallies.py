import numpy as np
import pytest

from chaosapi.faults.receipt import Counts
from chaosapi.store.tallies import dump_counts, is_readable, sum_counts


def test_merged_tallies_equal_the_counts_of_a_single_replica() -> None:
    """Exactly, sketches included, after a round trip through JSON; seeded."""
    delays = np.random.default_rng(7).lognormal(-2, 1.5, 3000).tolist() + [0.0] * 5
    one = Counts()
    parts = [Counts(), Counts(), Counts()]
    for index, delay in enumerate(delays):
        for tally in (one, parts[index % 3]):
            tally.matched += 2
            tally.expected += 0.5
            tally.injected += 1
            tally.skipped["max_held"] += index % 2
            tally.record_delay(delay, delay * 1.01)
    whole = sum_counts(tuple(map(dump_counts, parts)))
    assert whole.receipt(1) == one.receipt(1)
    assert whole.delays
    assert one.delays
    shares = np.linspace(0, 1, 101).tolist()
    assert whole.delays.planned.quantiles(shares) == one.delays.planned.quantiles(shares)


def test_tallies_of_earlier_releases_are_read() -> None:
    """Earlier releases wrote 2.0 where 2 is written now; this is their text, byte for byte."""
    text = (
        '{"matched":7,"expected":6.5,"injected":6,"skipped":{"max_held":1},"delays":'
        '{"planned":{"gamma":1.0040080160320641,"zeros":1.0,"bins":{"-346":2.0,"174":3.0}},'
        '"measured":{"gamma":1.0040080160320641,"zeros":0.0,"bins":{"-345":3.0,"175":3.0}}}}'
    )
    assert is_readable(text)
    twice = sum_counts((text, text))
    assert (twice.matched, twice.injected, twice.skipped["max_held"]) == (14, 12, 2)
    receipt = twice.receipt(1)
    assert receipt.delay
    assert receipt.delay.planned.p50 == pytest.approx(0.25, rel=0.002)
    assert receipt.delay.measured.p99 == pytest.approx(2.01, rel=0.002)
    assert '"-346":4' in dump_counts(twice)


def test_no_tallies_merge_to_zero_counts() -> None:
    """A fault that matched no request."""
    assert sum_counts(()).receipt(0.5) == sum_counts((dump_counts(Counts()),)).receipt(0.5) == Counts().receipt(0.5)


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_malformed_tally_is_refused(text: str) -> None:
    """It is not counted as zero."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        sum_counts((text,))


def test_a_malformed_tally_is_detected() -> None:
    """Also one whose merge would take all memory."""
    tally = Counts(matched=3, expected=1.5, injected=1, denied="CHAOSAPI_MAX_RATE")
    tally.skipped["max_held"] += 1
    for delay in (0.0, 1e-9, 0.25, 86400.0 * 365):
        tally.record_delay(delay, delay)
    text = dump_counts(tally)
    assert is_readable(text)
    assert is_readable(dump_counts(Counts()))
    far = text.replace('"bins":{', '"bins":{"1000000000":1,')
    assert far != text
    for garbage in (
        "",
        "{}",
        "[]",
        "5",
        far,
        text.replace("1.5", "-1"),
        text.replace('"gamma":1', '"gamma":2'),
        text[:-9],
    ):
        assert not is_readable(garbage)
