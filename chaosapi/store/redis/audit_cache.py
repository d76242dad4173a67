"""A replica's cache of the audit: shown while the store is away, and restored to a store that lost entries."""

import re
from collections.abc import Collection, Iterable
from typing import Final

_LINE: Final = re.compile(r'[0-9a-f]+ {"revision":([0-9]{1,16}),')
_SLACK: Final = 1.1
"""Tolerated excess over the limits: one large eviction is cheaper than many small ones."""


def line_revision(line: str) -> int | None:
    """Return the revision in an audit line; None if the text is no audit line."""
    found = _LINE.match(line)
    return int(found[1]) if found else None


class AuditCache:
    """Audit lines without duplicates; evicts those with the lowest revisions."""

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: dict[str, int] = {}
        self._bytes = 0

    def __contains__(self, line: str) -> bool:
        return line in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            number = line_revision(line)
            if number is not None and line not in self._lines:
                self._lines[line] = number
                self._bytes += len(line.encode())
        if len(self._lines) > self._max_lines * _SLACK or self._bytes > self._max_bytes * _SLACK:
            kept = trim(self.newest(), self._max_lines, self._max_bytes)
            self._lines = {line: self._lines[line] for line in kept}
            self._bytes = sum(len(line.encode()) for line in kept)

    def newest(self) -> list[str]:
        """Return all lines, newest first."""
        return sorted(self._lines, key=self._lines.__getitem__, reverse=True)

    def missing(self, lines: Collection[str]) -> list[str]:
        """Return the cached lines that are not among the given ones."""
        known = set(lines)
        return [line for line in self._lines if line not in known]


def trim(lines: Iterable[str], max_lines: int, max_bytes: int) -> list[str]:
    """Return the first lines up to a number of lines and of bytes; at least one line."""
    kept: list[str] = []
    for line in lines:
        max_bytes -= len(line.encode())
        if kept and (max_bytes < 0 or len(kept) >= max_lines):
            break
        kept.append(line)
    return kept
