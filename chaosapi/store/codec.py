"""The shared state as text: what comes back equals what went in, to the last bit of every number."""

from typing import Final, TypeVar

from pydantic import BaseModel

from chaosapi.durations import EXACT
from chaosapi.fault import Record
from chaosapi.state import Difference, State

AUDIT: Final = 10_000
"""How many entries of the audit a store keeps."""

M = TypeVar("M", bound=BaseModel)


def write(model: BaseModel) -> str:
    """Return the model as JSON, durations as plain seconds."""
    return model.model_dump_json(context=EXACT)


def write_state(state: State) -> str:
    """Return what `write` does, in a tenth of the time: what a fault once was written as is kept."""
    faults = ",".join(record.text for record in state.faults)
    halt = write(state.halt) if state.halt else "null"
    return f'{{"revision":{state.revision},"faults":[{faults}],"halt":{halt}}}'


def read(kind: type[M], text: str) -> M:
    """Return what `write` wrote; raises pydantic's ValidationError for what another version wrote differently."""
    return kind.model_validate_json(text)


def survives(record: Record) -> bool:
    """Tell whether a state gives a record back as it is."""
    state = State(faults=(record,))
    try:
        return read(State, write_state(state)) == state
    except ValueError:  # pydantic's errors are of this kind, those of writing too
        return False


def key(record: Record) -> str:
    """Return what tells this fault from an earlier one of its name."""
    return f"{record.name}@{record.created_at!r}"


def forgotten(before: State, after: State) -> set[str]:
    """Return the keys of the faults that a change has dropped from the state."""
    came, went = Difference.of(before, after)
    return set(map(key, went.values())).difference(map(key, came))
