"""What every model at the edge has in common: strict, frozen, and bounded numbers."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """Base of all models: unknown fields are refused, nothing changes after it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def ratio(value: Any) -> Any:
    """Pass a ratio on; raises a PydanticCustomError that guesses what a percentage was meant to be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("ratio", "a ratio is a number above 0 and at most 1")
    if 1 < value <= 100:
        raise PydanticCustomError("ratio", "a ratio from 0 to 1: did you mean {meant}?", {"meant": f"{value / 100:g}"})
    if not 0 < value <= 1:
        raise PydanticCustomError("ratio", "a ratio is a number above 0 and at most 1")
    return value


Number = Annotated[float, Strict()]
"""A JSON number; text and booleans are refused."""

Integer = Annotated[int, Strict()]
"""A whole JSON number; text and booleans are refused."""

Ratio = Annotated[float, Field(gt=0, le=1), BeforeValidator(ratio)]
"""A ratio above 0 and at most 1, never a percentage."""
