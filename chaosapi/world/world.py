"""The world: the part of the shop's state that operators change, and that all replicas share."""

import functools
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import EXACT, Duration
from chaosapi.merge_patch import merge
from chaosapi.models import Integer, Line, Model, Number
from chaosapi.settings import RELEASE, REPLICA, Settings
from chaosapi.world.safe import SafeRange

Document = dict[str, Any]
"""A JSON object."""

RequestClass = Literal["browse", "cart", "checkout"]
"""The classes of the shop's requests, the least valuable first."""
CLASSES: Final[tuple[RequestClass, ...]] = ("browse", "cart", "checkout")
Flag = Literal["new-pricing", "recommendations-v2", "bulk-export"]
FLAGS: Final[tuple[Flag, ...]] = ("new-pricing", "recommendations-v2", "bulk-export")
SHOP_PARTS: Final = frozenset({"release", "flags", "settings", "providers", "shed", "quarantine"})
"""The parts of the world on which only the shop acts."""
SAFE_SHARES: Final[dict[RequestClass, SafeRange]] = {
    "browse": SafeRange(0, 1),
    "cart": SafeRange(0, 0.8),
    "checkout": SafeRange(0, 0.5),
}
"""The safe shares of the requests of a class to shed."""
MAX_REPLICAS: Final = 64


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _check_distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    if twice := next((item for item, count in Counter(items).items() if count > 1), None):
        raise PydanticCustomError("distinct", "{item} is there twice", {"item": twice})
    return items


Version = Annotated[str, Field(pattern=RELEASE, max_length=50, description="A release, such as 2.4.1.")]
ReplicaName = Annotated[str, Field(pattern=REPLICA, max_length=100)]
Share = Annotated[Number, Field(ge=0, le=1)]
ProductId = Annotated[str, Field(pattern=r"^p-[0-9]{4}$")]


class Releases(Model):
    """The releases that the replicas run."""

    running: Version = "1.0.0"
    """The release of every replica that `by_replica` does not name."""
    by_replica: Annotated[dict[ReplicaName, Version], Field(max_length=MAX_REPLICAS)] = Field(default_factory=dict)
    """The releases of single replicas, as during a rolling deployment."""
    previous: Version | None = None
    """The release that ran before; set by itself when `running` changes."""

    def of(self, replica: str) -> str:
        """Return the release that a replica runs."""
        return self.by_replica.get(replica, self.running)


class ShopSettings(Model):
    """How the shop calls its dependencies, and how many requests it serves at once."""

    shop_timeout: Annotated[Duration, Field(gt=0, le=3600), SafeRange(0.1, 5, seconds=True)] = 1.0
    """The time-out for each try of a call to a dependency."""
    shop_retries: Annotated[Integer, Field(ge=0, le=10), SafeRange(0, 3)] = 2
    """The retries of a failed call, if the call is idempotent."""
    shop_breaker: bool = True
    """Whether a circuit breaker opens after five consecutive failures."""
    concurrency: Annotated[Integer, Field(ge=0, le=10_000), SafeRange(8, 1000, (0,))] = 0
    """The most requests that each replica serves at once; 0 for no limit."""
    queue: Annotated[Integer, Field(ge=0, le=100_000), SafeRange(0, 1000)] = 100
    """The most requests that wait at each replica when it serves as many as it may."""
    queue_timeout: Annotated[Duration, Field(ge=0, le=60), SafeRange(0.05, 10, seconds=True)] = 5.0
    """How long a request waits before it is answered with 503."""
    search: Literal["live", "cached"] = "live"
    """`cached` answers searches from earlier results, or with none, without the search index."""


class Providers(Model):
    """The companies that stand behind the shop's dependencies."""

    payments: Literal["acme", "bolt"] = "acme"
    """Who charges customers; bolt takes 80 ms longer and a higher fee."""


