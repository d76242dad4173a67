"""The base of all models of documents, and common field types: strict, frozen, with bounded numbers."""

import re
from collections import Counter
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """Base class: unknown fields are refused, instances are immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the document of the model, whose keys are the aliases of the fields."""
        return super().model_dump(**{"by_alias": True, **options})

    def model_dump_json(self, **options: Any) -> str:
        """Return the same as JSON."""
        return super().model_dump_json(**{"by_alias": True, **options})


def ratio(value: Any) -> Any:
    """Return the ratio; raises PydanticCustomError, with a suggestion where the value looks like a percentage."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("ratio", "a ratio is a number above 0 and at most 1, such as 0.05 for 5 %")
    if 1 < value <= 100:
        raise PydanticCustomError("ratio", "a ratio from 0 to 1: did you mean {meant}?", {"meant": f"{value / 100:g}"})
    if not 0 < value <= 1:
        raise PydanticCustomError("ratio", "a ratio is a number above 0 and at most 1")
    return value


def _check_line(value: str) -> str:
    if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value):
        raise PydanticCustomError("line", "this must be one line of text, without control characters")
    return value


def at_most_entries(most: int) -> BeforeValidator:
    """Return a validator that refuses an object of more than `most` entries before it validates any of them."""

    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError("few", "at most {most} entries, not {count}", {"most": most, "count": len(value)})
        return value

    return BeforeValidator(check)


def case_insensitive_names(value: Any) -> Any:
    """Return the object; raises PydanticCustomError where two names differ in case alone."""
    if isinstance(value, dict):
        names = [str(name).lower() for name in value]
        if twice := next((name for name, count in Counter(names).items() if count > 1), None):
            raise PydanticCustomError("distinct", "{name} is there twice", {"name": twice[:100]})
    return value


Line = Annotated[str, AfterValidator(_check_line)]
"""Text of one line."""

Number = Annotated[float, Strict()]
"""A JSON number; text and booleans are refused."""

Integer = Annotated[int, Strict()]
"""A whole JSON number; text and booleans are refused."""

Ratio = Annotated[float, Field(gt=0, le=1), BeforeValidator(ratio)]
"""A ratio above 0 and at most 1, never a percentage."""

Moment = Annotated[float, Field(gt=-1e11, lt=2e11)]
"""Unix seconds, within the range of calendar dates."""

MAX_REVISION: Final = 2**53
"""The largest whole number that JavaScript, Lua and SQLite all read exactly."""

Revision = Annotated[int, Field(ge=0, le=MAX_REVISION)]
"""The number of the latest change; each change increments it."""
