"""Export the timeline as JSON, or as one self-contained HTML page."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from chaosapi.console.timeline import TimelineEntry

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>chaosapi: {title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; vertical-align: top }}
td:nth-child(-n+2) {{ font-variant-numeric: tabular-nums; white-space: nowrap }}
td:nth-child(2) {{ text-align: right }}
</style>
<h1>{title}</h1>
<p>{count} moments; the second column counts seconds from the latest fault that had begun.</p>
<table><thead><tr><th>UTC<th>since<th>about<th>what</thead><tbody>
{rows}
</tbody></table>
<script type="application/json" id="timeline">{data}</script>
</html>
"""


# Inside a script element, `</script` closes it, and `<!--<script` hides the closing tag. In JSON these characters occur
# only in strings, where their escapes mean the same.
_IN_SCRIPT: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def as_json(entries: Iterable[TimelineEntry], faults: Sequence[Mapping[str, Any]], made: float) -> str:
    """Return entries, and faults with their receipts, as JSON; times are RFC 3339, `since` is in seconds."""
    moments = [
        {"at": _time(each.at).isoformat(), "kind": each.kind, "text": each.text, "since": each.since}
        for each in entries
    ]
    return json.dumps({"made": _time(made).isoformat(), "entries": moments, "faults": list(faults)}, indent=1)


def as_html(entries: Sequence[TimelineEntry], faults: Sequence[Mapping[str, Any]], made: float) -> str:
    """Return an HTML page with the timeline; it embeds the JSON for programs."""
    rows = "\n".join(
        f"<tr><td>{_time(each.at):%H:%M:%S}<td>{'' if each.since is None else f'+{each.since:.1f} s'}"
        f"<td>{each.kind}<td>{html.escape(each.text)}"
        for each in entries
    )
    data = as_json(entries, faults, made).translate(_IN_SCRIPT)
    return _PAGE.format(title=f"Timeline of {_time(made):%Y-%m-%d %H:%M} UTC", count=len(entries), rows=rows, data=data)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
