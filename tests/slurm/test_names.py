"""The names that Slurm has, as an ordinary user and as an operator may see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from slurm_ai_factory.errors import SlurmError, SlurmRefusedError
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.names import names_by_condition

ANSWERS = {
    "assoc": "", "qos": "1|normal", "wckey": "2|*flood", "partition": "PartitionName=main Nodes=n1",
    "reservation": "",
}  # fmt: skip

ASSOCIATION = {"ID": "1", "ParentID": "0", "Share": "1", "Account": "root", "User": "", "Partition": ""}


@dataclass(frozen=True)
class Answering(Commands):
    """Slurm's commands with an answer to each question, or an error."""

    errors: dict[str, SlurmError] = field(default_factory=dict)

    def lines(self, name: str, *arguments: str) -> Iterator[str]:  # noqa: ARG002
        what = next(one for one in ANSWERS if one in arguments)
        if what in self.errors:
            raise self.errors[what]
        fields = arguments[-1].removeprefix("format=").split(",")
        yield "|".join(ASSOCIATION[one] for one in fields) + "\n" if what == "assoc" else f"{ANSWERS[what]}\n"


def test_a_list_that_is_refused_is_hidden_and_the_others_are_read() -> None:
    found, hidden = names_by_condition(
        Answering(errors={"wckey": SlurmRefusedError("permission denied")}), "loop"
    )
    assert hidden == ["wckey"]
    assert "wckey" not in found
    assert found["qos"] == {"normal"}
    assert found["partition"] == {"main"}


@pytest.mark.parametrize("what", ["wckey", "qos"])
def test_a_list_that_could_not_be_read_is_no_empty_one(what: str) -> None:
    with pytest.raises(SlurmError, match="does not answer"):
        names_by_condition(Answering(errors={what: SlurmError("slurmdbd does not answer")}), "loop")


def test_a_default_wckey_has_a_star_in_front() -> None:
    found, hidden = names_by_condition(Answering(), "loop")
    assert found["wckey"] == {"*flood"}
    assert hidden == []
