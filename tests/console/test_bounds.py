from dataclasses import dataclass

from chaosapi.console.bounds import drop_abandoned_page


@dataclass
class Built:
    """A page that records its end."""

    built: dict[str, "Built"]
    name: str

    def delete(self) -> None:
        del self.built[self.name]


def test_pages_without_a_browser_are_evicted_first() -> None:
    """The oldest first; open pages stay, up to a limit."""
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
