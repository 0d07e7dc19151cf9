"""Who is shown everything: what PrivateData hides from whom, for every read alike. Pure.

Slurm leaves rows out of an answer without a word and exits with 0. What it hides was seen on 22.05.8, as a
user without rights: ``jobs`` empties squeue (slurm.conf) and sacct (slurmdbd.conf), ``usage`` sshare
(slurm.conf), ``users`` the associations (slurmdbd.conf). Other words hide nothing of what is read, or make
the command fail. Root, SlurmUser and AdminLevel Operator and Administrator are shown everything.
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
        """Those that are set.

        >>> QUEUE.hidden(("jobs", "nodes"), ("jobs",)), RUNS.hidden(("jobs",), ()), RUNS.hidden((), ("all",))
        (['jobs'], [], ['all'])
        """
        ours = {one for one in slurmctld if one in self.slurmctld or (one == ALL and self.slurmctld)}
        return sorted(
            ours | {one for one in slurmdbd if one in self.slurmdbd or (one == ALL and self.slurmdbd)}
        )


QUEUE = Rows(slurmctld=frozenset({"jobs"}))
RUNS = Rows(slurmdbd=frozenset({"jobs"}))
ASSOCIATIONS = Rows(slurmctld=frozenset({"usage"}), slurmdbd=frozenset({"users"}))
UTILIZATION = Rows(slurmdbd=frozenset({"usage", "users", "accounts"}))
_EVENTS = Rows(slurmdbd=frozenset({"events"}))
"""A refusal in 22.05, which fails by itself."""
_EVERY = (QUEUE, RUNS, ASSOCIATIONS, UTILIZATION, _EVENTS)
ANY = Rows(
    frozenset().union(*(one.slurmctld for one in _EVERY)),
    frozenset().union(*(one.slurmdbd for one in _EVERY)),
)


def unrestricted(user: str, slurm_user: str, admin_level: str | None) -> bool:
    """Whether a user is shown, and may change, everything."""
    return user in ("root", slurm_user) or admin_level in UNRESTRICTED


def blind(hidden: Iterable[str], user: str, admin_level: str) -> str:
    """What an operator is told.

    >>> blind(["jobs"], "saf", "None")
    "PrivateData=jobs hides other users' jobs from saf (AdminLevel None), so nothing was read; \
run: sacctmgr -i modify user where name=saf set adminlevel=Operator"
    """
    words = list(hidden)
    what = " and ".join(_WHAT.get(one, "rows") for one in words)
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
