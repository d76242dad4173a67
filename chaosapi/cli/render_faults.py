"""Render faults and replicas for a terminal of eighty columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from chaosapi import durations
from chaosapi.binomial import LEVEL, expected_range
from chaosapi.clients.answers import Replicas, ReplicaView
from chaosapi.effects import EFFECTS, ProcessEffect
from chaosapi.terminal import styled

_ON_THE_PROCESS = {effect.model_fields["type"].default for effect in EFFECTS if issubclass(effect, ProcessEffect)}
_STYLES = {"active": "bold red", "scheduled": "yellow", "ended": "dim"}


def fault_table(faults: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each fault, with the expected range of the actual share below the requested one."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), caption_justify="left")
    for column in ("fault", "what and where"):
        table.add_column(column, overflow="fold")
    table.add_column("state", no_wrap=True)
    for column in ("ends in", "requested", "actual"):
        table.add_column(column, justify="right", no_wrap=True)
    for fault in faults:
        receipt = fault["receipt"]
        expected = _expected_range(fault)
        if expected:
            table.caption = f"the range has the actual share in {LEVEL:.0%} of runs"
        table.add_row(
            fault["name"],
            "\n".join(filter(None, [effect(fault["effect"]), target(fault), *_condition(fault), fault.get("note")])),
            _state(fault),
            _remaining(fault),
            "\n".join(filter(None, [f"{receipt['requested_rate']:.2%}", expected])),
            "\n".join(
                [
                    f"{receipt['achieved_rate']:.2%}",
                    f"{receipt['injected']}/{receipt['matched']}",
                    *([f"{receipt['skipped']} skipped"] if receipt["skipped"] else []),
                    *([f"{receipt['spared']} spared"] if receipt.get("spared") else []),
                ]
            ),
        )
    return table


def fault_details(fault: Mapping[str, Any]) -> Table:
    """Return one fault with its receipt, a row for each field."""
    receipt = fault["receipt"]
    schedule = fault["schedule"]
    shape = {name: value for name, value in schedule["shape"].items() if (name, value) != ("scales", "rate")}
    table = Table.grid(padding=(0, 2))
    table.add_row("fault", styled(fault["name"], "bold"))
    table.add_row("effect", effect(fault["effect"]))
    table.add_row("target", target(fault))
    table.add_row(
        "rate", f"{fault['rate']:.4g} × strength {fault['strength']:g}, {_words(shape)}, seed {fault['seed']}"
    )
    if fault["rate_sum"]:
        table.add_row("", fault["rate_sum"])
    for line in _condition(fault):
        table.add_row("condition", line)
    table.add_row("state", _state(fault))
    table.add_row("time", f"{fault['starts_at'][11:19]} to {fault['ends_at'][11:19]} UTC, {_remaining(fault)} left")
    table.add_row(
        "receipt",
        f"{receipt['injected']} of {receipt['matched']} requests hit: {receipt['achieved_rate']:.4%}, "
        f"{receipt['skipped']} skipped" + (f", {receipt['spared']} spared" if receipt.get("spared") else ""),
    )
    expected = _expected_range(fault)
    in_range = f", expected range {expected} (in {LEVEL:.0%} of runs)" if expected else ""
    table.add_row("", f"requested {receipt['requested_rate']:.4%}{in_range}")
    table.add_row("", f"applied by {format_replicas(receipt['replicas'])}")
    for counts in receipt.get("by_replica", []):
        table.add_row(
            "", f"{counts['replica']}: {counts['injected']} of {counts['matched']} hit, {counts['spared']} spared"
        )
    for denied in receipt.get("denied", []):
        table.add_row("denied", styled(f"on {denied['replica']}: {denied['reason']}"))
    for kind, quantiles in (receipt["delay"] or {}).items():
        table.add_row(f"{kind}", "  ".join(f"{name} {value}" for name, value in quantiles.items()))
    if fault.get("note"):
        table.add_row("note", styled(fault["note"], "yellow"))
    if fault["reason"]:
        table.add_row("reason", fault["reason"])
    return table


def _expected_range(fault: Mapping[str, Any]) -> str:
    found = expected_range(fault)
    return f"{100 * found[0]:.1f} to {found[1]:.1%}" if found else ""


def format_replicas(replicas: Replicas) -> str:
    """Return how many of the replicas have applied a change."""
    so_far = " so far" if replicas["applied"] < replicas["known"] else ""
    return f"{replicas['applied']} of {replicas['known']} replicas{so_far}"


def replica_table(known: Sequence[ReplicaView]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("replica", "process"):
        table.add_column(column, overflow="fold")
    for column in ("since", "last seen", "revision", "behind"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in known:
        times = each["started"][11:19], each["last_seen"][11:19]
        named = [each["name"]] if each.get("name", each["id"]) != each["id"] else []
        names = "\n".join([*named, each["id"]])
        table.add_row(names, str(each["pid"]), *times, str(each["revision"]), str(each["lag"]))
    return table


def empty_table(title: str, style: str, name: str, *columns: str) -> Table:
    """Return an empty table: names at the left, numbers at the right."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, title=title, title_justify="left", title_style=style)
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def effect(fields: Mapping[str, Any]) -> str:
    inner = fields.get("distribution")
    if inner:
        return f"{fields['type']}: {fields['mode']} {_words(inner)}"
    return _words({name: value for name, value in fields.items() if (name, value) != ("when", "before")})


def target(fault: Mapping[str, Any]) -> str:
    fields = fault["target"]
    replicas = [f"on {', '.join(fields['replicas'])}"] if fields.get("replicas") else []
    if fault["effect"]["type"] in _ON_THE_PROCESS:
        return " ".join(["the process", *replicas])
    points = [f"calls to {' '.join(fields['points'])} in"] if fields["points"] else []
    parts = [*points, *(fields["methods"] or []), *(fields["routes"] or ["all routes"])]
    parts += [f"{name}={value}" for name, value in fields["headers"].items()]
    parts += [f"by {fields['sticky_by']}"] if fields["sticky_by"] else []
    return " ".join([*parts, *replicas])


def _condition(fault: Mapping[str, Any]) -> list[str]:
    """Return the condition in a line, and another one that says why it does not hold."""
    tests = fault.get("while")
    if not tests:
        return []
    words = "while " + " and ".join(f"{name} {_test(test)}" for name, test in tests.items() if test not in (None, {}))
    state = fault.get("condition")
    if not state or not state["reason"]:
        return [words]
    return [words, f"acts on {', '.join(state['replicas']) or 'no replica'} now: {state['reason']}"]


def _words(fields: dict[str, Any]) -> str:
    rest = ", ".join(
        f"{name} {_plain(value)}" for name, value in fields.items() if name != "type" and value not in (None, {})
    )
    return f"{fields['type']} {rest}".strip()


def _test(value: Any) -> str:
    """Return what a part of the world must be, in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_test(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_plain(each)}" for name, each in value.items() if each is not None)
    return str(value)


def _state(fault: Mapping[str, Any]) -> Text:
    return styled(fault["state"], _STYLES.get(fault["state"], ""))


def _remaining(fault: Mapping[str, Any]) -> str:
    return durations.format(round(durations.parse(fault["remaining"])))
