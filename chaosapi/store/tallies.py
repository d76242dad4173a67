"""What a fault did on each replica, as text and as a sum. Sums lose nothing, nor do the sketches of the delays."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from chaosapi.faults.receipt import Counts, DelaySketches
from chaosapi.faults.sketch import GAMMA, Sketch
from chaosapi.models import Model

_MAX_BUCKET: Final = 100_000
"""Buckets that a delay may be away from that of one second: more than a year or a nanosecond are."""
_Count = Annotated[float, Field(ge=0, le=1e15)]


def dump_counts(tally: Counts) -> str:
    """Return the tally as JSON."""
    delays = tally.delays
    return json.dumps(
        {
            "matched": tally.matched,
            "expected": tally.expected,
            "injected": tally.injected,
            "skipped": tally.skipped.copy(),
            "delays": delays
            and {"planned": _sketch_document(delays.planned), "measured": _sketch_document(delays.measured)},
            **({"denied": tally.denied} if tally.denied else {}),
        },
        separators=(",", ":"),
    )


def sum_counts(texts: Sequence[str]) -> Counts:
    """Return the sum of what `dump` wrote, as one replica that saw it all would have counted it.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    documents = [json.loads(text) for text in texts]
    whole = Counts(
        matched=sum(document["matched"] for document in documents),
        expected=sum(document["expected"] for document in documents),
        injected=sum(document["injected"] for document in documents),
    )
    for document in documents:
        whole.skipped.update(document["skipped"])
    delays = [document["delays"] for document in documents if document["delays"]]
    if delays:
        whole.delays = DelaySketches(
            *(_merge_sketches([each[kind] for each in delays]) for kind in ("planned", "measured"))
        )
    return whole


class _Sketch(Model):
    gamma: Annotated[float, Field(ge=GAMMA, le=GAMMA)]
    zeros: _Count
    bins: dict[Annotated[int, Field(ge=-_MAX_BUCKET, le=_MAX_BUCKET)], _Count]


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


def is_readable(text: str) -> bool:
    """Tell whether `dump` may have written it."""
    try:
        _Document.model_validate_json(text)
    except ValueError:
        return False
    return True


def denied_reason(text: str) -> str | None:
    """Return why the fault does not act where `dump` wrote this, if so."""
    return str(why) if '"denied"' in text and (why := json.loads(text).get("denied")) else None


def _sketch_document(sketch: Sketch) -> dict[str, Any]:
    buckets = sketch.buckets.copy()  # another thread may add one meanwhile
    return {"gamma": GAMMA, "zeros": sketch.zeros, "bins": buckets}


def _merge_sketches(documents: Sequence[Mapping[str, Any]]) -> Sketch:
    """Sum up what `_dumped` wrote, bucket by bucket; raises ValueError where the buckets are of another width."""
    if any(document["gamma"] != GAMMA for document in documents):
        raise ValueError("a sketch of another accuracy cannot be added")
    buckets: Counter[int] = Counter()
    for document in documents:
        buckets.update({int(bucket): count for bucket, count in document["bins"].items()})
    return Sketch(buckets, sum(document["zeros"] for document in documents))
