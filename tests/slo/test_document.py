from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi import errors
from chaosapi.slo import document

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(TEXT, st.one_of(TEXT, st.lists(TEXT), st.dictionaries(TEXT, TEXT))))
def test_what_is_written_reads_back(data: dict[str, object]) -> None:
    """Any data survives a round trip through YAML: labels are quoted correctly."""
    assert yaml.safe_load(document.write(data, "a test")) == data


def test_generated_files_name_their_command_and_are_readable() -> None:
    """The first line names the command; long text is not wrapped, lists are indented, and there are no anchors."""
    shared = {"a": "1"}
    text = document.write({"rules": [{"expr": "one\ntwo", "labels": shared}, {"labels": shared}]}, "make gen")
    assert text.startswith("# Made by `make gen`")
    assert text.splitlines()[1:] == [
        "rules:",
        "  - expr: |-",
        "      one",
        "      two",
        "    labels:",
        "      a: '1'",
        "  - labels:",
        "      a: '1'",
    ]


def merged(levels: int) -> str:
    """Return mappings that each merge the previous one eight times: 400 bytes for millions of keys."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, levels)]
    return "\n".join(lines)


def listed(levels: int) -> str:
    """Return lists that each contain the previous one eight times."""
    return "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8 if n else 'x')}]" for n in range(levels))


HOSTILE = [
    (merged(7), 11, "more than 50,000 values"),
    (listed(7), 6, "more than 50,000 values"),
    ("a: 1\nb: " + "[" * 20_000, 2, "more than 32 levels"),
    ("a: 1\nb: " + "{a: " * 20_000, 2, "more than 32 levels"),
    ("- " * 20_000 + "x", 1, "more than 32 levels"),
    ("\n".join("  " * n + "a:" for n in range(500)), 33, "more than 32 levels"),
    ("\n".join(f"a{n}: &a{n} [[[[[[[[{f'*a{n - 1}' if n else 1}]]]]]]]]" for n in range(9)), 4, "more than 32 levels"),
    ("a: 1\nb: &b [1, *b]", 2, "*b stands in what it refers to"),
    ("a: 1\nb: &b\n  <<: *b", 3, "*b stands in what it refers to"),
    ('a: 1\nb: "\\ud800"', 2, "lone surrogate"),
    ('"\\udfff": 1', 1, "lone surrogate"),
    ("a: 1\nb: !!python/object:os.system x", 2, "tags"),
    ("a: !!binary aGk=", 1, "tags"),
    ("a: \x01", 1, "special characters"),
    ("a: 1\na: 2", 2, "the key a is there twice"),
]


@pytest.mark.parametrize(("text", "line", "says"), HOSTILE, ids=lambda value: str(value)[:40])
def test_a_malicious_file_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    """Few bytes that expand to gigabytes, endless depth, Python objects, text that cannot be encoded."""
    with pytest.raises(document.InvalidFile) as caught:
        document.documents(text, "f.yaml")
    (mistake,) = caught.value.mistakes
    assert says in mistake.message
    assert mistake.line == line


def test_references_within_the_budget_are_resolved() -> None:
    """Users of Sloth share labels with anchors and merge keys."""
    text = "base: &base {a: x, b: y}\nother: {<<: *base, b: z}\nagain: [*base, *base]\ntagged: !!str 1"
    (found,) = document.documents(text, "f.yaml")
    base = {"a": "x", "b": "y"}
    assert found.data == {"base": base, "other": {"a": "x", "b": "z"}, "again": [base, base], "tagged": "1"}


def test_a_file_is_read_no_further_than_its_budget(tmp_path: Path) -> None:
    """Also an endless file."""
    large = tmp_path / "large.yaml"
    large.write_text("#" * 1_000_001)
    for path in (large, Path("/dev/zero")):
        with pytest.raises(errors.Invalid, match="more than 1,000,000 bytes"):
            document.read_text(path)


def test_of_many_errors_some_are_listed_and_the_rest_counted() -> None:
    """A hundred lines are enough for a reader."""

    class Strict(document.FileModel):
        items: list[int]

    with pytest.raises(document.InvalidFile) as caught:
        document.parse("items:\n" + "- x\n" * 1000, Strict, "f.yaml")
    assert len(caught.value.mistakes) == 101
    assert caught.value.mistakes[-1].message == "and 900 mistakes more"


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u200d", "\u2028", "\ufeff", "\U000e0041", "\x1b"])
def test_invisible_control_characters_are_escaped(character: str) -> None:
    """In keys and in multi-line text too: terminals and editors show the escape, and Prometheus reads the same text."""
    data = {f"a{character}": [f"b{character}c", f"d\n{character}e\n", "plain ü × 🙂"]}
    text = document.write(data, "a test")
    assert character not in text
    assert "plain ü × 🙂" in text
    assert yaml.safe_load(text) == data
