"""What is shown singles nobody out, whatever the tables: checked by linear algebra of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme.suppression import (
    LARGEST,
    ChargePart,
    PartSum,
    TableCell,
    cells_shown,
    held_together,
    organisations,
    telling,
)

PRIME = 2**31 - 1
TABLES = ("category", "hub", "sector", "municipality")


def parts(organisations: Iterable[str], where: object = "") -> PartSum:
    return frozenset(ChargePart(one, where) for one in organisations)


@st.composite
def facilities(draw: st.DrawFn) -> tuple[list[TableCell], list[PartSum]]:
    """Organisations, regional or not, each in one cell of every table."""
    regional = [f"r{n}" for n in range(draw(st.integers(0, 9)))]
    others = [f"n{n}" for n in range(draw(st.integers(0, 5)))]
    cells: list[TableCell] = []
    for table in draw(st.lists(st.sampled_from(TABLES), unique=True, min_size=1)):
        among = regional + others if table == "hub" else regional
        names = {member: draw(st.sampled_from("abcd")) for member in among}
        groups = {name: parts(m for m in among if names[m] == name) for name in names.values()}
        cells += [TableCell(table, name, groups[name]) for name in sorted(groups)]
    return cells, [parts(regional), parts(others)]


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


def singled_out(shows: Iterable[PartSum], smallest: int) -> set[PartSum]:
    """The smallest groups, of fewer than ``smallest``, of whom some figure can be worked out."""
    sums = list(shows)
    members = sorted(frozenset().union(*sums)) if sums else []
    rows = [[int(member in one) for member in members] for one in sums]
    whole, found = rank(rows), set[PartSum]()
    for size in range(1, smallest):
        for few in map(frozenset, itertools.combinations(members, size)):
            rest = [[v for v, m in zip(row, members, strict=True) if m not in few] for row in rows]
            if rank(rest) < whole and not any(group <= few for group in found):
                found.add(few)
    return found


@given(facility=facilities(), smallest=st.integers(1, 4))
@example(facility=([TableCell("hub", "a", parts(["n0"]))], [parts([]), parts(["n0", "n1"])]), smallest=3)
def test_nothing_can_be_recovered_by_adding_and_subtracting_what_is_shown(
    facility: tuple[list[TableCell], list[PartSum]], smallest: int
) -> None:
    cells, totals = facility
    show = cells_shown(cells, totals, smallest)
    sums = [cell.members for cell in cells if (cell.table, cell.name) in show]
    from_totals = singled_out([t for t in totals if t], smallest)
    assert singled_out([*sums, *(t for t in totals if t)], smallest) <= from_totals


@given(facility=facilities(), smallest=st.integers(1, 4))
def test_cells_are_hidden_only_where_they_would_single_out(
    facility: tuple[list[TableCell], list[PartSum]], smallest: int
) -> None:
    cells, totals = facility
    show = cells_shown(cells, totals, smallest)
    sums = [cell.members for cell in cells if (cell.table, cell.name) in show]
    known = singled_out([*sums, *(t for t in totals if t)], smallest)
    few = [total for total in totals if 0 < len(total) < smallest]
    for cell in cells:
        taken_apart = any(cell.members & total and total - cell.members for total in few)
        if (cell.table, cell.name) not in show and not taken_apart:
            more = singled_out([*sums, cell.members, *(t for t in totals if t)], smallest)
            assert more != known, f"{cell} could be shown"


def four(table: str, *groups: str) -> list[TableCell]:
    return [TableCell(table, str(number), parts(group)) for number, group in enumerate(groups)]


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
def test_a_small_cell_takes_another_with_it(cells: list[TableCell], expected: set[str]) -> None:
    total: PartSum = frozenset().union(*(cell.members for cell in cells))
    assert {name for _, name in cells_shown(cells, [total], 3)} == expected


def test_two_tables_are_looked_at_together() -> None:
    """Sector a-c within municipality a-d: their difference is one organisation."""
    cells = [*four("sector", "abc", "defg"), *four("municipality", "abcd", "efg")]
    show = cells_shown(cells, [parts("abcdefg")], 3)
    assert show == {("sector", "0"), ("sector", "1")}


def test_the_order_says_what_matters_most() -> None:
    cells = [*four("municipality", "abcd", "efg"), *four("sector", "abc", "defg")]
    assert {table for table, _ in cells_shown(cells, [parts("abcdefg")], 3)} == {"municipality"}


def test_a_few_outside_the_region_are_not_taken_apart() -> None:
    cells = [TableCell("hub", "south", parts(["n0"])), TableCell("hub", "europe", parts(["n1"]))]
    totals = [parts("abc"), parts(["n0", "n1"])]
    assert cells_shown(cells, totals, 3) == set()
    assert cells_shown([TableCell("hub", "south", parts(["n0", "n1"]))], totals, 3) == {("hub", "south")}


@pytest.mark.parametrize("smallest", [0, LARGEST + 1])
def test_a_threshold_that_cannot_be_kept_is_refused(smallest: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        cells_shown([], [], smallest)


@st.composite
def publications(draw: st.DrawFn) -> list[tuple[list[TableCell], list[PartSum]]]:
    """Cells and totals of reports in their order: quarters, some again after corrections, halves and years.

    An organisation can be away for a quarter, and a correction changes what some of them have in it.
    """
    names = "abcdefg"[: draw(st.integers(3, 7))]
    sector = {one: draw(st.sampled_from("JK")) for one in names}
    windows = draw(st.lists(st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 1, 2)]), min_size=1, max_size=5))
    away = draw(st.sets(st.tuples(st.sampled_from(names), st.integers(0, 2)), max_size=4))
    corrected = dict.fromkeys(range(3), frozenset[str]())
    found = []
    for window in windows:
        if draw(st.booleans()):
            quarter = draw(st.integers(0, 2))
            corrected[quarter] |= draw(st.sets(st.sampled_from(names), max_size=3))
        held = [
            ChargePart(one, (quarter, one in corrected[quarter]))
            for quarter in window
            for one in names
            if (one, quarter) not in away
        ]
        groups = {
            name: frozenset(part for part in held if sector[part.organisation] == name) for name in "JK"
        }
        cells = [TableCell("sector", name, group) for name, group in groups.items() if group]
        found.append((cells, [frozenset(held)]))
    return found


def known_of(sums: Sequence[PartSum], few: Iterable[str]) -> int:
    """How many independent figures that rest on these organisations alone follow from the sums."""
    parts_of = sorted(frozenset[ChargePart]().union(*sums), key=repr)
    rows = [[int(part in one) for part in parts_of] for one in sums]
    outside = [index for index, part in enumerate(parts_of) if part.organisation not in set(few)]
    return rank(rows) - rank([[row[index] for index in outside] for row in rows])


def given_out(
    reports: Sequence[tuple[list[TableCell], list[PartSum]]], smallest: int
) -> tuple[list[PartSum], list[PartSum]]:
    """(all that was shown, the totals in it), each report made with those before it, or refused."""
    everything: list[PartSum] = []
    totals: list[PartSum] = []
    for cells, own in reports:
        if telling(own, smallest, totals, everything):
            continue
        show = cells_shown(cells, own, smallest, everything)
        everything += [*own, *(cell.members for cell in cells if (cell.table, cell.name) in show)]
        totals += own
    return everything, totals


@given(reports=publications(), smallest=st.integers(2, 3))
def test_no_combination_of_all_reports_tells_more_of_a_few_than_their_totals(
    reports: list[tuple[list[TableCell], list[PartSum]]], smallest: int
) -> None:
    """The attacker knows who is in which cell, and every linear combination of all that was ever shown."""
    everything, totals = given_out(reports, smallest)
    for size in range(1, smallest):
        for few in itertools.combinations("abcdefg", size):
            assert known_of(everything, few) == known_of(totals, few), few


@given(reports=publications(), smallest=st.integers(2, 3))
def test_no_sum_or_difference_of_a_few_figures_rests_on_a_few(
    reports: list[tuple[list[TableCell], list[PartSum]]], smallest: int
) -> None:
    """The same without algebra: every figure with a sign, added up, up to five at a time."""
    everything, totals = given_out(reports, smallest)
    figures = list(dict.fromkeys(everything))[:9]
    for one in itertools.product((-1, 0, 1), repeat=len(figures)):
        if 0 < sum(map(abs, one)) <= 5 and 0 < len(few := rests_on(figures, one)) < smallest:
            assert known_of(totals, few), f"{few} by {one}"


def rests_on(figures: Sequence[PartSum], signs: Sequence[int]) -> set[str]:
    """The organisations that a combination of figures does not cancel."""
    left: dict[ChargePart, int] = {}
    for figure, sign in zip(figures, signs, strict=True):
        for part in figure if sign else ():
            left[part] = left.get(part, 0) + sign
    return {part.organisation for part, weight in left.items() if weight}


QUARTERS = range(4)


def year(names: str) -> PartSum:
    return frozenset[ChargePart]().union(*(parts(names, quarter) for quarter in QUARTERS))


def test_a_cell_hidden_in_one_quarter_is_hidden_in_the_year_when_the_other_quarters_show_it() -> None:
    """J has four organisations, but two in the last quarter: the year less three quarters is those two."""
    given = [parts("abcdefgh", q) for q in QUARTERS] + [parts("abcd", q) for q in QUARTERS[:3]]
    whole = [year("abcdefgh") - parts("cd", 3)]
    cell = TableCell("sector", "J", year("abcd") - parts("cd", 3))
    assert cells_shown([cell], whole, 3) == {("sector", "J")}, "alone it tells nobody's"
    assert cells_shown([cell], whole, 3, given[:-1]) == {("sector", "J")}, (
        "with a quarter open it does not either"
    )
    assert cells_shown([cell], whole, 3, given) == set()


def test_a_quarter_is_hidden_when_the_year_and_the_other_quarters_were_given_out() -> None:
    """Of the first quarter's J nothing was told; d is registered in another sector in that quarter."""
    quarters = [parts("abcd", q) for q in QUARTERS[1:]]
    first = [TableCell("sector", "J", parts("abc", 0))]
    totals = [parts("abcdefg", 0)]
    assert cells_shown(first, totals, 3, [year("abcdefg"), *quarters]) == {("sector", "J")}
    of_the_year = year("abc") | frozenset[ChargePart]().union(*quarters)
    assert cells_shown(first, totals, 3, [year("abcdefg"), of_the_year, *quarters]) == {("sector", "J")}
    assert cells_shown(first, totals, 3, [year("abcdefg"), year("abcd"), *quarters]) == set(), (
        "d is what is left"
    )


