"""Trackable resources: Slurm's text to counts and back to one canonical text.

The canonical text is what the ledger keeps: names in alphabetical order, plain counts, memory in MiB,
zeros and ``energy`` left out (energy is a reading, not an allocation). ``gres/gpu`` and ``gres/gpu:a100``
are two names for overlapping things and are therefore never added up; a resource names the one it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache

Count = int | Decimal

_SUFFIXES = {"K": -1, "M": 0, "G": 1, "T": 2, "P": 3}
_READING = "energy"
_MOST = 2**62
"""No count and no reading comes near it; what underflowed, and NO_VAL64, are above."""
_LONGEST = 64
"""Characters of a count; of a million digits arithmetic breaks down."""
_UNSET = frozenset({2**32 - 2, 2**32 - 1})
"""NO_VAL and INFINITE in 32 bits (slurm.h): no counts."""


def parse_tres(text: str) -> dict[str, Count]:
    """Counts by TRES name, from sacct's AllocTRES or ReqTRES.

    Raises ValueError when an entry is not ``name=count``, is negative, or is named twice.

    >>> parse("billing=4,cpu=4,gres/gpu=1,gres/gpu:a100=1,mem=4000M,node=1,energy=1234")
    {'billing': 4, 'cpu': 4, 'gres/gpu': 1, 'gres/gpu:a100': 1, 'mem': 4000, 'node': 1}
    >>> parse("cpu=16,fs/disk=0,pages=0")
    {'cpu': 16}
    >>> parse("mem=1.5G,billing=2.5")
    {'billing': Decimal('2.5'), 'mem': 1536}
    >>> parse("cpu=1,energy=NONE"), parse("")
    ({'cpu': 1}, {})
    >>> parse("cpu=4,cpu=4")
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
    """Joules in an AllocTRES; None where Slurm told none, or nothing (0 is what it says for not gathered).

    A counter that was not there, or that went back, makes no number of joules: that is none told.

    >>> energy("cpu=4,energy=1234,node=1"), energy("cpu=4,energy=0"), energy("cpu=4")
    (1234, None, None)
    >>> energy("energy=NONE"), energy("energy=18446744073709540000"), energy("energy=9223372036854775794")
    (None, None, None)
    """
    _, found, rest = f",{text}".partition(f",{_READING}=")
    try:
        joules = int(_count(_READING, rest.partition(",")[0])) if found else 0
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
    scaled = Decimal(digits) * Decimal(1024) ** _power(name, exponent)
    return int(scaled) if scaled == scaled.to_integral_value() else scaled.normalize()


def _power(name: str, exponent: int | None) -> int:
    """Powers of 1024: memory counts in MiB whatever its suffix, other TRES count ones (convert_num_unit)."""
    if exponent is None:
        return 0
    return exponent if name in ("mem", "vmem") or name.startswith(("bb/", "fs/")) else exponent + 2


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """The one text for these counts. Raises ValueError, also where a count is out of range.

    >>> canonical("node=1,cpu=4,mem=4G,energy=9")
    'cpu=4,mem=4096,node=1'
    """
    counts = parse_tres(text)
    if vast := next((name for name, count in counts.items() if count > _MOST or count in _UNSET), None):
        raise ValueError(f"TRES {vast!r} is out of range in {text!r}")
    return ",".join(f"{name}={_plain(count)}" for name, count in counts.items())


def _plain(count: Count) -> str:
    """The count without an exponent, which no TRES text has."""
    return f"{count:f}" if isinstance(count, Decimal) else str(count)


def weigh(counts: Mapping[str, Count], weights: Mapping[str, Count]) -> Count:
    """The count of a resource: the weighted sum of the TRES it names.

    >>> weigh({"cpu": 8, "gres/gpu": 2}, {"cpu": Decimal("0.25"), "gres/gpu": 16})
    Decimal('34.00')
    """
    return sum((counts[name] * weight for name, weight in weights.items() if name in counts), start=0)


def tres_names(texts: Iterable[str]) -> set[str]:
    """Every TRES name in these texts."""
    return {name for text in texts for name in parse_tres(text)}


def resource_name(weights: Mapping[str, Count]) -> str:
    """A resource as it is told to people: a TRES name, or the weighted sum.

    >>> resource_name({"cpu": Decimal("0.25"), "gres/gpu": Decimal(16)})
    '0.25*cpu+16*gres/gpu'
    """
    if len(weights) == 1 and 1 in weights.values():
        return next(iter(weights))
    return "+".join(f"{weight}*{name}" for name, weight in weights.items())
