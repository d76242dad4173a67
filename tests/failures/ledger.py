"""The acknowledged changes, for a comparison with the audit."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2

HARMLESS: Mapping[str, Any] = {"effect": {"type": "error"}, "rate": 1e-9, "target": {"methods": ["DELETE"]}}
"""A fault that matches no request."""


class Ledger:
    """Makes changes, and records how often each may be in the audit."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._told: dict[str, tuple[int, ...]] = {}
        self.revision = 0
        """The latest acknowledged revision of the faults; the world counts its own."""

    @property
    def made(self) -> int:
        """The number of acknowledged changes."""
        return list(self._told.values()).count((1,))

    def put(
        self,
        client: httpx2.Client,
        url: str,
        fault: Mapping[str, Any] = HARMLESS,
        *,
        wait: str = "0s",
        deaf: bool = False,
    ) -> httpx2.Response | None:
        """Create or replace a fault; None without a response. With `deaf`, a refused change may have been made."""
        reason = self._next_reason()
        path = f"{url}/admin/faults/{fault.get('name', 'harmless')}"
        request = client.build_request("PUT", path, params={"wait": wait}, json={**fault, "reason": reason})
        answer = self._send(client, request, reason, deaf=deaf)
        if answer and answer.is_success:
            self.revision = max(self.revision, answer.json()["revision"])
        return answer

    def change_world(
        self, client: httpx2.Client, url: str, *, wait: str = "0s", deaf: bool = False
    ) -> httpx2.Response | None:
        """Change a setting of the world; otherwise like `put`."""
        reason = self._next_reason()
        params = {"wait": wait, "note": reason}
        setting = {"settings": {"queue": len(self._told)}}
        return self._send(
            client, client.build_request("PATCH", f"{url}/admin/world", params=params, json=setting), reason, deaf=deaf
        )

    def _next_reason(self) -> str:
        reason = f"change {next(self._numbers)}"
        self._told[reason] = (0, 1)
        return reason

    def _send(
        self, client: httpx2.Client, request: httpx2.Request, reason: str, *, deaf: bool
    ) -> httpx2.Response | None:
        request.headers["x-chaos-actor"] = "tester"
        try:
            answer = client.send(request)
        except httpx2.TransportError:
            return None
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "the store" in answer.json()["detail"]
            self._told[reason] = (0, 1) if deaf else (0,)
        else:
            answer.raise_for_status()
            self._told[reason] = (1,)
        return answer

    def check(self, audit: list[dict[str, Any]]) -> None:
        """Compare the audit with the acknowledged changes: none is lost, doubled or added, no revision is missing.

        But where the store was healed: there the revision leaps.
        """
        found = Counter(entry["reason"] for entry in audit if entry["actor"] == "tester (unverified)")
        wrong = {reason: found[reason] for reason, allowed in self._told.items() if found[reason] not in allowed}
        assert not wrong, f"how often these are in the audit: {wrong}; {[self._told[reason] for reason in wrong]}"
        assert found.keys() <= self._told.keys(), f"nobody asked for {found.keys() - self._told.keys()}"
        revisions = [entry["revision"] for entry in audit]
        leaps = {entry["revision"] for entry in audit if entry["actor"] == "store"}
        steps = [later - earlier for later, earlier in itertools.pairwise([*revisions, 0]) if later not in leaps]
        assert set(steps) <= {1}, f"revisions left out or doubled: {revisions}"
        assert len(set(revisions)) == len(revisions), f"revisions doubled: {revisions}"
