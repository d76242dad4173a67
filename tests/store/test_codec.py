from chaosapi import state as changes
from chaosapi.fault import Fault
from chaosapi.state import State
from chaosapi.store.codec import read, write, write_state
from tests.store.conftest import a_fault


def test_a_state_is_written_as_any_other_model() -> None:
    """Also after each kind of change, of which most faults are none: what they were written as is used again."""
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
