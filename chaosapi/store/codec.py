"""The shared state as text: what comes back equals what went in, to the last bit of every number."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel

from chaosapi.durations import EXACT
from chaosapi.errors import StoreUnreadable
from chaosapi.faults.fault import Record
from chaosapi.faults.state import Action, AuditEntry, Diff, State

MAX_AUDIT_ENTRIES: Final = 10_000
"""How many entries of the audit a store keeps."""
MAX_AUDIT_BYTES: Final = 2**24
"""How many bytes they may have together. Looked at only when a larger than average one comes, so at most twice this."""
LARGE_ENTRY_BYTES: Final = MAX_AUDIT_BYTES // MAX_AUDIT_ENTRIES
"""Bytes from which on an entry is larger than average."""
UNREADABLE: Final = "the stored state could not be read"
"""Why all faults ended, for the audit."""
_MAX_TIME_S: Final = 2.5e11
"""Unix seconds up to which there are dates; durations of garbage may lead beyond."""
_HEAD: Final = re.compile(r'\{"revision":[0-9]+,"faults":\[')
_RECORD: Final = re.compile(r'\{"name":"([a-z0-9-]+)"')
_DECODER: Final = json.JSONDecoder()
_MAX_NEW_RECORDS: Final = 8
"""Records that are read one by one at most; of more, such as after the kill switch, all are read at once."""

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


def round_trips(record: Record) -> bool:
    """Tell whether a state gives a record back as it is."""
    state = State(faults=(record,))
    try:
        return read(State, write_state(state)) == state
    except ValueError:  # pydantic's errors are of this kind, those of writing too
        return False


def read_state(text: str | bytes) -> State:
    """Return the state that `write_state` wrote; raises StoreUnreadable for anything else."""
    try:
        state = State.model_validate_json(text)
        late = [
            record.name
            for record in state.faults
            if not record.ends_at < _MAX_TIME_S or not record.starts_at < _MAX_TIME_S
        ]
    except (ValueError, TypeError, RecursionError) as error:  # ValidationError is a ValueError
        raise StoreUnreadable(f"{UNREADABLE}: {_first_line(error)}") from error
    if late:
        raise StoreUnreadable(f"{UNREADABLE}: fault {late[0]!r} ends after the last date that there is")
    return state


class StateReader:
    """Reads states of which most is known: what stayed since the last one is neither parsed nor made anew."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._state = State()

    def remember(self, text: str, state: State) -> None:
        """Remember what a state is written as."""
        self._text = text
        self._state = state

    def read(self, text: str | bytes) -> State:
        """Return what `read_state` does; raises StoreUnreadable."""
        if not isinstance(text, str):
            return read_state(text)
        if text != self._text:
            self.remember(text, self._read_changes(text) or read_state(text))
        return self._state

    def _read_changes(self, text: str) -> State | None:
        """Read the records that are new; None where they are many, or for what `write_state` would not write."""
        known = {record.name: record for record in self._state.faults}
        if not (head := _HEAD.match(text)):
            return None
        place = head.end()
        faults: list[Record] = []
        new = 0
        try:
            while name := _RECORD.match(text, place):
                record = known.get(name[1])
                if not record or not text.startswith(record.text, place):
                    new += 1
                    if new > _MAX_NEW_RECORDS:
                        return None
                    _, end = _DECODER.raw_decode(text, place)
                    record = read(Record, text[place:end])
                faults.append(record)
                place += len(record.text)
                if text.startswith(",", place):
                    place += 1
            frame = read_state(f"{head[0]}{text[place:]}")
        except (ValueError, TypeError, RecursionError, StoreUnreadable):
            return None
        state = frame.model_copy(update={"faults": tuple(faults)})
        dated = all(record.starts_at < _MAX_TIME_S and record.ends_at < _MAX_TIME_S for record in faults)
        return state if dated and write_state(state) == text else None


def read_entries(texts: Iterable[str]) -> list[AuditEntry]:
    """Return the audit entries that can be read; one whose fault cannot be, without it."""
    return [entry for text in texts if (entry := _read_entry(text))]


def read_valid(kind: type[M], texts: Iterable[str]) -> list[M]:
    """Return what `write` wrote, without the texts that nobody can read."""
    found = []
    for text in texts:
        with suppress(ValueError, TypeError):
            found.append(read(kind, text))
    return found


def _read_entry(text: str) -> AuditEntry | None:
    try:
        entry = AuditEntry.model_validate_json(text)
    except (ValueError, TypeError):
        try:
            document: dict[str, Any] = json.loads(text)
            entry = AuditEntry.model_validate({**document, "spec": None})
        except (ValueError, TypeError, RecursionError):
            return None
    return entry if entry.action in get_args(Action) else None


def _first_line(error: Exception) -> str:
    return str(error).replace("\n", " ")[:200]


def tally_key(record: Record) -> str:
    """Return what tells this fault from an earlier one of its name."""
    return f"{record.name}@{record.created_at!r}"


def dropped_tallies(before: State, after: State) -> set[str]:
    """Return the keys of the faults that a change has dropped from the state."""
    came, went = Diff.of(before, after)
    return set(map(tally_key, went.values())).difference(map(tally_key, came))
