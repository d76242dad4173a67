from tests.benchmarks.pure import module

rounds = module("_rounds")


def test_each_candidate_is_first_in_a_round() -> None:
    """The candidate after an expensive one differs each round, after all have been first."""
    assert [rounds.order("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
