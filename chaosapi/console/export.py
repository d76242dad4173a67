"""Export a debrief: as HTML and as text for people, with the same words, and as JSON for programs."""

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from chaosapi import durations
from chaosapi.console.debrief import Debrief, FaultReport, Json, Loss
from chaosapi.console.service import describe_effect, describe_target
from chaosapi.console.zones import Zone

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>chaosapi: {title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 64rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.2rem; margin-top: 2rem }} h3 {{ font-size: 1rem }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
td, th {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; vertical-align: top }}
</style>
{content}
<script type="application/json" id="timeline">{data}</script>
</html>
"""

# Inside a script element, `</script` closes it, and `<!--<script` hides the closing tag. In JSON these characters occur
# only in strings, where their escapes mean the same.
_IN_SCRIPT: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Title:
    """A heading of level 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


Block = Title | Table | str


def as_json(debrief: Debrief) -> str:
    """Return the debrief as JSON; times are RFC 3339 in UTC, `since` is in seconds."""
    moments = [
        {"at": _rfc3339(each.at), "kind": each.kind, "text": each.text, "since": each.since} for each in debrief.entries
    ]
    reports = [
        {"fault": each.fault["name"], "score": each.score, "loss": asdict(each.loss) if each.loss else None}
        for each in debrief.reports
    ]
    content = {"made": _rfc3339(debrief.made), "entries": moments, "faults": list(debrief.faults), "reports": reports}
    return json.dumps(content, indent=1)


def as_html(debrief: Debrief, zone: Zone) -> str:
    """Return the debrief as one HTML page, which needs no other file; it embeds the JSON for programs."""
    content = "\n".join(map(_html, blocks(debrief, zone)))
    return _PAGE.format(
        title=html.escape(_title(debrief, zone)), content=content, data=as_json(debrief).translate(_IN_SCRIPT)
    )


def as_text(debrief: Debrief, zone: Zone) -> str:
    """Return the debrief as Markdown."""
    return "\n\n".join(map(_text, blocks(debrief, zone))) + "\n"


def blocks(debrief: Debrief, zone: Zone) -> list[Block]:
    """Return the contents, whatever the format."""
    found: list[Block] = [Title(1, _title(debrief, zone)), f"All times are in {zone.label(debrief.made)}."]
    for report in debrief.reports:
        found += _of_fault(report, zone)
    if not debrief.reports:
        found.append("No fault has acted.")
    found.append(Title(2, "Timeline"))
    if debrief.entries:
        found.append("Seconds count from the start of the latest fault.")
        rows = [
            (zone.bare_clock(each.at), "" if each.since is None else f"+{each.since:.1f} s", each.kind, each.text)
            for each in reversed(debrief.entries)
        ]
        found.append(Table(("time", "since the fault", "about", "what"), rows))
    else:
        found.append("Nothing has happened.")
    return found


def _of_fault(report: FaultReport, zone: Zone) -> Iterable[Block]:
    fault = report.fault
    receipt = fault["receipt"]
    yield Title(2, f"Fault {fault['name']}")
    yield Title(3, "What was injected")
    yield f"{describe_effect(fault['effect'])} on {describe_target(fault['target'])}."
    until = f"until {zone.bare_clock(fault['ends_at'])}" + ("" if fault["state"] == "ended" else ", and acts still")
    why = f" Reason: {fault['reason']}." if fault["reason"] else ""
    yield f"From {zone.bare_clock(fault['starts_at'])} {until}.{why}"
    yield (
        f"Requested: {receipt['requested_rate']:.2%} of the requests; actual: {receipt['achieved_rate']:.2%} "
        f"({receipt['injected']:,} of {receipt['matched']:,})."
    )
    yield Title(3, "Which alerts fired")
    yield from _alerts(report.score)
    yield Title(3, "What users lost")
    yield from _loss(report.loss)


def _alerts(score: Json | None) -> Iterable[Block]:
    if score is None:
        yield "The service has no score of this fault."
        return
    if not score["alerts"]:
        yield "No alert was foretold, and none fired."
        return
    yield "Times are from the start of the fault. The expected range is that of the firing."
    rows = [
        (
            f"{each['severity']} {each['slo']} {each['long_window']}/{each['short_window']}",
            _moment(each["forecast"], "firing"),
            _range(each),
            _moment(each["fact"], "firing"),
            _moment(each["fact"], "notified"),
            _moment(each["fact"], "resolved"),
            _VERDICTS.get(each["verdict"], each["verdict"]),
        )
        for each in score["alerts"]
    ]
    yield Table(("alert", "predicted", "expected range", "fired", "notified", "resolved", "verdict"), rows)


_VERDICTS: Final = {"as forecast": "as predicted", "by chance": "within the expected range"}


def _loss(loss: Loss | None) -> Iterable[Block]:
    if loss is None:
        yield "Prometheus has no requests of that time."
        return
    share = f"{loss.failed / loss.requests if loss.requests else 0.0:.2%}"
    yield f"While it acted, {loss.failed:,.0f} of {loss.requests:,.0f} requests failed ({share}), whatever the cause."
    for bound, slow in loss.slow.items():
        yield f"{slow:,.0f} requests that did not fail took longer than {bound} ms."
    spent = [
        (name, f"{before:.1%}", f"{after:.1%}", f"{max(0.0, before - after):.1%}")
        for name, (before, after) in loss.budgets.items()
    ]
    if spent:
        yield Table(("error budget", "left before", "left after", "spent"), spent)


def _moment(times: Json | None, name: str) -> str:
    return "" if times is None or times[name] is None else durations.format(round(times[name], 1))


def _range(alert: Json) -> str:
    if alert["forecast"] is None:
        return ""
    ends = [alert["earliest"], alert["latest"]]
    first, last = ("never" if end is None else durations.format(round(end, 1)) for end in ends)
    return f"{first} to {last}"


def _title(debrief: Debrief, zone: Zone) -> str:
    return f"Debrief of {zone.date(debrief.made)}"


def _html(block: Block) -> str:
    match block:
        case Title(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Table(head, rows):
            heads = "".join(f'<th scope="col">{html.escape(each)}' for each in head)
            lines = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in rows)
            return f"<table><thead><tr>{heads}</thead><tbody>\n{lines}\n</tbody></table>"
        case str():
            return f"<p>{html.escape(block)}</p>"


def _text(block: Block) -> str:
    match block:
        case Title(level, text):
            return f"{'#' * level} {_plain(text)}"
        case Table(head, rows):
            return "\n".join(map(_line, [head, tuple("---" for _ in head), *rows]))
        case str():
            return _plain(block)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: str) -> str:
    """Return a text in one line: what others wrote must not begin a heading or a row."""
    return " ".join(text.split())


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
