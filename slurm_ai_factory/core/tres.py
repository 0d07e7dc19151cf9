"""Trackable resources: Slurm's text to counts and back to one canonical text.

The canonical text is what the ledger keeps: names in alphabetical order, plain counts, memory in MiB,
zeros and ``energy`` left out (energy is a reading, not an allocation). ``gres/gpu`` and ``gres/gpu:a100``
are two names for overlapping things and are therefore never added up; a resource names the one it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

Count = int | Decimal

_SUFFIXES = {"K": -1, "M": 0, "G": 1, "T": 2, "P": 3}
_READING = "energy"
_MOST = 2**62
"""More than any count or reading; numbers that underflowed, and NO_VAL64, are above it."""
_LONGEST = 64
"""Characters of a count; arithmetic breaks down with a million digits."""
_UNSET = frozenset({2**32 - 2, 2**32 - 1})
"""NO_VAL and INFINITE in 32 bits (slurm.h): no counts."""


def parse_tres(text: str) -> dict[str, Count]:
    """Counts by TRES name, from sacct's AllocTRES or ReqTRES.

    Raises ValueError when an entry is not ``name=count``, is negative, or is named twice.

    >>> parse_tres("billing=4,cpu=4,gres/gpu=1,gres/gpu:a100=1,mem=4000M,node=1,energy=1234")
    {'billing': 4, 'cpu': 4, 'gres/gpu': 1, 'gres/gpu:a100': 1, 'mem': 4000, 'node': 1}
    >>> parse_tres("cpu=16,fs/disk=0,pages=0")
    {'cpu': 16}
    >>> parse_tres("mem=1.5G,billing=2.5")
    {'billing': Decimal('2.5'), 'mem': 1536}
    >>> parse_tres("cpu=1,energy=NONE"), parse_tres("")
    ({'cpu': 1}, {})
    >>> parse_tres("cpu=4,cpu=4")
    Traceback (most recent call last):
    ValueError: TRES 'cpu' twice in 'cpu=4,cpu=4'
    """
    counts: dict[str, Count] = {}
    for entry in text.split(",") if text else ():
        name, equals, value = entry.partition("=")
        if not (name and equals):
            raise ValueError(f"TRES entry {entry!r} is not name=count in {text!r}")
        if name in counts:
            raise ValueError(f"TRES {name!r} twice in {text!r}")
        counts[name] = _count(name, value) if name != _READING else 0
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def energy(text: str) -> int | None:
    """Joules in an AllocTRES; None where it has none, or 0, which Slurm prints for energy not gathered.

    A node without a counter, or a counter that went back, gives no usable number: that is None too.

    >>> energy("cpu=4,energy=1234,node=1"), energy("cpu=4,energy=0"), energy("cpu=4")
    (1234, None, None)
    >>> energy("energy=NONE"), energy("energy=18446744073709540000"), energy("energy=9223372036854775794")
    (None, None, None)
    """
    _, entry, rest = f",{text}".partition(f",{_READING}=")
    try:
        joules = int(_count(_READING, rest.partition(",")[0])) if entry else 0
    except ValueError:
        return None
    return joules if 0 < joules <= _MOST else None


def _count(name: str, value: str) -> Count:
    if len(value) > _LONGEST:
        raise ValueError(f"TRES {name!r} is out of range")
    if value.isascii() and value.isdigit():
        return int(value)
    exponent = _SUFFIXES.get(value[-1:])
    digits = value[:-1] if exponent is not None else value
    if not digits.replace(".", "", 1).isdigit() or not digits.isascii():
        raise ValueError(f"TRES {name!r} has no count in {value!r}")
    # Memory counts in MiB whatever its suffix, other TRES count ones (convert_num_unit).
    mebibytes = name in ("mem", "vmem") or name.startswith(("bb/", "fs/"))
    power = 0 if exponent is None else exponent if mebibytes else exponent + 2
    scaled = Decimal(digits) * Decimal(1024) ** power
    return int(scaled) if scaled == scaled.to_integral_value() else scaled.normalize()


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """The canonical text for these counts. Raises ValueError for a bad entry or a count out of range.

    >>> canonical("node=1,cpu=4,mem=4G,energy=9")
    'cpu=4,mem=4096,node=1'
    """
    counts = parse_tres(text)
    if vast := next((name for name, count in counts.items() if count > _MOST or count in _UNSET), None):
        raise ValueError(f"TRES {vast!r} is out of range in {text!r}")
    # A TRES text has no exponents.
    return ",".join(
        f"{name}={count:f}" if isinstance(count, Decimal) else f"{name}={count}"
        for name, count in counts.items()
    )


def weigh(counts: Mapping[str, Count], weights: Mapping[str, Count]) -> Count:
    """The count of a resource: the weighted sum of the TRES it names.

    >>> weigh({"cpu": 8, "gres/gpu": 2}, {"cpu": Decimal("0.25"), "gres/gpu": 16})
    Decimal('34.00')
    """
    return sum((counts[name] * weight for name, weight in weights.items() if name in counts), start=0)


def tres_names(texts: Iterable[str]) -> set[str]:
    """Every TRES name in these texts."""
    return {name for text in texts for name in parse_tres(text)}


@dataclass(frozen=True, slots=True)
class Resource:
    """The unit of a measurement: one TRES, or a weighted sum of several. ``parse`` reads ``name`` back.

    >>> Resource({"gres/gpu": 16, "cpu": Decimal("0.25")}).name, Resource.parse("gres/gpu").weights
    ('0.25*cpu+16*gres/gpu', {'gres/gpu': 1})
    """

    weights: Mapping[str, Count]  #: by TRES name; above 0, in alphabetical order

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", dict(sorted(self.weights.items())))

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The resource as people type it: a TRES name, or the weighted sum."""
        if len(self.weights) == 1 and 1 in self.weights.values():
            return next(iter(self.weights))
        return "+".join(f"{weight}*{name}" for name, weight in self.weights.items())

    @classmethod
    def parse(cls, text: str) -> Resource:
        """The resource with this name, as a person types it. Raises ValueError.

        >>> Resource.parse("cpu+16*gres/gpu").weights
        {'cpu': Decimal('1'), 'gres/gpu': Decimal('16')}
        """
        parts = [part.rpartition("*") for part in text.split("+")]
        if len(parts) == 1 and "*" not in text and text.strip():
            return cls({text: 1})
        try:
            weights = {name: Decimal(weight or 1) for weight, _, name in parts if name.strip()}
        except ArithmeticError:
            weights = {}
        if len(weights) < len(parts) or not all(w.is_finite() and w > 0 for w in weights.values()):
            raise ValueError(f"{text!r} is not a resource such as gres/gpu or 0.25*cpu+16*gres/gpu")
        return cls(weights)

    def plain(self) -> dict[str, str]:
        """The weights as JSON has them, exact; ``from_plain`` reads them back."""
        return {name: str(weight) for name, weight in self.weights.items()}

    @classmethod
    def from_plain(cls, value: Mapping[str, str]) -> Resource:
        """The resource of which ``plain`` made this value."""
        return cls({name: int(w) if w.isdecimal() else Decimal(w) for name, w in value.items()})
