"""What a fault did on each replica, as text and as a sum. Sums lose nothing, nor do the sketches of the delays."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from ddsketch import DDSketch
from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore
from pydantic import Field

from chaosapi.faults.receipt import Delays, Tally
from chaosapi.models import Model

_GAMMA: Final = float(Delays().planned._mapping.gamma)  # noqa: SLF001 - as below
_FURTHEST: Final = 100_000
"""Bins that a delay may be away from that of one second: more than a year or a nanosecond are."""
_Count = Annotated[float, Field(ge=0, le=1e15)]


def dump(tally: Tally) -> str:
    """Return the tally as JSON."""
    delays = tally.delays
    return json.dumps(
        {
            "matched": tally.matched,
            "expected": tally.expected,
            "injected": tally.injected,
            "skipped": tally.skipped.copy(),
            "delays": delays and {"planned": _dumped(delays.planned), "measured": _dumped(delays.measured)},
            **({"denied": tally.denied} if tally.denied else {}),
        },
        separators=(",", ":"),
    )


def total(texts: Sequence[str]) -> Tally:
    """Return the sum of what `dump` wrote, as one replica that saw it all would have counted it.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    documents = [json.loads(text) for text in texts]
    whole = Tally(
        matched=sum(document["matched"] for document in documents),
        expected=sum(document["expected"] for document in documents),
        injected=sum(document["injected"] for document in documents),
    )
    for document in documents:
        whole.skipped.update(document["skipped"])
    delays = [document["delays"] for document in documents if document["delays"]]
    if delays:
        whole.delays = Delays(*(_merged([each[kind] for each in delays]) for kind in ("planned", "measured")))
    return whole


class _Sketch(Model):
    gamma: Annotated[float, Field(ge=_GAMMA, le=_GAMMA)]
    zeros: _Count
    bins: dict[Annotated[int, Field(ge=-_FURTHEST, le=_FURTHEST)], _Count]


class _Sketches(Model):
    planned: _Sketch
    measured: _Sketch


class _Document(Model):
    matched: _Count
    expected: _Count
    injected: _Count
    skipped: dict[str, _Count]
    delays: _Sketches | None
    denied: str = ""


def readable(text: str) -> bool:
    """Tell whether `dump` may have written it."""
    try:
        _Document.model_validate_json(text)
    except ValueError:
        return False
    return True


def denied(text: str) -> str | None:
    """Return why the fault does not act where `dump` wrote this, if so."""
    return str(why) if '"denied"' in text and (why := json.loads(text).get("denied")) else None


def _dumped(sketch: DDSketch) -> dict[str, Any]:
    """Write a sketch of delays (none is negative) sparsely: most of its bins are empty."""
    store = sketch._store  # noqa: SLF001 - the library writes protobuf only, every empty bin included
    while True:  # another thread may add a delay meanwhile, and that may move the bins
        offset, bins = store.offset, store.bins[:]
        if offset == store.offset and len(bins) == len(store.bins):
            break
    filled = {offset + index: count for index, count in enumerate(bins) if count}
    mapping, zeros = sketch._mapping, sketch._zero_count  # noqa: SLF001 - as above
    return {"gamma": mapping.gamma, "zeros": zeros, "bins": filled}


def _merged(documents: Sequence[Mapping[str, Any]]) -> DDSketch:
    """Sum up what `_dumped` wrote, bin by bin: the library's own `merge` walks over the empty ones too."""
    (gamma,) = {document["gamma"] for document in documents}
    bins: Counter[str] = Counter()
    for document in documents:
        bins.update(document["bins"])
    store = DenseStore()
    for key, count in bins.items():
        store.add(int(key), count)
    zeros = sum(document["zeros"] for document in documents)
    sketch = Delays().planned
    sketch.merge(BaseDDSketch(LogarithmicMapping.from_gamma_offset(gamma, 0.0), store, DenseStore(), zeros))
    return sketch
