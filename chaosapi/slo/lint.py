"""List every mistake of a spec file by line and field: invalid content, and SLOs that cannot work."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic.alias_generators import to_camel

from chaosapi.slo import document, feasibility, spec
from chaosapi.slo.document import Document, InvalidFile, Loc
from chaosapi.slo.feasibility import Conditions, Level
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile


class Finding(NamedTuple):
    """One finding; `str` formats it as compilers do, so that editors can jump to the line. A profile has no line."""

    source: str
    line: int | None
    field: str
    level: Level
    message: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        return f"{where}: {self.level}: {self.field or 'document'}: {self.message}"


def lint(path: Path, profile: Profile, profile_source: str, where: Conditions) -> list[Finding]:
    """Return all findings: about the profile first, then about the file, from its top to its end.

    Raises errors.Invalid only for an unreadable file.
    """
    source = str(path)
    unfit = [
        Finding(profile_source, None, "profile", "error", message)
        for message in feasibility.check_profile(profile, where)
    ]
    return unfit + sorted(_in_file(document.read_text(path), source, profile, where), key=lambda found: found.line or 0)


def _in_file(text: str, source: str, profile: Profile, where: Conditions) -> list[Finding]:
    try:
        documents = document.documents(text, source) or [Document(source, None, None)]
    except InvalidFile as refused:
        return _mistakes(refused)
    found: list[Finding] = []
    specs: list[tuple[Document, Spec]] = []
    for each in documents:
        try:
            specs.append((each, spec.read_document(each)))
        except InvalidFile as refused:
            found += _mistakes(refused)
    for each, one in specs:
        found += _check_document(each, one, profile, where)
    return found + list(_duplicates(specs))


def _mistakes(refused: InvalidFile) -> list[Finding]:
    return [Finding(refused.source, line, field, "error", message) for line, field, message in refused.mistakes]


def _check_document(each: Document, one: Spec, profile: Profile, where: Conditions) -> Iterator[Finding]:
    for loc, level, message in feasibility.check_spec(one, profile, where):
        yield _located(each, _in_file_spelling(one, loc), level, message)


def _duplicates(specs: Sequence[tuple[Document, Spec]]) -> Iterator[Finding]:
    """Yield a finding for every SLO whose series would mix with the series of an earlier document."""
    seen: set[str] = set()
    for each, one in specs:
        for index, slo in enumerate(one.slos):
            identity = one.identity_labels(slo)["sloth_id"]
            if identity in seen:
                loc = _in_file_spelling(one, ("slos", index, "name"))
                yield _located(each, loc, "error", f"the SLO {identity} is there twice in this file")
            seen.add(identity)


def _located(each: Document, loc: Loc, level: Level, message: str) -> Finding:
    line, field, _ = each.mistake(loc, message)
    return Finding(each.source, line, field, level, message)


def _in_file_spelling(one: Spec, loc: Loc) -> Loc:
    """Return a place in a spec as the file spells it: Kubernetes objects have an envelope and camelCase."""
    if one.version != spec.KUBERNETES:
        return loc
    return ("spec", *(to_camel(step) if isinstance(step, str) else step for step in loc))
