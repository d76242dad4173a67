from tests.benchmarks.pure import module

reaction = module("reaction")


def test_the_first_hit_stays_the_first_and_the_last_is_the_last() -> None:
    """For one fault; the next one resets them."""
    user = reaction.User()
    for at, status in enumerate((200, 503, 503, 200), start=1):
        user.saw(status, at)
    assert (user.first, user.last) == (2, 3)
    user.hit.clear()
    user.saw(503, 7)
    assert (user.first, user.last) == (7, 7)