class RequestLimit(Model):
    """The most requests per second of each replica with a header of this value; 0 blocks them."""

    header: Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$", max_length=100)]
    value: Annotated[Line, Field(min_length=1, max_length=200)]
    requests_per_second: Annotated[Number, Field(ge=0, le=100_000)]


def _check_limits(limits: tuple[RequestLimit, ...]) -> tuple[RequestLimit, ...]:
    _check_distinct(tuple(f"{limit.header}={limit.value}" for limit in limits))
    return limits


class World(Model):
    """The operational state of the shop. What a document leaves out has its default."""

    release: Releases = Releases()
    flags: dict[Flag, bool] = Field(default_factory=lambda: dict.fromkeys(FLAGS, False))
    """Parts of the shop that are switched on or off."""
    settings: ShopSettings = ShopSettings()
    providers: Providers = Providers()
    rotation: Annotated[dict[ReplicaName, Literal["drained"]], Field(max_length=MAX_REPLICAS)] = Field(
        default_factory=dict
    )
    """The replicas that take no traffic: their readiness probe fails."""
    limits: Annotated[tuple[RequestLimit, ...], Field(max_length=32), AfterValidator(_check_limits)] = ()
    """The first limit that matches a request holds."""
    shed: dict[RequestClass, Share] = Field(default_factory=dict)
    """The share of the requests of each class that is answered with 503: of browse at least as much as of cart, of
    cart at least as much as of checkout."""
    quarantine: Annotated[tuple[ProductId, ...], Field(max_length=100), AfterValidator(_check_distinct)] = ()
    """The products that the shop neither shows nor sells."""

    @model_validator(mode="after")
    def _check_shed(self) -> Self:
        for earlier, later in pairwise(CLASSES):
            if self.shed.get(later, 0) > self.shed.get(earlier, 0):
                raise PydanticCustomError(
                    "shed",
                    "shed: {later} is worth more than {earlier}: shed at least {share} of {earlier} first",
                    {"later": later, "earlier": earlier, "share": f"{self.shed[later]:g}"},
                )
        return self

    @classmethod
    def of(cls, settings: Settings) -> "World":
        """Return the world as long as nobody has changed it."""
        return cls(
            release=Releases(running=settings.release),
            settings=ShopSettings.model_validate(
                {
                    "shop_timeout": settings.shop_timeout,
                    "shop_retries": settings.shop_retries,
                    "shop_breaker": settings.shop_breaker,
                }
            ),
        )

    def in_rotation(self, replica: str) -> bool:
        """Return whether a replica takes traffic."""
        return replica not in self.rotation

    def over(self, base: "World") -> "World":
        """Return `base` with what this world sets; what it leaves out is that of `base`."""
        return World.model_validate(merge(base.document(), self.own_document()))

    def document(self) -> Document:
        """Return the whole world as JSON, durations in seconds."""
        return self.model_dump(mode="json", context=EXACT)

    def own_document(self) -> Document:
        """Return what this world sets as JSON, durations in seconds."""
        return self.model_dump(mode="json", context=EXACT, exclude_unset=True)

    @functools.cached_property
    def text(self) -> str:
        """Return what this world sets as JSON for stores; cached, because a store writes it with every change."""
        return self.model_dump_json(context=EXACT, exclude_unset=True)


Own = Annotated[World, PlainSerializer(World.own_document)]
"""A world that is written as what it sets: the rest follows the settings of each replica."""


def risks(world: World) -> list[str]:
    """Return what is outside its safe range, each with the range."""
    values: dict[str, tuple[float, Sequence[Any]]] = {}
    for name, field in ShopSettings.model_fields.items():
        values[f"settings.{name}"] = getattr(world.settings, name), field.metadata
    for kind, safe_shares in SAFE_SHARES.items():
        values[f"shed.{kind}"] = world.shed.get(kind, 0.0), [safe_shares]
    return [
        f"{name}: {safe.text(value)} is outside the safe range, {safe}"
        for name, (value, metadata) in values.items()
        for safe in metadata
        if isinstance(safe, SafeRange) and value not in safe
    ]
