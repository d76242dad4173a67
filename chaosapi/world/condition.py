"""Conditions: the part of the world that must hold for a fault to act."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Discriminator, Field, Strict, Tag, model_validator
from pydantic_core import PydanticCustomError

from chaosapi import durations
from chaosapi.models import Line, Model, at_most_entries
from chaosapi.world.safe import SafeRange
from chaosapi.world.world import Flag, ProductId, RequestClass, ShopSettings, Version, World

_MOST_ENTRIES: Final = 20
_MOST: Final = 1e9
_WORDS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
    "equal": operator.eq,
}
_LIMITED: Final = r"^[a-z0-9!#$%&'*+.^_`|~-]{1,100}=.{1,200}$"


def _check_value(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("value", "a value is true or false, a number, or text")
    if isinstance(value, int | float) and not 0 <= value <= _MOST:
        raise PydanticCustomError("value", "a number from 0 to 1,000,000,000")
    return value


def _kind(value: Any) -> str:
    return "comparison" if isinstance(value, dict | NumberComparison) else "value"


Value = Annotated[bool | int | float | Annotated[Line, Field(max_length=100)], BeforeValidator(_check_value)]


class NumberComparison(Model):
    """What a number or a duration must be; all given parts must hold."""

    above: Value | None = None
    at_least: Value | None = None
    below: Value | None = None
    at_most: Value | None = None
    equal: Value | None = None

    @model_validator(mode="after")
    def _check_given(self) -> Self:
        if not self.parts():
            raise PydanticCustomError("comparison", "say one of {words}", {"words": ", ".join(_WORDS)})
        return self

    def parts(self) -> dict[str, Value]:
        """Return the values by the words that were given."""
        given = {word: getattr(self, word) for word in _WORDS}
        return {word: value for word, value in given.items() if value is not None}


Test = Annotated[Annotated[NumberComparison, Tag("comparison")] | Annotated[Value, Tag("value")], Discriminator(_kind)]
"""A comparison, or the value that must be equal."""
_few = at_most_entries(_MOST_ENTRIES)
_Switch = Annotated[bool, Strict()]
_Setting: TypeAlias = Literal[tuple(ShopSettings.model_fields)]  # type: ignore[valid-type]  # mypy wants it spelt out


class Condition(Model):
    """The part of the world that must hold for a fault to act on a replica; all given parts must."""

    release: Version | None = None
    """The release that the replica runs."""
    flags: dict[Flag, _Switch] = Field(default_factory=dict)
    """Flags, and whether each must be on."""
    settings: Annotated[dict[_Setting, Test], _few] = Field(default_factory=dict)
    """Settings of the shop, each with its value or a comparison: `{"shop_retries": {"above": 0}}`."""
    providers: dict[Literal["payments"], Literal["acme", "bolt"]] = Field(default_factory=dict)
    """Dependencies, and who must provide each."""
    in_rotation: _Switch | None = None
    """Whether the replica must take traffic (true), or be drained (false)."""
    limits: Annotated[dict[Annotated[str, Field(pattern=_LIMITED)], Test], Field(max_length=_MOST_ENTRIES), _few] = (
        Field(default_factory=dict)
    )
    """Values of headers (`x-tenant=acme`), and the requests per second that each may send; any number without limit."""
    shed: dict[RequestClass, Test] = Field(default_factory=dict)
    """Classes of requests, and the share of each that is shed."""
    quarantine: Annotated[dict[ProductId, _Switch], Field(max_length=_MOST_ENTRIES), _few] = Field(default_factory=dict)
    """Products, and whether each must be in quarantine."""

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if not self.parts():
            names = ", ".join(type(self).model_fields)
            raise PydanticCustomError("condition", "say what must hold: one of {names}", {"names": names})
        for name, test in self.settings.items():
            for word, value in _parts(test).items():
                _check_setting(name, word, value)
        for level in (*self.limits.values(), *self.shed.values()):
            for value in _parts(level).values():
                if not _is_number(value):
                    raise PydanticCustomError("level", "limits and shed are compared with numbers")
        return self

    def parts(self) -> list[str]:
        """Return the names of the parts that were given."""
        return [name for name in type(self).model_fields if getattr(self, name) not in (None, {})]

    def unmet(self, world: World, replica: str) -> str | None:
        """Return why the condition does not hold on this replica, in words; None if it holds."""
        return next(self._reasons(world, replica), None)

    def _reasons(self, world: World, replica: str) -> Iterator[str]:
        release = world.release.of(replica)
        if self.release not in {None, release}:
            yield f"the release is {release}, not {self.release}"
        if self.in_rotation not in {None, world.in_rotation(replica)}:
            yield "the replica is drained" if self.in_rotation else "the replica is in rotation"
        limits = {f"{limit.header}={limit.value}": limit.requests_per_second for limit in world.limits}
        yield from chain(
            _unmet_switches("the flag {} is {}", "on", "off", self.flags, world.flags),
            _unmet_settings(self.settings, world.settings),
            _unmet_providers(self.providers, dict(world.providers)),
            _unmet_levels("{} may send {} requests/s", self.limits, limits, math.inf),
            _unmet_levels("of {} {} is shed", self.shed, world.shed, 0.0),
            _unmet_switches(
                "{} is {} quarantine", "in", "not in", self.quarantine, dict.fromkeys(world.quarantine, True)
            ),
        )


def _unmet_switches(
    words: str, on: str, off: str, wanted: Mapping[Any, bool], actual: Mapping[Any, bool]
) -> Iterator[str]:
    for name, switch in wanted.items():
        if actual.get(name, False) != switch:
            yield words.format(name, off if switch else on)


def _unmet_settings(tests: Mapping[str, Test], settings: ShopSettings) -> Iterator[str]:
    for name, test in tests.items():
        actual = getattr(settings, name)
        if not _holds(test, actual, durations.parse if _is_duration(name) else _itself):
            shown = durations.format(actual) if _is_duration(name) else _text(actual)
            yield f"{name} is {shown}, not {_describe(test)}"


def _unmet_providers(wanted: Mapping[Any, str], actual: Mapping[str, str]) -> Iterator[str]:
    for dependency, provider in wanted.items():
        if actual[dependency] != provider:
            yield f"{dependency} is provided by {actual[dependency]}, not {provider}"


def _unmet_levels(words: str, tests: Mapping[Any, Test], actual: Mapping[Any, float], default: float) -> Iterator[str]:
    for name, test in tests.items():
        level = actual.get(name, default)
        if not _holds(test, level, _itself):
            yield f"{words.format(name, 'any number of' if level == math.inf else f'{level:g}')}, not {_describe(test)}"


def _parts(test: Test) -> Mapping[str, Value]:
    return test.parts() if isinstance(test, NumberComparison) else {"equal": test}


def _holds(test: Test, actual: Any, read: Callable[[Any], Any]) -> bool:
    return all(_WORDS[word](actual, read(value)) for word, value in _parts(test).items())


def _itself(value: Any) -> Any:
    return value


def _describe(test: Test) -> str:
    words = [f"{word.replace('_', ' ')} {_text(value)}" for word, value in _parts(test).items()]
    return " and ".join(words).removeprefix("equal ")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_duration(setting: str) -> bool:
    metadata = ShopSettings.model_fields[setting].metadata
    return any(isinstance(each, SafeRange) and each.seconds for each in metadata)


def _check_setting(setting: str, word: str, value: Value) -> None:
    """Raise PydanticCustomError if the setting cannot be compared with the value."""
    field = ShopSettings.model_fields[setting]
    hint = ""
    if isinstance(field.default, bool):
        hint = "" if isinstance(value, bool) and word == "equal" else "true or false"
    elif isinstance(field.default, str):
        choices = get_args(field.annotation)
        hint = "" if value in choices and word == "equal" else f"one of {', '.join(choices)}"
    elif _is_duration(setting):
        try:
            durations.parse(value)
        except ValueError as error:
            hint = str(error)
    elif not _is_number(value):
        hint = "a number, or a comparison with numbers"
    if hint:
        raise PydanticCustomError("setting", "settings.{setting}: {hint}", {"setting": setting, "hint": hint})
