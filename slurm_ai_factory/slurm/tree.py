"""The associations of slurmdbd, each with its numbers and, where they are certain, its names.

A coordinator may give an account any name, bars and line breaks included, and sacctmgr prints it unchanged.
Rule: the number of associations, their shares and their parents come from an answer of numbers alone, which
no user can forge. A name counts where the number of lines proves it whole, or where it was the only thing
asked for. An association without a certain name goes by its number.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.records import Rejected
from slurm_ai_factory.slurm import parse
from slurm_ai_factory.slurm.commands import Commands

QUESTIONS_MOST = 300
"""Questions about odd names in one read; associations that are left then go by their numbers."""


@dataclass(frozen=True, slots=True)
class AssociationTree:
    """One cluster's associations; ``deleted`` includes those that were removed."""

    commands: Commands
    cluster: str
    deleted: bool = False

    def rows(self) -> list[parse.AssociationRow | Rejected]:
        """Every association, and a Rejected for each without a certain name. Raises SlurmError."""
        numbers = self.numbers()
        return list(parse.association_tree(numbers, self.names(list(numbers))))

    def numbers(self) -> dict[int, tuple[int, int]]:
        """Parent's id and RawShares of each association, by id."""
        return parse.numbers(self._shown(parse.NUMBER_FIELDS))

    def names(self, ids: list[int]) -> dict[int, parse.Names]:
        """The names of these associations by id, without those whose names are not certain.

        One question where no name is odd. Otherwise odd ones are asked for apart, again and again, until each
        answer has one line for each of its associations, or is about a single one.
        """
        names: dict[int, parse.Names] = {}
        groups = [ids]
        for _ in range(QUESTIONS_MOST):
            if not groups:
                break
            group = groups.pop()
            lines = self._shown(parse.NAME_FIELDS, *(() if group is ids else group))
            whole = parse.association_names(lines, group)
            if len(lines) == len(whole) == len(group):
                names |= whole
            elif len(group) == 1:
                names |= self._spelt(group[0])
            else:
                groups += parse.odd_parts(group, whole)
        return names

    def _spelt(self, number: int) -> dict[int, parse.Names]:
        """An association's names, each from a question of its own, whose answer is the id and that name."""
        if self._shown(("ID",), number) != [f"{number}\n"]:
            return {}
        answers = ["".join(self._shown(("ID", name), number)) for name in parse.NAMES]
        head = f"{number}|"
        if not all(text.startswith(head) for text in answers):
            return {}
        account, user, partition = (text[len(head) : -1] for text in answers)
        return {number: (account, user, partition)}

    def _shown(self, fields: tuple[str, ...], *ids: int) -> list[str]:
        """sacctmgr's lines for all associations, or for those with these ids."""
        those = (f"id={','.join(map(str, ids))}",) if ids else ()
        deleted = ("withdeleted",) if self.deleted else ()
        return list(
            self.commands.lines(
                "sacctmgr", "-n", "-P", "show", "assoc", *deleted, "where", f"cluster={self.cluster}",
                *those, f"format={','.join(fields)}",
            )
        )  # fmt: skip
