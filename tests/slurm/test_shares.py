"""sshare by its text and by its JSON: one shape, all digits, and no number from an answer not understood."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import PARENT_SHARES, Rejected
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import Slurm, shares
from slurm_ai_factory.slurm.commands import Commands
from tests.scratch import program
from tests.slurm.record import RECORDED

VERSION = "slurm-wlm 24.11.5\n"
answers = sorted(
    one for one in RECORDED.glob("*/queue/sshare_json.txt") if (one.parent / "sshare.txt").exists()
)


def number(value: float, *, is_set: bool = True, infinite: bool = False) -> dict[str, Any]:
    return {"set": is_set, "infinite": infinite, "number": value}


def row(**different: Any) -> dict[str, Any]:
    return {
        "id": 6, "shares": number(26),
        "shares_normalized": number(26 / 102), "usage": 274, "effective_usage": number(1 / 3),
        "fairshare": {"factor": number(0.0), "level": number(0.75)},
    } | different  # fmt: skip


def answer(*rows: dict[str, Any], errors: tuple[str, ...] = ()) -> str:
    return json.dumps({"shares": {"shares": rows}, "errors": errors, "warnings": [], "meta": {}})


def usage(rows: Iterable[shares.UsageRow]) -> dict[int, shares.AssociationUsage]:
    """By id, without what could not be read."""
    return dict(one for one in rows if not isinstance(one, Rejected))


def test_a_row_of_json_is_a_row_of_text_with_all_its_digits() -> None:
    found = usage(shares.from_json(answer(row()), VERSION))
    assert found == {6: shares.AssociationUsage(26, 26 / 102, 274, 1 / 3, 0.75)}


@pytest.mark.parametrize(("level", "expected"), [
    (number(0, infinite=True), inf), (number(0, is_set=False), None), (number(2), 2.0),
    (number(1.8446744073709552e19), inf),
])  # fmt: skip
def test_unset_and_infinite_are_no_zero(level: dict[str, Any], expected: float | None) -> None:
    found = usage(shares.from_json(answer(row(fairshare={"level": level})), VERSION))
    assert found[6].level_fs == expected


def test_shares_of_the_parent_and_none_are_told_apart() -> None:
    parent = usage(shares.from_json(answer(row(shares=number(PARENT_SHARES))), VERSION))
    assert parent[6].raw_shares == PARENT_SHARES
    none = usage(shares.from_json(answer(row(shares=number(0, is_set=False))), VERSION))
    assert none[6].raw_shares is None


@pytest.mark.parametrize("text", [
    "", "null", "[]", "{}", "slurm 24.11", answer(row())[:-3], '{"errors": [], "shares": []}',
    '{"errors": [], "shares": {"shares": null}}', answer(row(), errors=("no such cluster",)),
    *(answer({name: value for name, value in row().items() if name != key}) for key in row()),
    *(answer(row(usage=bad)) for bad in ("274", 274.5, True, None)),
    *(answer(row(shares_normalized=bad)) for bad in (0.25, "0.25", None, {"set": True})),
    *(answer(row(shares=bad)) for bad in (number(2.5), number(0, infinite=True), 26)),
    answer(row(effective_usage={"set": "yes", "infinite": False, "number": 1})),
    answer(row(effective_usage={"set": True, "infinite": False, "number": "1"})),
    answer(row(fairshare=0.5)), answer(row(id=None)), answer(row(id="6")),
    answer(row()).replace('"number": 26', '"number": NaN'),
    answer(row()).replace('"number": 26', '"number": Infinity'),
    answer(row(effective_usage=number(nan))), answer(row(fairshare={"level": number(-inf)})),
])  # fmt: skip
def test_json_of_another_shape_is_an_error_that_names_the_version(text: str) -> None:
    with pytest.raises(SlurmError, match=r"of slurm-wlm 24\.11\.5 answers in an unknown shape"):
        usage(shares.from_json(text, VERSION))


OUT_OF_RANGE = (
    {"usage": -1}, {"usage": 2**64}, {"usage": 10**30}, {"shares_normalized": number(-1)},
    {"effective_usage": number(-1e300)}, {"fairshare": {"level": number(-0.5)}},
)  # fmt: skip


@pytest.mark.parametrize("bad", OUT_OF_RANGE, ids=str)
def test_usage_out_of_range_is_unknown_and_told_and_the_others_stand(bad: dict[str, Any]) -> None:
    found = shares.from_json(answer(row(**bad), row(id=7)), VERSION)
    assert usage(found) == {
        6: shares.AssociationUsage(26),
        7: shares.AssociationUsage(26, 26 / 102, 274, 1 / 3, 0.75),
    }
    assert [one.line for one in found if isinstance(one, Rejected)] == ["sshare: association 6"]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, one in items for each in _paths(one, (*path, key)))]


@given(st.data())
def test_any_change_of_the_shape_is_read_or_an_error(data: st.DataObject) -> None:
    whole = json.loads(answer(row(), row(id=7)))
    path = data.draw(st.sampled_from([one for one in _paths(whole) if one]))
    bad: Any = data.draw(st.sampled_from([None, "x", -1, 1.5, [], {}, True, [[]]]))
    spoilt = copy.deepcopy(whole)
    place = spoilt
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = bad
    try:
        found = usage(shares.from_json(json.dumps(spoilt), VERSION))
    except SlurmError:
        return
    assert all(one.raw_usage is None or one.raw_usage >= 0 for one in found.values())


def test_json_was_recorded() -> None:
    assert {path.parts[-3].rpartition(".")[0] for path in answers} >= {"24.11", "26.05"}


@pytest.mark.parametrize("path", answers, ids=lambda path: path.parts[-3])
def test_json_says_what_text_says(path: Path) -> None:
    text = usage(shares.from_text((path.parent / "sshare.txt").read_text().splitlines(keepends=True)))
    found = usage(shares.from_json(path.read_text(), VERSION))
    assert set(found) == set(text)
    for key, rounded in text.items():
        exact = found[key]
        assert exact.raw_shares == rounded.raw_shares
        assert exact.raw_usage == pytest.approx(rounded.raw_usage, abs=5)
        for name in ("norm_shares", "effectv_usage", "level_fs"):
            assert getattr(exact, name) == pytest.approx(getattr(rounded, name), abs=1e-6), (key, name)


# --- which of the two ----------------------------------------------------------------------------------

TREE = """\
case "$*" in
*ParentID*) echo '1|0|1'; echo '6|1|26';;
*) echo 'root|||1'; echo 'regional|||6';;
esac
"""
TEXT = "|".join(("6", "26", "0.254902", "274", "0.333333", "0.75"))


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[[str, str], Slurm]:
    """A client whose sshare is of this version and does this when it is asked for JSON."""

    def make(version: str, in_json: str) -> Slurm:
        (tmp_path / "answer.json").write_text(answer(row()))
        cases = f'-V) echo "{version}";;\n*--json*) {in_json};;\n*) echo "{TEXT}";;'
        program(tmp_path / "sshare", f'case "$*" in\n{cases}\nesac')
        program(tmp_path / "sacctmgr", TREE)
        return Slurm("loop", Commands(directory=tmp_path))

    return make


def norm_shares(slurm: Slurm) -> float | None:
    return next(one.norm_shares for one in slurm.associations() if one.account == "regional")


def test_versions_that_have_it_are_asked_for_json(slurm: Callable[[str, str], Slurm], tmp_path: Path) -> None:
    assert norm_shares(slurm("slurm-wlm 24.11.5", f"cat {tmp_path}/answer.json; echo")) == 26 / 102


def test_the_newest_schema_that_is_offered_is_read(
    slurm: Callable[[str, str], Slurm], tmp_path: Path
) -> None:
    """A release that is not known offers a schema that is, until it is removed."""
    said = "sshare: error: application/json output not supported by data_parser/v0.0.47"
    only_44 = (
        f'case "$*" in *v0.0.44) cat {tmp_path}/answer.json; echo;; *) echo "{said}" >&2; exit 253;; esac'
    )
    source = slurm("slurm 26.11.1", only_44)
    assert norm_shares(source) == 26 / 102
    assert source.shares_schema() == "v0.0.44"


@pytest.mark.parametrize("version", ["slurm-wlm 22.05.8", "slurm 23.11.4", "slurm devel"])
def test_other_versions_are_asked_for_text(slurm: Callable[[str, str], Slurm], version: str) -> None:
    assert norm_shares(slurm(version, "exit 9")) == 0.254902


def test_a_slurm_without_its_json_plugin_is_read_as_text(slurm: Callable[[str, str], Slurm]) -> None:
    said = "sshare: error: application/json output not supported by data_parser/v0.0.42"
    source = slurm("slurm 25.05.3", f'echo "{said}" >&2; exit 1')
    assert norm_shares(source) == 0.254902
    assert source.shares_schema() == ""


def test_another_failure_is_not_hidden_by_text(slurm: Callable[[str, str], Slurm]) -> None:
    with pytest.raises(SlurmError, match="Connection refused"):
        norm_shares(slurm("slurm 25.05.3", 'echo "sshare: error: Connection refused" >&2; exit 1'))


def test_json_that_is_not_understood_is_not_replaced_by_text(slurm: Callable[[str, str], Slurm]) -> None:
    with pytest.raises(SlurmError, match=r"of slurm 25\.05\.3 answers in an unknown shape"):
        norm_shares(slurm("slurm 25.05.3", "echo '{}'"))
