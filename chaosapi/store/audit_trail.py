"""The log line of each change of faults and of the world, for those who may know of faults."""

from typing import Any, Final

from chaosapi import durations
from chaosapi.faults.state import Applied, AuditEntry
from chaosapi.logger import get_logger

_EVENTS: Final = {
    "create": "fault created",
    "replace": "fault replaced",
    "patch": "fault changed",
    "end": "fault ended",
    "end_all": "all faults ended",
    "halt": "chaos halted",
    "resume": "halt lifted",
    "world": "world changed",
    "issue_token": "token issued",
    "revoke_token": "token revoked",
}

log = get_logger("chaosapi.audit")


def log_change(entry: AuditEntry, applied: Applied) -> None:
    """Write the line of a change that a store has made, on the replica that has asked for it; nothing without one."""
    if applied.after.revision == applied.before.revision:
        return
    signed = entry.signed(applied.after)
    fields: dict[str, Any] = {"revision": signed.revision, "actor": signed.actor}
    if signed.fault is not None:
        fields["fault"] = signed.fault
    if signed.reason:
        fields["reason"] = signed.reason
    if signed.spec is not None:
        fields["effect"] = signed.spec.effect.type
        fields["rate"] = signed.spec.rate
        fields["duration"] = durations.format(signed.spec.schedule.duration)
    if signed.fields:
        fields["changed"] = [change.model_dump(mode="json") for change in signed.fields]
    log.info(_EVENTS[signed.action], **fields)