def test_a_second_report_of_a_window_hides_the_cell_that_one_organisation_changed() -> None:
    before = [parts("abcdefg"), parts("abc"), parts("defg")]
    after = TableCell("sector", "J", parts("ab") | parts("c", "corrected"))
    others = parts("def") | parts("g", "corrected")
    total = after.members | others
    assert cells_shown([after], [total], 3, before) == set(), "c alone made the difference"
    three = TableCell("sector", "J", parts("abc", "corrected"))
    assert cells_shown([three], [three.members | parts("defg")], 3, before) == {("sector", "J")}
    assert cells_shown([three], [three.members | others], 3, before) == set(), (
        "g is the rest of the difference"
    )


def test_an_organisation_on_both_sides_is_one() -> None:
    """Part of its charge is regional and part is not: both are its own."""
    both = parts("ab", "regional") | parts("a", "non_regional")
    totals = [parts("abcde", "regional"), parts("afgh", "non_regional")]
    assert cells_shown([TableCell("hub", "x", both)], totals, 3) == set()


def test_a_report_is_refused_whose_total_completes_what_a_longer_one_told() -> None:
    """J of the year less J of the second quarter is that of two in the first, and of c, whom totals tell."""
    corrected = parts("c", "corrected")
    one = {q: parts("abcdef", q) - parts("c", 0) for q in (0, 1)}
    year_told = one[0] | (one[1] - parts("c", 1)) | corrected
    care, of_the_year = parts("abc", 1), parts("ab", 0) | parts("ab", 1) | corrected
    before = [one[1], year_told]
    assert telling([one[0]], 3, before, [*before, care, of_the_year]) == [one[0]]
    assert telling([one[0]], 3, before, [*before, care]) == []
    assert telling([one[0]], 3, before, before) == [], "of c alone the totals tell by themselves"


