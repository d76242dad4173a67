"""The dice are deterministic and uniform: each test below has a false alarm in one of a million runs at most."""

from scipy import stats

from chaosapi.faults.dice import Dice

KEYS = [f"request-{number}" for number in range(100_000)]


def test_the_same_seed_fault_and_key_always_give_the_same_numbers() -> None:
    """Known values: a change of the hash function would change every replay."""
    dice = Dice.of(7, "checkout-errors")
    assert (dice.hit("r-1"), dice.draw("r-1")) == (0.733982415267698, 0.9168916128549885)


def test_hits_and_draws_are_uniform() -> None:
    """A chi-squared test over 100 bins of 100,000 sequential keys; alarm at one in a million."""
    dice = Dice.of(0, "a")
    for roll in (dice.hit, dice.draw):
        bins = [0] * 100
        for key in KEYS:
            bins[int(roll(key) * 100)] += 1
        assert stats.chisquare(bins).pvalue > 1e-6


def test_faults_seeds_and_purposes_are_independent() -> None:
    """Hits at 30 % of two dice are independent in a 2×2 table; alarm at one in a million."""
    reference = Dice.of(0, "a").hit
    for other in (Dice.of(0, "b").hit, Dice.of(1, "a").hit, Dice.of(0, "a").draw, Dice.of(2**64 - 1, "a").hit):
        table = [[0, 0], [0, 0]]
        for key in KEYS:
            table[reference(key) < 0.3][other(key) < 0.3] += 1
        assert stats.chi2_contingency(table).pvalue > 1e-6


def test_raising_the_rate_keeps_the_hit_requests() -> None:
    """The requests hit at 5 % are a subset of those hit at 10 %."""
    dice = Dice.of(0, "a")
    five = {key for key in KEYS if dice.hit(key) < 0.05}
    ten = {key for key in KEYS if dice.hit(key) < 0.10}
    assert five < ten


def test_numbers_stay_below_one() -> None:
    """The largest hash must not round up to 1: a rate of 1 must hit every request."""
    assert max(Dice.of(0, "a").hit(key) for key in KEYS) < 1
    assert ((2**64 - 1) >> 11) * 2.0**-53 < 1
