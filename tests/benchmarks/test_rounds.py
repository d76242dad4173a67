from tests.benchmarks.pure import module

rounds = module("_rounds")


def test_each_begins_a_round_and_none_is_left_out() -> None:
    """Whoever comes after a hungry one is another one each round, once all had their turn as first."""
    assert [rounds.order("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
