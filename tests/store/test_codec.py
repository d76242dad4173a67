import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from chaosapi.errors import StoreUnreadable
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import State
from chaosapi.store.codec import MAX_STATE, StateReader, read, read_state, write, write_state
from tests.store.conftest import a_fault


def test_a_state_is_serialized_like_any_model() -> None:
    """Also after each kind of change, when the JSON of unchanged faults is reused."""
    state = State()
    for change in (
        changes.create(a_fault("a", reason='"quoted", and é'), 1.1),
        changes.create(a_fault("b", schedule={"duration": "90s"}), 2.2),
        changes.patch("b", {"rate": 0.25}, Fault.model_validate, 3.3),
        changes.end("a", 4.4),
        changes.halt("enough", 5.5),
    ):
        state = change(state)
        assert write_state(state) == write(state)
        assert read(State, write_state(state)) == state


def a_state(*names: str) -> State:
    """Return a state with these faults; their texts contain text that looks like several records."""
    state = State()
    for number, name in enumerate(names):
        spec = a_fault(name, reason='"}]},{"name":"b",', target={"headers": {"x": '],"halt":null}'}})
        state = changes.create(spec, number + 0.5)(state)
    return state


CHANGES = {
    "nothing": lambda state: state,
    "create": changes.create(a_fault("d"), 9.0),
    "replace": changes.replace(a_fault("b", rate=0.5), 9.0),
    "patch": changes.patch("a", {"rate": 0.25}, Fault.model_validate, 3.0),
    "end": changes.end("c", 4.0),
    "end_all": changes.end_all(4.0),
    "halt": changes.halt("enough", 4.0),
    "fewer": lambda state: State(revision=9, faults=state.faults[1:2]),
    "moved": lambda state: State(revision=9, faults=state.faults[::-1]),
    "twice": lambda state: State(revision=9, faults=state.faults * 2),
    "empty": lambda _: State(revision=9),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_reader_parses_only_new_records(change: Callable[[State], State]) -> None:
    """The result equals that of a full parse; unchanged records are the same objects."""
    before = a_state("a", "b", "c")
    after = change(before)
    reader = StateReader()
    known = {record.name: record for record in reader.read(write_state(before)).faults}
    text = write_state(after)
    found = reader.read(text)
    assert found == read_state(text) == after
    assert write_state(found) == text
    for record in found.faults:
        same = any(record == old for old in before.faults)
        assert (record is known.get(record.name)) == same
    assert reader.read(text) is found


def test_a_reader_does_not_parse_a_remembered_state() -> None:
    """A replica does not parse the state that it wrote."""
    state = a_state("a", "b")
    reader = StateReader()
    reader.remember(write_state(state), state)
    assert reader.read(write_state(state)) is state


ODD = {
    "blanks": lambda text: json.dumps(json.loads(text), indent=1),
    "other order": lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
    "something more": lambda text: text + "x",
    "cut off": lambda text: text[:-30],
    "no comma": lambda text: text.replace('},{"name":"a"', '}{"name":"a"'),
    "no number": lambda text: text.replace('"rate":1.0', '"rate":NaN'),
    "no fault": lambda text: text.replace('"rate":1.0', '"rate":7.0'),
    "ends too late": lambda text: text.replace('"created_at":0.5', '"created_at":1e300'),
    "twice a key": lambda text: text.replace('"halt":null}', '"halt":null,"revision":7}'),
    "deep": lambda text: text.replace('"rate":1.0', '"rate":' + "[" * 100_000),
    "nothing": lambda _: "",
    "surrogate": lambda text: text.replace("enough", "\\ud800"),
}


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD)
@pytest.mark.parametrize("known", [(), ("a",), ("a", "b")], ids=str)
def test_a_reader_accepts_and_refuses_the_same_as_a_full_parse(
    spoil: Callable[[str], str], known: tuple[str, ...]
) -> None:
    """For any previous state; also hand-written text and text of another version."""
    reader = StateReader()
    reader.read(write_state(a_state(*known)))
    text = spoil(write_state(changes.halt("enough", 7.0)(changes.create(a_fault("c"), 6.0)(a_state("a", "b")))))
    try:
        meant = read_state(text)
    except StoreUnreadable as error:
        with pytest.raises(StoreUnreadable, match=str(error)[:30]):
            reader.read(text)
    else:
        assert reader.read(text) == meant


def test_a_reader_parses_many_new_records_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one they would take three times as long; after the kill switch all records are new."""
    names = [f"f{number}" for number in range(100)]
    state = a_state(*names)
    reader = StateReader()
    reader.read(write_state(state))
    parsed: list[str] = []

    def counted(kind: type[State], text: str) -> object:
        parsed.append(text)
        return kind.model_validate_json(text)

    monkeypatch.setattr("chaosapi.store.codec.read", counted)
    ended = changes.end_all(200.0)(state)
    assert reader.read(write_state(ended)) == ended
    assert len(parsed) < len(names) / 10


def test_a_state_of_another_writer_is_refused_in_a_moment() -> None:
    """Each wrong value costs an error: a few megabytes of them took minutes, and the kill switch waited."""
    wrong = f'{{"revision":1,"faults":[{",".join(["{}"] * 100_000)}],"halt":null}}'
    with pytest.raises(ValidationError) as refusal:
        State.model_validate_json(wrong)
    assert refusal.value.error_count() < 10
    with pytest.raises(StoreUnreadable, match="characters"):
        StateReader().read(wrong + " " * MAX_STATE)
