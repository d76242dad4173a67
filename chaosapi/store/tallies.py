"""What a fault did on each replica, as text and as a sum. Sums lose nothing, nor do the sketches of the delays."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ddsketch import DDSketch
from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore

from chaosapi.receipt import Tally


def dump(tally: Tally) -> str:
    """Return the tally as JSON."""
    return json.dumps(
        {
            "matched": tally.matched,
            "expected": tally.expected,
            "injected": tally.injected,
            "skipped": tally.skipped.copy(),
            "planned": _dumped(tally.planned),
            "measured": _dumped(tally.measured),
        },
        separators=(",", ":"),
    )


def load(text: str) -> Tally:
    """Return the tally that `dump` wrote; raises ValueError or KeyError for anything else."""
    document = json.loads(text)
    return Tally(
        matched=document["matched"],
        expected=document["expected"],
        injected=document["injected"],
        skipped=Counter(document["skipped"]),
        planned=_loaded(document["planned"]),
        measured=_loaded(document["measured"]),
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum, as one replica that saw it all would have counted it."""
    whole = Tally()
    for tally in tallies:
        whole.matched += tally.matched
        whole.expected += tally.expected
        whole.injected += tally.injected
        whole.skipped.update(tally.skipped.copy())
        whole.planned.merge(tally.planned)
        whole.measured.merge(tally.measured)
    return whole


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


def _loaded(document: dict[str, Any]) -> DDSketch:
    store = DenseStore()
    for key, count in document["bins"].items():
        store.add(int(key), count)
    mapping = LogarithmicMapping.from_gamma_offset(document["gamma"], 0.0)
    sketch = Tally().planned
    sketch.merge(BaseDDSketch(mapping, store, DenseStore(), document["zeros"]))
    return sketch
