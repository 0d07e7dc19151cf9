"""What a job in the queue waits for, in words: the meaning of each standing and of each limit. Pure.

Tested in tests/core/live/test_waiting_for.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from slurm_ai_factory.core.live.demand import Standing, reason_standing

MEANING: Mapping[Standing, str] = {
    Standing.WAITING: "would start if nodes were free or if it came first: demand",
    Standing.RUNNING: "has its nodes",
    Standing.SUSPENDED: "has its nodes and does not run",
    Standing.HELD: "held by its user or an administrator",
    Standing.DEPENDENT: "waits for another job",
    Standing.LATER: "not eligible yet: a begin time, or a requeued job that is being cleaned up",
    Standing.LIMITED: "held by the limit of its own array",
    Standing.BLOCKED: "cannot start as it was submitted",
    Standing.RESERVED: "waits for the reservation that it asks for",
    Standing.UNAVAILABLE: "waits for nodes or other things that are not available now",
    Standing.HELD_BY_LIMIT: "held by a bound that Slurm enforces, whatever its priority",
    Standing.HELD_BY_GRID: "waits for nodes that `saf` keeps free while less power is allowed",
    Standing.ELSEWHERE: "belongs to another cluster",
    Standing.FAILED: "its last try failed and Slurm has not tried it since",
    Standing.UNKNOWN: "a word that `saf` does not know",
}
"""Each standing in words."""

_LIMIT = re.compile(
    r"(?P<of>Assoc|QOS|)(?P<kind>Grp|Max|Min)"
    r"(?P<what>BB|Billing|C[Pp][Uu]|Energy|GRES|License|Mem(?:ory)?|Node|Unknown|Jobs?|SubmitJobs?|Wall(?:Duration)?)"
    r"(?P<time>Minutes|RunMin(?:ute)?s|)(?P<per>PerJob|PerNode|PerUser|PerAccount|)(?:Limit|NotSatisfied|)"
)
_TIMES = {"": "", "Minutes": "Mins", "RunMinutes": "RunMins", "RunMins": "RunMins"}
_TRES = {"bb": "burst buffers", "mem": "memory", "memory": "memory", "cpu": "CPUs", "node": "nodes",
         "gres": "GRES", "license": "licences", "unknown": "another TRES"}  # fmt: skip
_OTHERS = {
    "Licenses": "licences that are all in use or reserved",
    "MaxPoweredUpNodes": "max_powered_nodes of slurm.conf",
    "AccountingPolicy": "a limit that Slurm does not name",
    "AssociationJobLimit": "the number of jobs of its association",
    "AssociationResourceLimit": "a TRES limit of its association",
    "AssociationTimeLimit": "a time limit of its association",
    "QOSJobLimit": "the number of jobs of its QOS",
    "QOSResourceLimit": "a TRES limit of its QOS",
    "QOSTimeLimit": "a time limit of its QOS",
    "QOSUsageThreshold": "UsageThreshold of its QOS",
}


def reason_meaning(reason: str) -> str:
    """A reason in words: the limit by its name in sacctmgr, or what the job waits for.

    >>> reason_meaning("AssocGrpGRESRunMinutes"), reason_meaning("MaxCpuPerAccount")
    ('GrpTRESRunMins (GRES) of its association or one above', 'MaxTRESPerAccount (CPUs) of its QOS')
    >>> reason_meaning("QOSMaxWallDurationPerJobLimit"), reason_meaning("Priority")
    ('MaxWallDurationPerJob of its QOS', 'would start if nodes were free or if it came first: demand')
    """
    standing = reason_standing(reason)
    if standing is not Standing.HELD_BY_LIMIT:
        return MEANING[standing]
    if reason in _OTHERS:
        return _OTHERS[reason]
    match = _LIMIT.fullmatch(reason)
    if match is None:
        return MEANING[standing]
    whose = "its association or one above" if match["of"] == "Assoc" else "its QOS"
    return f"{_setting(match)} of {whose}"


def _setting(match: re.Match[str]) -> str:
    """The limit by its name in sacctmgr."""
    kind, what, per = match["kind"], match["what"], match["per"]
    if what.startswith(("Job", "Submit", "Wall")):
        plural = {"Job": "Jobs", "SubmitJob": "SubmitJobs"}.get(what, what)
        return f"{kind}{plural}{per}"
    tres = _TRES.get(what.lower(), what.lower())
    per = "PerJob" if kind == "Min" else per
    return f"{kind}TRES{_TIMES[match['time']]}{per} ({tres})"
