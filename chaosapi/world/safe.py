"""The safe range of a setting: what an operator may choose without making things worse."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from chaosapi import durations


@dataclass(frozen=True)
class SafeRange:
    """The least and the most that is safe; the schema shows both as `x-safe-range`."""

    least: float
    most: float
    also: tuple[float, ...] = ()
    """Values outside the range that are safe too, such as a 0 for "no limit"."""
    seconds: bool = False
    """Whether the values are durations."""

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most or value in self.also

    def __str__(self) -> str:
        others = "".join(f", or {self.text(value)}" for value in self.also)
        return f"{self.text(self.least)} to {self.text(self.most)}{others}"

    def text(self, value: float) -> str:
        return durations.format(value) if self.seconds else f"{value:g}"

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "x-safe-range": str(self)}
