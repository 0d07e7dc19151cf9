"""Parses what keeping nodes free rests on: reservations, nodes and the ends of jobs. Pure.

A list of nodes is compressed, as n[1-3]. Instants are epoch seconds: commands run with SLURM_TIME_FORMAT=%s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.energy import keeping
from slurm_ai_factory.core.records import FOREVER, Instant, Rejected
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.slurm.fields import each, slurm_instant, words
from slurm_ai_factory.slurm.settings import shown_by_scontrol

END_FIELDS = ("%e", "%N")
"""Of squeue: when a job ends at the latest, and its nodes."""

UNABLE = frozenset({
    "DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "INVAL", "UNKNOWN",
    "NOT_RESPONDING", "INVALID_REG", "REBOOT_ISSUED", "REBOOT_REQUESTED",
})  # fmt: skip
"""States and flags of nodes on which no job starts (node_state_string in slurm_protocol_defs.c)."""

MOST_NAMES = 10**6
"""Nodes of a list; more than any cluster has. They are counted before any is made."""
LONGEST_RANGE = 16
"""Characters of a range of numbers."""


def expanded(text: str) -> list[str]:
    """The names in a list of nodes as Slurm writes it. Raises ValueError.

    >>> expanded("gpu[01-03,7],login"), expanded("r[0-1]n[8-9]")
    (['gpu01', 'gpu02', 'gpu03', 'gpu7', 'login'], ['r0n8', 'r0n9', 'r1n8', 'r1n9'])
    >>> expanded("n[1-"), expanded("(null)")
    Traceback (most recent call last):
    ValueError: 'n[1-' is not a list of nodes
    """
    if text in ("", "(null)"):
        return []
    names: list[str] = []
    for word in re.split(r",(?![^\[]*\])", text):
        parts = re.findall(r"([^\[\]]+)|\[([\d,-]+)\]", word)
        if "".join(plain or f"[{ranges}]" for plain, ranges in parts) != word or not word:
            raise ValueError(f"{text!r} is not a list of nodes")
        choices = [_texts(plain, ranges) for plain, ranges in parts]
        if len(names) + prod(count for count, _ in choices) > MOST_NAMES:
            raise ValueError(f"{text!r} has more than {MOST_NAMES} nodes")
        names += map("".join, product(*(texts for _, texts in choices)))
    return names


def _texts(plain: str, ranges: str) -> tuple[int, Iterable[str]]:
    """The texts that a part of a word stands for, and before any is made their count. Raises ValueError.

    Ranges are as 01-03,7; their numbers keep leading zeros.
    """
    if plain:
        return 1, (plain,)
    spans: list[tuple[int, range]] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(part) > LONGEST_RANGE:
            raise ValueError(f"[{ranges}] is not a range of nodes")
        spans.append((len(first), range(int(first), int(last or first) + 1)))
    numbers = (str(number).zfill(width) for width, span in spans for number in span)
    return sum(len(span) for _, span in spans), numbers


def reserved_now(lines: Iterable[str]) -> Iterator[keeping.ReservedNow | Rejected]:
    """The reservations in ``scontrol -o show reservation``."""
    return each(_reserved, shown_by_scontrol("ReservationName", lines))


def _reserved(values: Mapping[str, str]) -> keeping.ReservedNow:
    since = slurm_instant(values["StartTime"])
    if since is None:
        raise ValueError("a reservation without a StartTime")
    until = slurm_instant(values["EndTime"])
    return keeping.ReservedNow(
        name=values["ReservationName"],
        since=since,
        until=FOREVER if until is None else until,
        nodes=frozenset(expanded(values.get("Nodes", ""))),
        flags=frozenset(words(values.get("Flags", ""))),
    )


def job_ends(lines: Iterable[str]) -> Iterator[tuple[Instant | None, Sequence[str]] | Rejected]:
    """When each job with nodes ends at the latest, and its nodes, from squeue with END_FIELDS."""
    rows = (line.rstrip("\n").partition("|") for line in lines)
    return each(
        lambda row: (slurm_instant("" if row[0] == "N/A" else row[0]), expanded(row[2])),
        (row for row in rows if row[2]),
    )


def nodes_now(
    lines: Iterable[str], ends: Sequence[tuple[Instant | None, Sequence[str]]]
) -> Iterator[keeping.NodeNow | Rejected]:
    """The nodes in ``scontrol -o show node``, each with the end of its last job."""
    busy = keeping.busy_by_node(ends)

    def node(values: Mapping[str, str]) -> keeping.NodeNow:
        state = set(re.split(r"[+*~#!%$@^-]", values["State"]))
        name, counts = values["NodeName"], tres.canonical(f"{values['CfgTRES']},node=1")
        return keeping.NodeNow(name, not state & UNABLE, busy.get(name, 0), counts)

    return each(node, shown_by_scontrol("NodeName", lines))


def command_of_act(act: keeping.ReservationAct, now: Instant) -> tuple[str, ...]:
    """The scontrol command of an act. A beginning that has passed is now, which Slurm wants so."""
    if act.kind is keeping.ActKind.END:
        return "scontrol", "delete", f"ReservationName={act.name}"
    since = "now" if act.since <= now else _civil(act.since)
    name = f"ReservationName={act.name}"
    span = f"EndTime={_civil(act.until)}", f"Nodes={','.join(act.nodes)}"
    if act.kind is keeping.ActKind.CREATE:
        flags = f"Flags={','.join(sorted(keeping.FLAGS))}"
        start = f"StartTime={since}"
        return "scontrol", "create", "reservation", name, start, *span, "Users=root", flags
    begin = () if act.since <= now else (f"StartTime={since}",)
    return "scontrol", "update", name, *begin, *span


def _civil(at: Instant) -> str:
    """An instant as scontrol takes it: commands run in UTC."""
    return iso(at).removesuffix("Z")
