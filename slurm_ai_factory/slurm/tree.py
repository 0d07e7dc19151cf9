"""The associations of slurmdbd, each with its numbers and, where that can be told, its names.

A coordinator may give an account any name, with bars and line breaks in it, and sacctmgr prints it as it is.
Rule: how many associations there are, their shares and who is below whom is asked for in numbers alone, which
nobody can forge; a name is believed where the number of lines proves that it is whole, or where it is all
that was asked for. What still cannot be told goes by its number.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.records import Rejected
from slurm_ai_factory.slurm import parse
from slurm_ai_factory.slurm.commands import Commands

QUESTIONS_MOST = 300
"""How many questions are asked about odd names in one read; what is left goes by its number."""


@dataclass(frozen=True, slots=True)
class AssociationTree:
    """One cluster's associations; those that are gone among them where ``deleted`` says so."""

    commands: Commands
    cluster: str
    deleted: bool = False

    def rows(self) -> list[parse.AssociationRow | Rejected]:
        """Every association, and beside it what cannot be read of it. Raises SlurmError."""
        numbers = self.numbers()
        return list(parse.association_tree(numbers, self.names(list(numbers))))

    def numbers(self) -> dict[int, tuple[int, int]]:
        """Parent's id and RawShares of each association, by id."""
        return parse.numbers(self._shown(parse.NUMBER_FIELDS))

    def names(self, ids: list[int]) -> dict[int, parse.Names]:
        """The names of these associations, by id, of those whose names can be told.

        One question where no name is odd. Else those that look odd are asked for apart, and again of those,
        until each answer has a line for each of its associations, or is about one association.
        """
        found: dict[int, parse.Names] = {}
        groups = [ids]
        for _ in range(QUESTIONS_MOST):
            if not groups:
                break
            group = groups.pop()
            lines = self._shown(parse.NAME_FIELDS, *(() if group is ids else group))
            some = parse.association_names(lines, group)
            if len(lines) == len(some) == len(group):
                found |= some
            elif len(group) == 1:
                found |= self._spelt(group[0])
            else:
                groups += parse.odd_parts(group, some)
        return found

    def _spelt(self, one: int) -> dict[int, parse.Names]:
        """The names of an association by a question for each: all of an answer behind the id is that name."""
        if self._shown(("ID",), one) != [f"{one}\n"]:
            return {}
        told = ["".join(self._shown(("ID", name), one)) for name in parse.NAMES]
        head = f"{one}|"
        if not all(text.startswith(head) for text in told):
            return {}
        account, user, partition = (text[len(head) : -1] for text in told)
        return {one: (account, user, partition)}

    def _shown(self, fields: tuple[str, ...], *ids: int) -> list[str]:
        """Lines of sacctmgr, of all associations or of those with these ids."""
        some = (f"id={','.join(map(str, ids))}",) if ids else ()
        deleted = ("withdeleted",) if self.deleted else ()
        return list(
            self.commands.lines(
                "sacctmgr", "-n", "-P", "show", "assoc", *deleted, "where", f"cluster={self.cluster}",
                *some, f"format={','.join(fields)}",
            )
        )  # fmt: skip
