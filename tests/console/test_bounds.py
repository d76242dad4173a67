from dataclasses import dataclass

from chaosapi.console.bounds import drop_abandoned_page


@dataclass
class Built:
    """A page that notes how it ends."""

    built: dict[str, "Built"]
    name: str

    def delete(self) -> None:
        del self.built[self.name]


def test_pages_that_no_browser_came_to_make_room_for_new_ones() -> None:
    """The oldest first; those that are open stay, and there are only so many of them."""
    built: dict[str, Built] = {}
    connected: list[str] = []
    for number in range(1000):
        name = str(number)
        if drop_abandoned_page(built, connected):
            built[name] = Built(built, name)
            if number % 5 == 0:
                connected.append(name)
    assert len(connected) == 100
    assert set(connected) <= set(built)
    assert len(built) <= 120
    assert not drop_abandoned_page(built, connected)
    connected.pop()
    assert drop_abandoned_page(built, connected)
