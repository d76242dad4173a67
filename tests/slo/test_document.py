import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.slo import document

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(TEXT, st.one_of(TEXT, st.lists(TEXT), st.dictionaries(TEXT, TEXT))))
def test_what_is_written_reads_back(data: dict[str, object]) -> None:
    """Any data comes out of the YAML text as it went in: quoting is right, whatever labels hold."""
    assert yaml.safe_load(document.write(data, "a test")) == data


def test_generated_text_says_what_made_it_and_is_made_for_reading() -> None:
    """The first line names the command; long text stays on its lines, lists are indented, nothing is a reference."""
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
