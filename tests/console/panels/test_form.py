from chaosapi.console.panels.form import new_fault, table


def test_a_new_fault_is_small() -> None:
    """A twentieth of the requests of the busiest route for two minutes; of all routes only where none is known."""
    assert new_fault(["/busiest", "/other"]) == {
        "rate": 0.05,
        "schedule": {"duration": "2m"},
        "target": {"routes": ["/busiest"]},
    }
    assert new_fault([])["target"]["routes"] == []


def test_the_forecast_has_the_words_of_the_field() -> None:
    """Its columns are headings of a table."""
    drawn = table([("page availability 1m/5s", "5s", "3s to 7s", "5s", "-")])
    assert '<th scope="col">expected range' in drawn
    assert table([]) == ""
