"""Tallies of a fault as JSON, and their sum over all replicas. Sums are exact, and so are merged delay sketches."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from chaosapi.faults.receipt import Counts, DelaySketches
from chaosapi.faults.sketch import GAMMA, Sketch
from chaosapi.models import Model

_MAX_BUCKET: Final = 100_000
"""Limit for bucket numbers; bucket 0 is one second, and a year and a nanosecond are well within the limit."""
_Count = Annotated[float, Field(ge=0, le=1e15)]


def dump_counts(tally: Counts) -> str:
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
    """Return the sum of texts that `dump_counts` wrote: the same as one replica with all the traffic would count.

    Raises ValueError, KeyError or TypeError for other texts.
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
        planned = _merge_sketches([each["planned"] for each in delays])
        measured = _merge_sketches([each["measured"] for each in delays])
        whole.delays = DelaySketches(planned, measured)
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
    """Return whether a text has the form that `dump_counts` writes."""
    try:
        _Document.model_validate_json(text)
    except ValueError:
        return False
    return True


def denied_reason(text: str) -> str | None:
    """Return why the fault does not act on the replica that wrote this tally; None if it acts."""
    if '"denied"' not in text:  # saves parsing
        return None
    reason = json.loads(text).get("denied")
    return str(reason) if reason else None


def _sketch_document(sketch: Sketch) -> dict[str, Any]:
    buckets = sketch.buckets.copy()  # another thread may add a bucket meanwhile
    return {"gamma": GAMMA, "zeros": sketch.zeros, "bins": buckets}


def _merge_sketches(documents: Sequence[Mapping[str, Any]]) -> Sketch:
    """Return the sum of sketches that `_sketch_document` wrote; raises ValueError if their accuracies differ."""
    if any(document["gamma"] != GAMMA for document in documents):
        raise ValueError("sketches of different accuracy cannot be merged")
    buckets: Counter[int] = Counter()
    for document in documents:
        buckets.update({int(bucket): count for bucket, count in document["bins"].items()})
    return Sketch(buckets, sum(document["zeros"] for document in documents))
