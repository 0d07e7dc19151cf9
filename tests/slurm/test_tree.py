"""The tree with hostile names in it: whoever may name an account can neither hide, nor forge, nor stop a row.

A stand-in for sacctmgr prints whatever names there are raw, as those of 22.05, 24.11 and 26.05 do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import Rejected
from slurm_ai_factory.slurm import tree
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.parse import AssociationRow, Names
from slurm_ai_factory.slurm.tree import AssociationTree

ROOT: Names = ("root", "", "")
REGIONAL: Names = ("regional", "", "")
ASTRO: Names = ("astro", "", "")
SOUND = {1: ROOT, 3: REGIONAL, 9: ASTRO}


@dataclass(frozen=True)
class Sacctmgr(Commands):
    """Associations by id, each below astro but for those that are sound."""

    named: Mapping[int, Names] = field(default_factory=dict)
    filters: bool = True  #: whether it knows the condition id=
    asked: list[str] = field(default_factory=list)

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = {}) -> Iterator[str]:  # noqa: ARG002
        values = dict(one.split("=", 1) for one in arguments if "=" in one)
        self.asked.append(values["format"])
        ids = [int(one) for one in values["id"].split(",")] if "id" in values and self.filters else self.named
        text = "".join(self._row(one, values["format"]) for one in self.named if one in ids)
        yield from (f"{line}\n" for line in text.split("\n")[:-1])

    def _row(self, one: int, fields: str) -> str:
        account, user, partition = self.named[one]
        parent = {1: 0, 3: 1, 9: 1}.get(one, 9)
        values = {"ID": str(one), "ParentID": str(parent), "Share": "1", "Account": account, "User": user,
                  "Partition": partition}  # fmt: skip
        return "|".join(values[name] for name in fields.split(",")) + "\n"


def read(
    named: Mapping[int, Names], *, filters: bool = True
) -> tuple[dict[int, AssociationRow], list[Rejected]]:
    rows = AssociationTree(Sacctmgr(named=named, filters=filters), "loop").rows()
    found = [one for one in rows if isinstance(one, AssociationRow)]
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found}, [one for one in rows if isinstance(one, Rejected)]


def test_names_that_are_sound_cost_two_questions() -> None:
    sacctmgr = Sacctmgr(named=SOUND)
    assert AssociationTree(sacctmgr, "loop").rows() == [
        AssociationRow(1, 0, 1, "root"), AssociationRow(3, 1, 1, "regional"),
        AssociationRow(9, 1, 1, "astro"),
    ]  # fmt: skip
    assert sacctmgr.asked == ["ID,ParentID,Share", "Account,User,Partition,ID"]


FORGED = (
    "a|b", "n\n3|25|regional", "x\nregional", "x\nregional|||3", "x\nregional|||27\ny", "27|regional", "\n",
    "|", "zz\n27|regional", "e|u|p|3\nq", "q||\nq", "q|||3\nregional|||9\nroot",
    "--help", "cluster=x", "id=3",
    " lead", "\x1b[31m", "\u2028", "a\rb", "%s", "root\n", "\nroot", "x" * 255, "\\xff", "#3",
)  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["account", "user", "partition"])
def test_any_name_is_its_own_rows_and_no_others(name: str, place: int) -> None:
    names = ["astro", "jan", "main"]
    names[place] = name
    odd = (names[0], names[1], names[2])
    found, told = read({**SOUND, 27: odd, 28: ("last", "", "")})
    assert found[27] == AssociationRow(27, 9, 1, *odd)
    assert (found[3], found[28]) == (AssociationRow(3, 1, 1, "regional"), AssociationRow(28, 9, 1, "last"))
    assert told == []


TEXT = st.text(
    st.sampled_from("ab|\n39#27 ") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12
)


@given(
    st.dictionaries(st.integers(10, 40), st.tuples(TEXT, TEXT | st.just(""), TEXT | st.just("")), max_size=6)
)
@example({27: ("x\nregional|||3", "", ""), 28: ("regional|||27\n3", "", ""), 29: ("a", "\n", "|")})
def test_whatever_the_names_are_each_row_has_its_own(named: dict[int, Names]) -> None:
    everybody = {**SOUND, **named}
    found, told = read(everybody)
    assert found.keys() == everybody.keys()
    names = list(everybody.values())
    for one, own in everybody.items():
        expected = own if names.count(own) == 1 else (f"#ID {one}", "", "")
        assert found[one][3:] == expected
    assert len(told) == sum(names.count(one) > 1 for one in names)


def test_a_name_that_is_anothers_stands_for_neither() -> None:
    found, told = read({**SOUND, 27: REGIONAL})
    assert (found[3].account, found[27].account) == ("#ID 3", "#ID 27")
    assert [one.line for one in told] == ["3|regional||", "27|regional||"]


def test_where_odd_names_cannot_be_asked_for_apart_they_go_by_their_number_and_count() -> None:
    found, told = read({**SOUND, 27: ("x\nregional", "", "")}, filters=False)
    assert found[27] == AssociationRow(27, 9, 1, "#ID 27")
    assert "regional" not in {one.account for one in found.values() if one.id != 3}
    assert Rejected("27", "the name of this association cannot be distinguished from others") in told


def test_however_many_odd_names_there_are_only_so_many_questions_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree, "QUESTIONS_MOST", 10)
    named = {**SOUND, **{n: (f"x\n{n}|", "", "") for n in range(100, 200)}}
    sacctmgr = Sacctmgr(named=named)
    rows = [one for one in AssociationTree(sacctmgr, "loop").rows() if isinstance(one, AssociationRow)]
    assert len(rows) == len(named)
    assert len(sacctmgr.asked) <= 1 + 10 * 5
