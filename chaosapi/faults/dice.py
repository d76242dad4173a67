"""The dice: a keyed hash instead of a random number, so that every replica and every replay hits the same requests.

`u = H(seed, fault, key)` lies in [0, 1) and a request is hit when `u < rate × strength`. One key always has the same
`u`, so a higher rate still hits the keys that a lower rate hit. H is XXH3 (64 bits) seeded with the fault's own hash.
"""

from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

_UNIT = 2.0**-53  # a double holds 53 bits: dividing all 64 could round up to 1.0


@dataclass(frozen=True, slots=True)
class Dice:
    """The dice of one fault: independent uniform numbers for the decision to hit and for the effect's own draws."""

    hit_seed: int
    draw_seed: int

    @classmethod
    def of(cls, seed: int, fault: str) -> "Dice":
        """Return the dice of the fault called `fault`; `seed` is any integer from 0 to 2**64 - 1."""
        return cls(xxh3_64_intdigest(f"hit:{fault}".encode(), seed), xxh3_64_intdigest(f"draw:{fault}".encode(), seed))

    def hit(self, key: str) -> float:
        """Return the number in [0, 1) that is compared with the rate."""
        return uniform(self.hit_seed, key)

    def draw(self, key: str) -> float:
        """Return a second number in [0, 1), independent of `hit`, for delays and status mixes."""
        return uniform(self.draw_seed, key)


def uniform(seed: int, key: str) -> float:
    """Return H(seed, key) in [0, 1)."""
    return (xxh3_64_intdigest(key.encode(), seed) >> 11) * _UNIT
