"""Changes of the world: merge patches, the feed, and what a store keeps of both."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chaosapi.errors import PreconditionFailed
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.state import State
from chaosapi.settings import Settings
from chaosapi.store.codec import StateReader, read_state, write, write_state
from chaosapi.store.redis.announcement import Announcement
from chaosapi.world.changes import MAX_CHANGES, WorldChange, differences, undone
from chaosapi.world.world import World
from tests.store.conftest import a_fault

BASE = World.of(Settings(shop_retries=1))


def patch(document: dict[str, Any], note: str = "", base: World = BASE) -> Change:
    """Return a change of the world by `ann` at time 7."""
    about = WorldChange(revision=0, at=7.0, actor="ann", note=note)
    return changes.change_world(document, base, World.model_validate, about)


def test_what_nobody_changed_follows_the_settings_of_the_replica() -> None:
    """Also after other fields were changed, and again after null was sent."""
    state = patch({"settings": {"shop_breaker": False}})(State())
    assert state.world.over(BASE).settings.shop_retries == 1
    assert state.world.over(World.of(Settings(shop_retries=5))).settings.shop_retries == 5
    state = patch({"settings": {"shop_retries": 0}})(state)
    assert state.world.over(World.of(Settings(shop_retries=5))).settings.shop_retries == 0
    state = patch({"settings": {"shop_retries": None}})(state)
    assert state.world.over(BASE).settings.shop_retries == 1


def test_the_feed_has_the_fields_with_their_values_before_and_after() -> None:
    """Newest first, with who and why, under the revision of the state."""
    state = changes.create(a_fault("a"), 1.0)(State())
    state = patch({"settings": {"shop_retries": 0}, "rotation": {"shop-2": "drained"}}, "too many tries")(state)
    state = patch({"rotation": {"shop-2": None}})(state)
    back, first = state.world_changes
    assert (first.revision, first.actor, first.note, first.at) == (2, "ann", "too many tries", 7.0)
    assert [(each.field, each.before, each.after) for each in first.fields] == [
        ("settings.shop_retries", 1, 0),
        ("rotation.shop-2", None, "drained"),
    ]
    assert [(each.field, each.before, each.after) for each in back.fields] == [("rotation.shop-2", "drained", None)]
    assert state.revision == state.world_revision == 3


def test_a_patch_that_changes_nothing_is_no_change() -> None:
    """The same patch again, and one with the values of the settings."""
    state = patch({"flags": {"new-pricing": True}})(State())
    assert patch({"flags": {"new-pricing": True}, "settings": {"shop_retries": 1}})(state) is state


def test_the_release_before_becomes_the_previous_one() -> None:
    """Unless the patch says which one that is."""
    state = patch({"release": {"running": "2.4.1"}})(State())
    assert (state.world.release.running, state.world.release.previous) == ("2.4.1", "1.0.0")
    state = patch({"release": {"running": "2.4.2", "previous": "2.3.9"}})(state)
    assert state.world.release.previous == "2.3.9"
    state = patch({"release": None})(state)
    assert state.world.over(BASE).release.running == "1.0.0"
    assert state.world.release.previous == "2.4.2"


@pytest.mark.parametrize(
    "document",
    [
        {"settings": {"shop_retries": 11}},
        {"settings": {"shop_retries": "2"}},
        {"flags": {"newpricing": True}},
        {"shed": {"checkout": 0.5}},
        {"shed": {"browse": 30}},
        {"quarantine": ["p-0001", "p-0001"]},
        {"limits": [{"header": "X-Tenant", "value": "a", "requests_per_second": 1}] * 2},
        {"rotation": {"shop 2": "drained"}},
        {"providers": {"payments": "stripe"}},
        {"release": {"running": ""}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_whole(document: dict[str, Any]) -> None:
    """The right fields of the same patch are not applied either."""
    with pytest.raises(ValidationError):
        patch({"providers": {"payments": "bolt"}, **document})(State())


def test_a_change_may_depend_on_the_revision_of_the_world() -> None:
    """Not on that of a fault."""
    state = changes.create(a_fault("a"), 1.0)(patch({"shed": {"browse": 0.5}})(State()))
    assert changes.unless_world_changed([1], patch({"shed": {}}))(state) is state
    with pytest.raises(PreconditionFailed, match="revision 1"):
        changes.unless_world_changed([2], patch({"shed": None}))(state)


def test_faults_end_and_the_world_stays() -> None:
    """After the kill switch, and in a state that replaces an unreadable one."""
    state = changes.create(a_fault("a"), 1.0)(patch({"shed": {"browse": 0.5}})(State()))
    assert changes.end_all(2.0)(state).world == state.world
    assert state.emptied(9, None).world_changes == state.world_changes


def test_the_feed_keeps_the_latest_changes() -> None:
    """At most a hundred, and fewer if they are large."""
    state = State()
    for number in range(MAX_CHANGES + 5):
        state = patch({"settings": {"queue": number}})(state)
    assert len(state.world_changes) == MAX_CHANGES
    for number in range(MAX_CHANGES):
        state = patch({"settings": {"queue": number}}, "x" * 2000)(state)
    assert 20 < len(state.world_changes) < 40


def test_a_state_of_before_has_the_world_that_nobody_changed() -> None:
    """It has no such field."""
    assert read_state('{"revision":3,"faults":[],"halt":null}').world == World()


PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "settings": st.fixed_dictionaries(
            {}, optional={"shop_retries": st.none() | st.integers(0, 10), "queue_timeout": st.none() | st.just("90ms")}
        ),
        "flags": st.dictionaries(st.sampled_from(["new-pricing", "bulk-export"]), st.none() | st.booleans()),
        "rotation": st.none() | st.dictionaries(st.sampled_from("abc"), st.none() | st.just("drained")),
        "quarantine": st.none() | st.lists(st.sampled_from(["p-0001", "p-0002"]), unique=True),
    },
)


def model(world: dict[str, Any], document: dict[str, Any]) -> None:
    """Apply a patch to a dictionary of dotted fields."""
    for part, value in document.items():
        for name in list(world):
            if name == part or (value is None and name.startswith(f"{part}.")):
                del world[name]
        if isinstance(value, list):
            world[part] = value
        for name, each in value.items() if isinstance(value, dict) else ():
            world.pop(f"{part}.{name}", None)
            if each is not None:
                world[f"{part}.{name}"] = 0.09 if each == "90ms" else each


@settings(deadline=None, derandomize=True)
@given(st.lists(PATCHES, max_size=12))
def test_any_sequence_of_patches_equals_a_model(patches: list[dict[str, Any]]) -> None:
    """Here, through the store's text, and on another replica that receives announcements."""
    state = theirs = State()
    reader = StateReader()
    fields: dict[str, Any] = {}
    revisions = 0
    for document in patches:
        before = dict(fields)
        model(fields, document)
        after = patch(document)(state)
        expected = flat(World.model_validate(nested(fields)).over(BASE).document())
        assert flat(after.world.over(BASE).document()) == expected
        changed = expected != flat(World.model_validate(nested(before)).over(BASE).document())
        revisions += changed
        assert after.revision == revisions
        if changed:
            announced = Announcement.of(state, after, epoch="e", version="v", follows="f", line="l")
            theirs = Announcement.model_validate_json(write(announced)).apply(theirs)
        else:
            fields = before
        state = after
        text = write_state(state)
        assert text == write(state)
        assert reader.read(text) == read_state(text) == theirs == state
        assert reader.read(text).world.text == theirs.world.text == state.world.text


def flat(document: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return the values by their dotted fields."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        found |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return found


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the document of dotted fields."""
    document: dict[str, Any] = {}
    for field, value in fields.items():
        part, _, name = field.partition(".")
        if name:
            document.setdefault(part, {})[name] = value
        else:
            document[part] = value
    return document


@pytest.mark.parametrize(
    "document",
    [
        {"release": {"running": "2.4.1", "previous": "1.0.0", "by_replica": {"shop.a-1": "3"}}},
        {"rotation": {"shop.2": "drained"}, "limits": [{"header": "x", "value": "y", "requests_per_second": 0}]},
        {"settings": {"shop_timeout": 0.2}, "shed": {"browse": 0.5}, "quarantine": ["p-0042"], "flags": {}},
    ],
)
def test_the_world_before_a_change_is_known_from_its_fields(document: dict[str, Any]) -> None:
    """In both directions."""
    for before, after in ((World(), World.model_validate(document)), (World.model_validate(document), World())):
        change = WorldChange(revision=1, at=1.0, actor="ann", fields=differences(before, after))
        assert undone(after, change).document() == before.document()
