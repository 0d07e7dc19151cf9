"""What is shown singles nobody out, whatever the tables: checked by linear algebra of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slurm_ai_factory.core.suppression import LARGEST, Cell, shown

PRIME = 2**31 - 1
TABLES = ("category", "hub", "sector", "municipality")


@st.composite
def facilities(draw: st.DrawFn) -> tuple[list[Cell], list[frozenset[str]]]:
    """Organisations, regional or not, each in one cell of every table."""
    regional = [f"r{n}" for n in range(draw(st.integers(0, 9)))]
    others = [f"n{n}" for n in range(draw(st.integers(0, 5)))]
    cells: list[Cell] = []
    for table in draw(st.lists(st.sampled_from(TABLES), unique=True, min_size=1)):
        among = regional + others if table == "hub" else regional
        names = {member: draw(st.sampled_from("abcd")) for member in among}
        groups = {name: frozenset(m for m in among if names[m] == name) for name in names.values()}
        cells += [Cell(table, name, groups[name]) for name in sorted(groups)]
    return cells, [frozenset(regional), frozenset(others)]


def rank(rows: Sequence[Sequence[int]]) -> int:
    """The rank of a matrix of 0 and 1, by elimination modulo a prime that the code does not use."""
    left = [list(row) for row in rows]
    found = 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((row for row in left[found:] if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        left.insert(found, pivot)
        inverse = pow(pivot[column], -1, PRIME)
        for row in left[found + 1 :]:
            if factor := row[column] * inverse % PRIME:
                row[:] = [(a - factor * b) % PRIME for a, b in zip(row, pivot, strict=True)]
        found += 1
    return found


def singled_out(shows: Iterable[frozenset[str]], smallest: int) -> set[frozenset[str]]:
    """The smallest groups, of fewer than ``smallest``, of whom some figure can be worked out."""
    sums = list(shows)
    members = sorted(frozenset().union(*sums)) if sums else []
    rows = [[int(member in one) for member in members] for one in sums]
    whole, found = rank(rows), set[frozenset[str]]()
    for size in range(1, smallest):
        for few in map(frozenset, itertools.combinations(members, size)):
            rest = [[v for v, m in zip(row, members, strict=True) if m not in few] for row in rows]
            if rank(rest) < whole and not any(group <= few for group in found):
                found.add(few)
    return found


@settings(max_examples=150, deadline=None)
@given(facility=facilities(), smallest=st.integers(1, 4))
@example(facility=([Cell("hub", "a", frozenset({"n0"}))], [frozenset(), frozenset({"n0", "n1"})]), smallest=3)
def test_nothing_can_be_recovered_by_adding_and_subtracting_what_is_shown(
    facility: tuple[list[Cell], list[frozenset[str]]], smallest: int
) -> None:
    cells, totals = facility
    show = shown(cells, totals, smallest)
    sums = [cell.members for cell in cells if (cell.table, cell.name) in show]
    from_totals = singled_out([t for t in totals if t], smallest)
    assert singled_out([*sums, *(t for t in totals if t)], smallest) <= from_totals


@settings(max_examples=100, deadline=None)
@given(facility=facilities(), smallest=st.integers(1, 4))
def test_cells_are_hidden_only_where_they_would_single_out(
    facility: tuple[list[Cell], list[frozenset[str]]], smallest: int
) -> None:
    cells, totals = facility
    show = shown(cells, totals, smallest)
    sums = [cell.members for cell in cells if (cell.table, cell.name) in show]
    known = singled_out([*sums, *(t for t in totals if t)], smallest)
    few = [total for total in totals if 0 < len(total) < smallest]
    for cell in cells:
        taken_apart = any(cell.members & total and total - cell.members for total in few)
        if (cell.table, cell.name) not in show and not taken_apart:
            more = singled_out([*sums, cell.members, *(t for t in totals if t)], smallest)
            assert more != known, f"{cell} could be shown"


def four(table: str, *groups: str) -> list[Cell]:
    return [Cell(table, str(number), frozenset(group)) for number, group in enumerate(groups)]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (four("t", "abc", "def"), {"0", "1"}),
        (four("t", "abcdef", "g"), set()),
        (four("t", "abcd", "efg", "hi"), {"0"}),
        (four("t", "abcd", "e", "f", "g"), {"0"}),
        (four("t", "ab", "cd"), set()),
    ],
)
def test_a_small_cell_takes_another_with_it(cells: list[Cell], expected: set[str]) -> None:
    total = frozenset().union(*(cell.members for cell in cells))
    assert {name for _, name in shown(cells, [total], 3)} == expected


def test_two_tables_are_looked_at_together() -> None:
    """Sector a-c within municipality a-d: their difference is one organisation."""
    cells = [*four("sector", "abc", "defg"), *four("municipality", "abcd", "efg")]
    show = shown(cells, [frozenset("abcdefg")], 3)
    assert show == {("sector", "0"), ("sector", "1")}


def test_the_order_says_what_matters_most() -> None:
    cells = [*four("municipality", "abcd", "efg"), *four("sector", "abc", "defg")]
    assert {table for table, _ in shown(cells, [frozenset("abcdefg")], 3)} == {"municipality"}


def test_a_few_outside_the_region_are_not_taken_apart() -> None:
    cells = [Cell("hub", "south", frozenset({"n0"})), Cell("hub", "europe", frozenset({"n1"}))]
    assert shown(cells, [frozenset("abc"), frozenset({"n0", "n1"})], 3) == set()
    whole = [Cell("hub", "south", frozenset({"n0", "n1"}))]
    assert shown(whole, [frozenset("abc"), frozenset({"n0", "n1"})], 3) == {("hub", "south")}


@pytest.mark.parametrize("smallest", [0, LARGEST + 1])
def test_a_threshold_that_cannot_be_kept_is_refused(smallest: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        shown([], [], smallest)
