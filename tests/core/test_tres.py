"""TRES texts: one canonical text for the same counts, exact counts, and refusal of anything else."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.tres import Resource
from tests.core.generated import tres_counts, weights


def _text(counts: dict[str, tres.Count]) -> str:
    return ",".join(f"{name}={count}" for name, count in counts.items())


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("cpu=4", {"cpu": 4}),
        ("cpu=004", {"cpu": 4}),
        ("mem=4000M", {"mem": 4000}),
        ("mem=4G", {"mem": 4096}),
        ("mem=0.5G", {"mem": 512}),
        ("mem=2T", {"mem": 2 * 1024**2}),
        ("mem=1P", {"mem": 1024**3}),
        ("mem=512K", {"mem": Decimal("0.5")}),
        ("vmem=1G,bb/datawarp=1G,fs/lustre=1G", {"bb/datawarp": 1024, "fs/lustre": 1024, "vmem": 1024}),
        ("cpu=2K", {"cpu": 2048}),
        ("cpu=1.5K", {"cpu": 1536}),
        ("cpu=1M", {"cpu": 1024**2}),
        ("license/abaqus=1G", {"license/abaqus": 1024**3}),
        ("billing=2.5", {"billing": Decimal("2.5")}),
        ("billing=2.0", {"billing": 2}),
        ("gres/gpu:a100_80=4", {"gres/gpu:a100_80": 4}),
        ("cpu=18446744073709551615", {"cpu": 2**64 - 1}),
        ("cpu=1,energy=NONE", {"cpu": 1}),
    ],
)
def test_a_text_is_read_as_these_counts(text: str, counts: dict[str, tres.Count]) -> None:
    assert tres.parse_tres(text) == counts


@pytest.mark.parametrize("text", ["energy=1234", "energy=18446744073709551614", "cpu=0", "mem=0M", "cpu=0.0"])
def test_zeros_and_energy_are_left_out(text: str) -> None:
    assert tres.parse_tres(text) == {}
    assert tres.parse_tres(f"node=1,{text}") == {"node": 1}


@pytest.mark.parametrize(
    "text",
    [
        "cpu", "cpu=", "=4", "=", ",", "cpu=4,", ",cpu=4", "cpu=4,,node=1", "cpu=-4", "cpu=+4", "cpu= 4",
        "cpu=4 ", "cpu=four", "cpu=1e3", "cpu=1_000", "cpu=0x10", "cpu=nan", "cpu=inf", "cpu=M", "cpu=.",
        "cpu=1.2.3", "mem=4MM", "mem=4m", "mem=4MB", "mem=4E", "cpu=²", "cpu=٣", "cpu=4;node=1", "(null)",
        "None", "cpu=4,cpu=4", "cpu=4,cpu=0", "energy=1,energy=1", "cpu=4\n",
    ],
)  # fmt: skip
def test_a_text_that_is_not_tres_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TRES"):
        tres.parse_tres(text)


@given(tres_counts, st.randoms())
def test_the_canonical_text_does_not_depend_on_the_order_of_entries(
    counts: dict[str, tres.Count], random: Random
) -> None:
    entries = _text(counts).split(",")
    shuffled = random.sample(entries, len(entries))
    assert tres.canonical(",".join(shuffled)) == tres.canonical(",".join(entries))


@given(tres_counts)
def test_the_canonical_text_keeps_every_count_exactly(counts: dict[str, tres.Count]) -> None:
    assert tres.parse_tres(tres.canonical(_text(counts))) == counts


@given(st.text(alphabet="cpumegs/:=,.0123456789KMGTP-+ e_", max_size=40))
@example("cpu=0.0000001")
@example("mem=0.001K")
@example("billing=2.50")
@example("billing=123456789012345678901234567890.5")
def test_any_text_is_refused_or_has_a_canonical_text_that_is_its_own(text: str) -> None:
    try:
        once = tres.canonical(text)
    except ValueError:
        return
    assert tres.canonical(once) == once
    assert tres.parse_tres(once) == tres.parse_tres(text)


@given(st.text() | st.from_regex(r"\A(\w+=\d*\.?\d*[KMGTPE]?,?)*\Z"))
@example("cpu=" + "9" * 5000)
@example("cpu=" + "9" * 5000 + ".5P")
def test_a_hostile_text_raises_nothing_but_value_error(text: str) -> None:
    try:
        counts = tres.parse_tres(text)
    except ValueError:
        return
    assert all(count > 0 for count in counts.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("billing=2.50", "billing=2.5"),
        ("cpu=4.0", "cpu=4"),
        ("mem=4G", "mem=4096M"),
        ("mem=1.5G", "mem=1536"),
        ("cpu=04", "cpu=4,energy=0,fs/disk=0"),
    ],
)
def test_the_same_counts_have_one_canonical_text(one: str, other: str) -> None:
    assert tres.canonical(one) == tres.canonical(other)


def test_gpus_told_with_and_without_their_type_are_never_added_up() -> None:
    counts = tres.parse_tres("gres/gpu:a100=4,gres/gpu=4")
    assert counts == {"gres/gpu": 4, "gres/gpu:a100": 4}
    assert tres.weigh(counts, {"gres/gpu": 1}) == 4
    assert tres.weigh(counts, {"gres/gpu:a100": 1}) == 4


@pytest.mark.parametrize(
    ("text", "weights", "count"),
    [
        ("cpu=8,gres/gpu=2", {"cpu": Decimal("0.25"), "gres/gpu": 16}, Decimal(34)),
        ("cpu=8", {"gres/gpu": 16}, 0),
        ("", {"cpu": 1}, 0),
        ("cpu=8", {}, 0),
        ("billing=0.1,node=0.2", {"billing": 1, "node": 1}, Decimal("0.3")),
    ],
)
def test_a_weighted_sum_counts_only_what_it_names(
    text: str, weights: dict[str, tres.Count], count: tres.Count
) -> None:
    assert tres.weigh(tres.parse_tres(text), weights) == count


@given(tres_counts, weights, st.integers(1, 1000))
def test_a_weighted_sum_grows_with_its_counts(
    counts: dict[str, tres.Count], weights: dict[str, tres.Count], factor: int
) -> None:
    more = {name: count * factor for name, count in counts.items()}
    assert tres.weigh(more, weights) == factor * tres.weigh(counts, weights)


@pytest.mark.parametrize(
    ("text", "joules"),
    [
        ("cpu=4,energy=1234,node=1", 1234), ("energy=1234", 1234), ("cpu=4,energy=0", None), ("cpu=4", None),
        ("", None), ("license/energy=5", None), ("energy=1K", 1024),
    ],
)  # fmt: skip
def test_the_energy_that_was_read_is_told_where_there_is_any(text: str, joules: int | None) -> None:
    assert tres.energy(text) == joules


def test_the_names_in_several_texts_are_told_once() -> None:
    assert tres.tres_names(["cpu=4,node=1", "", "cpu=8,gres/gpu=1,energy=5"]) == {"cpu", "node", "gres/gpu"}


@pytest.mark.parametrize("count", [2**62 + 1, 2**63, 2**64 - 2, 10**30, "9" * 400, "16E", "99999999999P"])
def test_a_count_out_of_range_has_no_canonical_text(count: object) -> None:
    with pytest.raises(ValueError, match=r"TRES 'gres/gpu' (is out of range|has no count)"):
        tres.canonical(f"cpu=1,gres/gpu={count}")


# --- resources ---


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("cpu", {"cpu": 1}),
        ("gres/gpu:a100", {"gres/gpu:a100": 1}),
        ("2*cpu", {"cpu": 2}),
        ("0.25*cpu+16*gres/gpu", {"cpu": Decimal("0.25"), "gres/gpu": 16}),
        ("cpu+node", {"cpu": 1, "node": 1}),
    ],
)
def test_a_resource_may_be_typed_as_a_sum(text: str, weights: dict[str, tres.Count]) -> None:
    assert Resource.parse(text).weights == weights


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "+", "cpu+", "+cpu", "2*", "0*cpu", "-1*cpu", "x*cpu", "nan*cpu", "sNaN*cpu", "inf*cpu",
        "2*cpu+3*cpu", "cpu+cpu", "1,5*cpu",
    ],
)  # fmt: skip
def test_a_text_that_is_no_resource_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a resource"):
        Resource.parse(text)


names = st.sampled_from(("cpu", "node", "gres/gpu", "gres/gpu:a100", "billing"))
decimals = st.decimals("0.001", "1000", places=3) | st.integers(1, 64).map(Decimal)


@given(st.dictionaries(names, decimals, min_size=1))
def test_a_resource_is_read_back_from_its_name(weights: dict[str, tres.Count]) -> None:
    assert Resource.parse(Resource(weights).name).weights == weights


@given(st.text(max_size=20) | st.text(alphabet="cpu*+0.15-e naNif", max_size=12))
def test_any_text_is_a_resource_of_finite_weights_or_refused(text: str) -> None:
    try:
        weights = Resource.parse(text).weights
    except ValueError:
        return
    assert all(name.strip() and 0 < weight < 10**400 for name, weight in weights.items())


@given(st.dictionaries(names, decimals | st.just(1), min_size=1))
def test_a_resource_is_the_same_after_json(weights: dict[str, tres.Count]) -> None:
    resource = Resource(weights)
    assert Resource.from_plain(resource.plain()) == resource
    assert list(resource.weights) == sorted(weights)
