"""The shared state as JSON text: reading returns exactly what was written, to the last bit of every number."""

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
MAX_AUDIT_BYTES: Final = 2**24
"""Checked only when an entry above `LARGE_ENTRY_BYTES` is written, so the audit may grow to twice this."""
LARGE_ENTRY_BYTES: Final = MAX_AUDIT_BYTES // MAX_AUDIT_ENTRIES
MAX_STATE: Final = 2**24
"""Characters of a state. A larger one is neither written nor read."""
UNREADABLE: Final = "the stored state could not be read"
"""The reason in the audit for ending all faults."""
_MAX_TIME_S: Final = 2.5e11
"""The latest time that is a date (Unix seconds); a corrupted duration may exceed it."""
_HEAD: Final = re.compile(r'\{"revision":[0-9]+,"faults":\[')
_RECORD: Final = re.compile(r'\{"name":"([a-z0-9-]+)"')
_DECODER: Final = json.JSONDecoder()
_MAX_NEW_RECORDS: Final = 8
"""Above this number of new records, as after the kill switch, parsing the whole state is faster."""

M = TypeVar("M", bound=BaseModel)


def write(model: BaseModel) -> str:
    """Return the model as JSON, durations as plain seconds."""
    return model.model_dump_json(context=EXACT)


def write_state(state: State) -> str:
    """Return the state as `write` does, ten times faster: each record's JSON is cached."""
    faults = ",".join(record.text for record in state.faults)
    halt = write(state.halt) if state.halt else "null"
    changes = ",".join(change.text for change in state.world_changes)
    world = f'"world":{state.world.text},"world_changes":[{changes}]'
    tokens = ",".join(token.text for token in state.tokens)
    return f'{{"revision":{state.revision},"faults":[{faults}],"halt":{halt},{world},"tokens":[{tokens}]}}'


def read(kind: type[M], text: str) -> M:
    """Return the model that `write` wrote; raises pydantic's ValidationError for text of an incompatible version."""
    return kind.model_validate_json(text)


def round_trips(record: Record) -> bool:
    """Return whether a record that is written and read back is equal to the original."""
    state = State(faults=(record,))
    try:
        return read(State, write_state(state)) == state
    except ValueError:  # pydantic's errors of reading and of writing are ValueErrors
        return False


def has_room(state: State) -> bool:
    """Return whether the state is small enough to be read back."""
    changes = sum(len(change.text) for change in state.world_changes)
    tokens = sum(len(token.text) for token in state.tokens)
    size = len(state.world.text) + changes + tokens + sum(len(record.text) for record in state.faults)
    return size < MAX_STATE - 10_000


def read_state(text: str | bytes) -> State:
    """Return the state that `write_state` wrote; raises StoreUnreadable for anything else."""
    if len(text) > MAX_STATE:
        raise StoreUnreadable(f"{UNREADABLE}: it has more than {MAX_STATE:,} characters")
    try:
        state = State.model_validate_json(text)
        late = [record.name for record in state.faults if not _is_dated(record)]
    except (ValueError, TypeError, RecursionError) as error:  # ValidationError is a ValueError
        raise StoreUnreadable(f"{UNREADABLE}: {_first_line(error)}") from error
    if late:
        raise StoreUnreadable(f"{UNREADABLE}: fault {late[0]!r} ends after the latest possible date")
    return state


def _is_dated(record: Record) -> bool:
    return record.starts_at < _MAX_TIME_S and record.ends_at < _MAX_TIME_S


class StateReader:
    """Reads states incrementally: records that are unchanged since the last state are not parsed again."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._state = State()

    def remember(self, text: str, state: State) -> None:
        """Cache a state and its text."""
        self._text = text
        self._state = state

    def read(self, text: str | bytes) -> State:
        """Return the same as `read_state`; raises StoreUnreadable."""
        if not isinstance(text, str) or len(text) > MAX_STATE:
            return read_state(text)
        if text != self._text:
            self.remember(text, self._read_changes(text) or read_state(text))
        return self._state

    def _read_changes(self, text: str) -> State | None:
        """Parse only the new records; return None if they are many, or if `write_state` did not write the text."""
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
        return state if all(map(_is_dated, faults)) and write_state(state) == text else None


def read_entries(texts: Iterable[str]) -> list[AuditEntry]:
    """Return the audit entries that can be parsed; an entry whose fault cannot be parsed comes without it."""
    return [entry for text in texts if (entry := _read_entry(text))]


def read_valid(kind: type[M], texts: Iterable[str]) -> list[M]:
    """Return the models of those texts that can be parsed."""
    models = []
    for text in texts:
        with suppress(ValueError, TypeError):
            models.append(read(kind, text))
    return models


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
    """Return an identifier that differs from that of earlier faults of the same name."""
    return f"{record.name}@{record.created_at!r}"


def dropped_tallies(before: State, after: State) -> set[str]:
    """Return the tally keys of the faults that a change removed from the state."""
    came, went = Diff.of(before, after)
    return set(map(tally_key, went.values())).difference(map(tally_key, came))