ORGANISATIONS_BY_ROLE = st.lists(
    st.tuples(st.sampled_from("XY"), st.sets(st.sampled_from("abc"), min_size=1)), min_size=1, max_size=7
)


@given(ORGANISATIONS_BY_ROLE, st.integers(2, 3))
def test_names_that_are_held_together_reveal_nothing_more(
    split: list[tuple[str, set[str]]], smallest: int
) -> None:
    """Every row by name may be shown, and the same rows of whole organisations as without them."""
    assume(held_together([roles for _, roles in split], smallest))
    whole = {f"o{n}": (sector, roles) for n, (sector, roles) in enumerate(split)}
    every = frozenset(ChargePart(name, role) for name, (_, roles) in whole.items() for role in roles)
    rows = [
        TableCell(
            "sector", sector, frozenset(part for part in every if whole[part.organisation][0] == sector)
        )
        for sector in "XY"
    ]
    rows = [cell for cell in rows if cell.members]
    names = sorted({str(part.where) for part in every})
    by_name = [
        TableCell("role", name, frozenset(part for part in every if part.where == name)) for name in names
    ]
    alone = [TableCell(cell.table, cell.name, parts(organisations(cell.members))) for cell in rows]
    shown = cells_shown([*by_name, *rows], [every], smallest)
    assert shown == {("role", name) for name in names} | cells_shown(alone, [parts(whole)], smallest)
