"""Capacity: size minus outages by hour; a node is missing once, and an unknown size is not zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import capacity
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Outage, Size

DAY = 24 * HOUR
CPUS: Mapping[str, int | Decimal] = {"cpu": 1}
NODES = ("n1", "n2", "n3", "n4")
SIZE = Size(0, None, "cpu=16")


def _outage(node: str, since: Instant, until: Instant | None, text: str = "cpu=4") -> Outage:
    return Outage(node, since, until, "DOWN", text)


def _up(
    sizes: Sequence[Size], outages: Sequence[Outage], since: Instant = 0, until: Instant = 2 * HOUR
) -> dict[Instant, Charge] | None:
    return capacity.capacity_by_hour(sizes, outages, CPUS, since, until)


@pytest.mark.parametrize(
    ("outages", "lost_first", "lost_second"),
    [
        ([], 0, 0),
        ([_outage("n1", 600, 1200)], 600, 0),
        ([_outage("n1", 3000, 4200)], 600, 600),
        ([_outage("n1", 3000, None)], 600, 3600),
        ([_outage("n1", -500, 100)], 100, 0),
        ([_outage("n1", -500, 0)], 0, 0),
        ([_outage("n1", 7200, None)], 0, 0),
        ([_outage("n1", 9000, 9100)], 0, 0),
        ([_outage("n1", 600, 600)], 0, 0),
        ([_outage("n1", 600, 1200), _outage("n2", 600, 1200)], 1200, 0),
        ([_outage("n1", 600, 1200), _outage("n1", 600, 1200)], 600, 0),
        ([_outage("n1", 600, 1200), _outage("n1", 900, 1800)], 1200, 0),
        ([_outage("n1", 900, 1800), _outage("n1", 600, 1200)], 1200, 0),
        ([_outage("n1", 600, 3000), _outage("n1", 900, 1200)], 2400, 0),
        ([_outage("n1", 600, None), _outage("n1", 900, 1200)], 3000, 3600),
        ([_outage("n1", 600, 1200), _outage("n1", 1200, 1800)], 1200, 0),
        ([_outage("n1", 600, 900), _outage("n1", 1200, 1500)], 600, 0),
        ([_outage("n1", 600, 1200, "gres/gpu=4,mem=100")], 0, 0),
    ],
)
def test_each_node_takes_its_tres_away_once_while_it_is_out(
    outages: list[Outage], lost_first: int, lost_second: int
) -> None:
    expected = {0: 16 * 3600 - 4 * lost_first, 3600: 16 * 3600 - 4 * lost_second}
    assert _up([SIZE], outages) == expected


def test_a_resize_counts_from_its_own_instant_on() -> None:
    sizes = [Size(0, 4500, "cpu=16"), Size(4500, None, "cpu=32")]
    assert _up(sizes, []) == {0: 16 * 3600, 3600: 16 * 900 + 32 * 2700}


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [Size(9000, None, "cpu=16")],
        [Size(7200, None, "cpu=16")],
        [Size(-500, 0, "cpu=16")],
        [Size(-500, -100, "cpu=16")],
    ],
)
def test_a_size_that_is_not_known_in_the_interval_gives_none_rather_than_zero(sizes: list[Size]) -> None:
    assert _up(sizes, []) is None
    assert _up(sizes, [_outage("n1", 0, None)]) is None


def test_a_known_size_without_the_resource_is_zero_rather_than_none() -> None:
    assert _up([Size(0, None, "mem=100")], []) == {0: 0, 3600: 0}


def test_nothing_outside_an_interval_that_is_not_on_whole_hours_counts() -> None:
    assert _up([Size(5000, None, "cpu=1")], [], 0, 4000) is None
    assert _up([Size(0, 3000, "cpu=1")], [], 3500, 9000) is None
    assert _up([SIZE], [_outage("n1", 5000, None)], 0, 4000) == {0: 16 * 3600, 3600: 16 * 400}
    assert _up([SIZE], [_outage("n1", 0, 3000)], 3500, 7200) == {0: 16 * 100, 3600: 16 * 3600}


def test_capacity_is_of_the_weighted_resource() -> None:
    weights: dict[str, int | Decimal] = {"cpu": Decimal("0.5"), "gres/gpu": 10}
    sizes = [Size(0, None, "cpu=16,gres/gpu=4")]
    outages = [_outage("n1", 0, 3600, "cpu=4,gres/gpu=1")]
    assert capacity.capacity_by_hour(sizes, outages, weights, 0, 7200) == {0: 36 * 3600, 3600: 48 * 3600}


@st.composite
def _outages(draw: st.DrawFn) -> list[Outage]:
    """Any outages of four nodes of 4 CPUs: overlapping, open, empty, before and after the interval."""
    moments = st.integers(-DAY, 2 * DAY)
    found = []
    for node in draw(st.lists(st.sampled_from(NODES), max_size=8)):
        since = draw(moments)
        found.append(_outage(node, since, draw(st.none() | st.integers(since, 2 * DAY))))
    return found


@given(_outages())
def test_capacity_is_what_every_node_was_up_counted_second_by_second(outages: list[Outage]) -> None:
    found = _up([SIZE], outages, 0, 6 * HOUR)
    cuts = sorted(
        {0, 6 * HOUR, *range(0, 6 * HOUR, HOUR)} | {t for o in outages for t in (o.since, o.until or 0)}
    )
    expected: dict[Instant, Charge] = dict.fromkeys(range(0, 6 * HOUR, HOUR), 0)
    for since, until in pairwise(cuts):
        if 0 <= since < 6 * HOUR:
            out = {o.node for o in outages if o.since <= since and (o.until is None or until <= o.until)}
            expected[since - since % HOUR] += 4 * (len(NODES) - len(out)) * (until - since)
    assert found == expected


@given(_outages(), st.integers(0, 64))
def test_capacity_is_never_negative_nor_more_than_the_size(outages: list[Outage], cpus: int) -> None:
    found = _up([Size(0, None, f"cpu={cpus}")], outages, 0, DAY)
    assert found is not None
    assert all(0 <= charge <= cpus * HOUR for charge in found.values())


@given(_outages(), st.lists(st.integers(1, 23), unique=True))
def test_the_parts_of_any_partition_add_up(outages: list[Outage], hours: list[int]) -> None:
    sizes = [Size(-DAY, 5 * HOUR + 700, "cpu=16"), Size(5 * HOUR + 700, None, "cpu=20")]
    cuts = [0, *(hour * HOUR for hour in sorted(hours)), DAY]
    parts: dict[Instant, Charge] = {}
    for since, until in pairwise(cuts):
        parts |= _up(sizes, outages, since, until) or {}
    assert parts == _up(sizes, outages, 0, DAY)


@given(_outages(), st.randoms())
def test_the_order_in_which_slurm_tells_outages_does_not_matter(
    outages: list[Outage], random: Random
) -> None:
    assert _up([SIZE], random.sample(outages, len(outages)), 0, DAY) == _up([SIZE], outages, 0, DAY)


# --- states of nodes ------------------------------------------------------------------------------------

SUFFIXES = {"": None, "~": False, "#": False, "%": False, "!": False, "-": None, "*": True, "$": True,
            "@": True, "^": True, "+": None}  # fmt: skip
"""Of 22.05 to 26.05: whether a node is out; None where the suffix says nothing of it."""

WORDS = {
    **dict.fromkeys(("ALLOCATED", "MIXED", "IDLE", "COMPLETING", "RESERVED", "PLANNED", "UNDRAIN", "RESUME",
                     "CANCEL_REBOOT", "DYNAMIC_NORM", "BLOCKED", "PERFCTRS", "EXTERNAL")),
    **dict.fromkeys(("POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "POWER_DOWN", "POWER_UP",
                     "CLOUD"), False),
    **dict.fromkeys(("DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "FAILG", "ERROR", "UNKNOWN",
                     "FUTURE", "DYNAMIC_FUTURE", "NOT_RESPONDING", "MAINT", "MAINTENANCE", "REBOOT",
                     "REBOOT_ISSUED", "REBOOT_REQUESTED", "REBOOT_ONLY", "INVAL", "INVALID", "INVALID_REG",
                     "?"),
                    True),
}  # fmt: skip
"""Of the same: every word that node_state_string or node_state_flag_string prints."""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("word", WORDS)
def test_a_node_is_out_unless_it_saves_power_and_nothing_else(word: str, suffix: str) -> None:
    signs = {WORDS[word], SUFFIXES[suffix]}
    assert capacity.is_out(f"{word}{suffix}") is (True in signs or False not in signs or suffix == "+")


@given(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=4))
def test_of_several_words_one_that_is_out_decides(words: list[str]) -> None:
    signs = {WORDS[word] for word in words}
    assert capacity.is_out("+".join(words)) is (True in signs or False not in signs)


@pytest.mark.parametrize("state", ["", "HIBERNATING", "IDLE+HIBERNATING~", "idle~", "IDLE~ ", "IDLE|~", "~"])
def test_a_state_that_is_not_known_is_an_outage(state: str) -> None:
    assert capacity.is_out(state)


def test_nodes_that_are_switched_off_to_save_power_are_capacity() -> None:
    off = [Outage("n1", 0, None, "IDLE~", "cpu=4"), Outage("n2", 0, HOUR, "IDLE+POWERED_DOWN", "cpu=4")]
    assert _up([SIZE], off) == {0: 16 * HOUR, HOUR: 16 * HOUR}
    assert _up([SIZE], [*off, _outage("n1", HOUR, None)]) == {0: 16 * HOUR, HOUR: 12 * HOUR}
