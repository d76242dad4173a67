"""What this replica remembers of the audit, to show it while the store is away and to put it back where it is lost."""

import re
from collections.abc import Collection, Iterable
from typing import Final

_LINE: Final = re.compile(r'[0-9a-f]+ {"revision":([0-9]{1,16}),')
_SLACK: Final = 1.1
"""How far the bounds may be passed before the oldest entries go; all at once is cheaper than one by one."""


def line_revision(line: str) -> int | None:
    """Return the revision of a line of the audit; None where it is not one."""
    found = _LINE.match(line)
    return int(found[1]) if found else None


class AuditCache:
    """Lines of the audit, each once; of many those with the highest revisions."""

    def __init__(self, most: int, size: int) -> None:
        self._max_lines = most
        self._max_characters = size
        self._lines: dict[str, int] = {}
        self._characters = 0

    def __contains__(self, line: str) -> bool:
        return line in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, lines: Iterable[str]) -> None:
        """Remember them too."""
        for line in lines:
            number = line_revision(line)
            if number is not None and line not in self._lines:
                self._lines[line] = number
                self._characters += len(line)
        if len(self._lines) > self._max_lines * _SLACK or self._characters > self._max_characters * _SLACK:
            kept = trim(self.newest(), self._max_lines, self._max_characters)
            self._lines = {line: self._lines[line] for line in kept}
            self._characters = sum(map(len, kept))

    def newest(self) -> list[str]:
        """Return all, newest first."""
        return sorted(self._lines, key=self._lines.__getitem__, reverse=True)

    def missing(self, lines: Collection[str]) -> list[str]:
        """Return those that are not among the given ones."""
        known = set(lines)
        return [line for line in self._lines if line not in known]


def trim(lines: Iterable[str], most: int, size: int) -> list[str]:
    """Return the first of them: at most so many, of at most so many characters together, but one at least."""
    kept: list[str] = []
    for line in lines:
        size -= len(line)
        if kept and (size < 0 or len(kept) >= most):
            break
        kept.append(line)
    return kept
