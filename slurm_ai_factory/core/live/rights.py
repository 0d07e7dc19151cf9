"""What PrivateData hides from a user, for every read alike. Pure. Tested in tests/doctor/test_checks.py.

Slurm leaves rows out of an answer, gives no error and exits with 0. Observed on 22.05.8 as a user without
rights: ``jobs`` empties squeue (slurm.conf) and sacct (slurmdbd.conf), ``usage`` sshare (slurm.conf),
``users`` the associations (slurmdbd.conf). Other words hide nothing that is read here, or make the command
fail. Root, SlurmUser and the AdminLevels Operator and Administrator see everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

UNRESTRICTED = ("Operator", "Administrator")
ALL = "all"
_WHAT = {
    "jobs": "other users' jobs",
    "usage": "other users' usage",
    "users": "other users",
    "accounts": "accounts of others",
    "events": "events of nodes",
}


class Rows(NamedTuple):
    """The words of PrivateData that hide rows of an answer, in slurm.conf and in slurmdbd.conf."""

    slurmctld: frozenset[str] = frozenset()
    slurmdbd: frozenset[str] = frozenset()

    def hidden(self, slurmctld: Iterable[str], slurmdbd: Iterable[str]) -> list[str]:
        """The words that hide rows here, of those set in slurm.conf and in slurmdbd.conf.

        >>> QUEUE.hidden(("jobs", "nodes"), ("jobs",)), RUNS.hidden(("jobs",), ()), RUNS.hidden((), ("all",))
        (['jobs'], [], ['all'])
        """
        ours = {word for word in slurmctld if word in self.slurmctld or (word == ALL and self.slurmctld)}
        return sorted(
            ours | {word for word in slurmdbd if word in self.slurmdbd or (word == ALL and self.slurmdbd)}
        )


QUEUE = Rows(slurmctld=frozenset({"jobs"}))
RUNS = Rows(slurmdbd=frozenset({"jobs"}))
ASSOCIATIONS = Rows(slurmctld=frozenset({"usage"}), slurmdbd=frozenset({"users"}))
UTILIZATION = Rows(slurmdbd=frozenset({"usage", "users", "accounts"}))
_EVENTS = Rows(slurmdbd=frozenset({"events"}))
"""A refusal in 22.05, which fails by itself."""
_EVERY = (QUEUE, RUNS, ASSOCIATIONS, UTILIZATION, _EVENTS)
ANY = Rows(
    frozenset().union(*(rows.slurmctld for rows in _EVERY)),
    frozenset().union(*(rows.slurmdbd for rows in _EVERY)),
)


def unrestricted(user: str, slurm_user: str, admin_level: str | None) -> bool:
    """Whether a user sees, and may change, everything."""
    return user in ("root", slurm_user) or admin_level in UNRESTRICTED


def blind(hidden: Iterable[str], user: str, admin_level: str) -> str:
    """The sentence that rows are hidden, and the command that shows them.

    >>> blind(["jobs"], "saf", "None")
    "PrivateData=jobs hides other users' jobs from saf (AdminLevel None), so nothing was read; \
run: sacctmgr -i modify user where name=saf set adminlevel=Operator"
    """
    words = list(hidden)
    what = " and ".join(_WHAT.get(word, "rows") for word in words)
    level = f"AdminLevel {admin_level}" if admin_level else "no user of slurmdbd"
    return (
        f"PrivateData={','.join(words)} hides {what} from {user} ({level}), so nothing was read; "
        f"run: {operator_command(user, admin_level)}"
    )


def operator_command(user: str, admin_level: str | None) -> str:
    """The command that makes the user an operator."""
    if admin_level:
        return f"sacctmgr -i modify user where name={user} set adminlevel=Operator"
    return f"sacctmgr -i add user name={user} account=STAFF adminlevel=Operator (any account but root)"
