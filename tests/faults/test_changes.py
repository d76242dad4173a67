from typing import Any

import pytest

from chaosapi.errors import ChaosError, Conflict, Invalid, NotFound
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import State


def fault(name: str, **fields: Any) -> Fault:
    """Return a fault of one minute."""
    return Fault.model_validate({"name": name, "effect": {"type": "error"}, "schedule": {"duration": 60}, **fields})


def after(*steps: Change) -> State:
    """Return the empty state after the changes."""
    state = State()
    for step in steps:
        state = step(state)
    return state


def test_every_change_adds_one_to_the_revision() -> None:
    """The kill switch raises it once, whatever the number of faults."""
    state = after(changes.create(fault("a"), 0), changes.create(fault("b"), 1), changes.end_all(2))
    assert state.revision == 3
    assert [(record.name, record.revision, record.ended_at) for record in state.faults] == [("b", 3, 2), ("a", 3, 2)]


@pytest.mark.parametrize(
    "nothing",
    [
        changes.end_all(100),
        changes.resume(),
        changes.replace(fault("a"), 1),
        changes.patch("a", {"rate": 1}, Fault.model_validate, 1),
    ],
)
def test_a_no_op_keeps_the_revision(nothing: Change) -> None:
    """Ending no fault, resuming without a halt, replacing or patching with the same fault."""
    state = after(changes.create(fault("a"), 0))
    assert nothing(state) is state


def test_the_name_of_a_live_fault_is_taken_and_that_of_an_ended_one_is_free() -> None:
    """The state keeps one fault for each name: the latest."""
    state = after(changes.create(fault("a"), 0))
    with pytest.raises(Conflict, match="or replace it"):
        changes.create(fault("a"), 59)(state)
    again = changes.create(fault("a"), 60)(state)
    assert [(record.name, record.created_at) for record in again.faults] == [("a", 60)]


def test_replacing_a_fault_restarts_its_clock() -> None:
    """A different fault under the same name is a new fault."""
    state = after(changes.create(fault("a"), 0), changes.replace(fault("a", rate=0.5), 30))
    assert [(record.created_at, record.spec.rate) for record in state.faults] == [(30, 0.5)]


def test_a_patch_keeps_the_faults_clock() -> None:
    """The fault is changed in place; null restores a default."""
    state = after(changes.create(fault("a", rate=0.5, seed=3), 0))
    patched = changes.patch("a", {"rate": 0.25, "seed": None}, Fault.model_validate, 30)(state)
    assert [(each.created_at, each.spec.rate, each.spec.seed, each.ends_at) for each in patched.faults] == [
        (0, 0.25, 0, 60)
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (changes.end("nobody", 1), NotFound),
        (changes.end("a", 60), Conflict),
        (changes.patch("a", {"rate": 0.1}, Fault.model_validate, 60), Conflict),
        (changes.patch("a", {"name": "b"}, Fault.model_validate, 1), Invalid),
        (changes.patch("a", {"schedule": {"duration": 5}}, Fault.model_validate, 30), Invalid),
    ],
)
def test_an_impossible_change_is_refused(change: Change, error: type[ChaosError]) -> None:
    """The fault is unknown, ended, renamed, or would end in the past."""
    with pytest.raises(error):
        change(after(changes.create(fault("a"), 0)))


def test_a_halt_ends_all_faults_and_refuses_new_ones_until_it_is_lifted() -> None:
    """Create, replace and patch are refused with the reason."""
    state = after(changes.create(fault("a"), 0), changes.halt("fire drill", 5))
    assert state.live(5) == []
    for change in (changes.create(fault("b"), 6), changes.replace(fault("a"), 6)):
        with pytest.raises(Conflict, match="fire drill"):
            change(state)
    assert [each.name for each in after(lambda _: state, changes.resume(), changes.create(fault("b"), 7)).live(7)] == [
        "b"
    ]


def test_the_last_hundred_ended_faults_are_kept() -> None:
    """All live faults are kept; the API limits their number."""
    state = after(*(changes.create(fault(f"f-{number}"), 0) for number in range(150)))
    assert len(state.live(1)) == 150
    for number in range(150):
        state = changes.create(fault(f"late-{number}", schedule={"duration": 1}), 100 + 2 * number)(state)
    assert len(state.live(1000)) == 0
    assert len(state.faults) <= changes.MAX_ENDED + 1


def test_the_ended_faults_that_are_kept_have_a_size() -> None:
    """The newest; otherwise a hundred large ones would leave no room for new ones."""
    large = {"type": "error", "body": "x" * 100_000}
    state = State()
    for number in range(60):
        state = changes.create(fault(f"f-{number}", effect=large, schedule={"duration": 1}), 2 * number)(state)
    assert [record.name for record in state.faults[:30]] == [f"f-{number}" for number in range(59, 29, -1)]
    assert sum(len(record.text) for record in state.faults[1:]) < 2**22
