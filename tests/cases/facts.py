"""A small sound cluster as facts for the stand-in, and rows that differ from a sound one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

Row = dict[str, str]
NOW = int(time.time())
TREE = {
    "1": ("0", "root", "", 1), "4": ("1", "national", "", 75), "9": ("4", "astro", "", 1),
    "20": ("9", "astro", "lp", 1), "3": ("1", "regional", "", 25), "6": ("3", "umcg", "", 1),
    "14": ("6", "umcg", "mail", 1),
}  # fmt: skip
"""Associations by id: the parent's id, account, user and shares."""

RUN = {
    "Submit": str(NOW - 7300), "Eligible": str(NOW - 7300), "Start": str(NOW - 7200), "End": str(NOW - 3600),
    "ElapsedRaw": "3600", "Suspended": "00:00:00", "State": "COMPLETED", "Cluster": "loop",
    "Account": "astro", "User": "lp", "Partition": "main", "QOS": "normal", "ReservationId": "0",
    "ReqTRES": "billing=4,cpu=4,mem=4000M,node=1", "AllocTRES": "billing=4,cpu=4,mem=4000M,node=1",
}  # fmt: skip
JOB = {
    "ArrayJobID": "11", "ArrayTaskID": "N/A", "HetJobID": "N/A", "PriorityLong": "6763",
    "EligibleTime": str(NOW - 100), "TimeLimit": "5:00", "tres-alloc": "cpu=4,mem=1000M,node=1,billing=4",
    "State": "PENDING", "Reason": "Resources", "Account": "umcg", "UserName": "mail", "Partition": "main",
    "QOS": "normal", "WCKey": "(null)", "Reservation": "(null)",
}  # fmt: skip
EVENT = {"TimeStart": str(NOW - 86400), "TimeEnd": "Unknown", "State": "DOWN", "TRES": "billing=4,cpu=4"}
RESERVATION = {"Start": str(NOW - 7200), "End": str(NOW + 7200), "Associations": "6", "TRES": "cpu=4"}
SHARE = {"NormShares": "0.333333", "RawUsage": "10", "EffectvUsage": "0.022098", "LevelFS": "15.084125"}
TERMS = {
    "%F": "6000", "%A": "10", "%B": "0", "%J": "0", "%P": "0", "%Q": "0", "%S": "0", "%T": "cpu=3.00",
    "%N": "0", "%r": "main",
}  # fmt: skip


def run(number: int, /, **different: str) -> Row:
    """A run of four CPUs for an hour, two hours ago."""
    one = str(number)
    return {**RUN, "DBIndex": one, "JobIDRaw": one, "JobID": one, **different}


def job(number: int, /, **different: str) -> Row:
    """A job that waits for four CPUs."""
    return {**JOB, "JobID": str(number), "ArrayJobID": str(number), **different}


def event(node: str = "", /, **different: str) -> Row:
    """A node that is down since yesterday."""
    return {**EVENT, "NodeName": node, **different}


def size(since: int, nodes: int, cpus: int) -> Row:
    """A cluster of so many nodes since so many seconds."""
    return event(TimeStart=str(NOW - since), State="", TRES=f"billing={cpus},cpu={cpus},node={nodes}")


def share(number: str, /, **different: str) -> Row:
    """What sshare says of an association."""
    return {**SHARE, "ID": number, "RawShares": "1", **different}


REGION, OTHERS = run(1, Account="umcg", User="mail"), run(2)


def facts(**different: Any) -> Mapping[str, Any]:
    """All that a sound cluster of 22.05 says; two runs are over, and nothing waits."""
    assoc = [
        {"ID": one, "ParentID": parent, "Share": str(shares), "Account": account, "User": user}
        for one, (parent, account, user, shares) in TREE.items()
    ]
    usage = [share(one, RawShares=str(shares)) for one, (*_, shares) in TREE.items()]
    return {
        "runs": [REGION, OTHERS], "queue": [], "prio": [], "assoc": assoc,
        "share": usage, "event": [size(90_000, 100, 400)], "reservation": [],
        "qos": [{"Name": "normal", "UsageFactor": "1.000000"}], "account": [], "user": [],
        "transactions": [], "utilization": [], "node": [], "partition": [],
        "slurmdbd": {"PrivateData": "none", "MaxQueryTimeRange": "UNLIMITED", "PurgeJobAfter": "NONE"},
        "config": {
            "AccountingStorageEnforce": "associations,limits,safe", "ClusterName": "loop",
            "AccountingStorageTRES": "cpu,mem,energy,node,billing,gres/gpu", "PrivateData": "none",
            "PriorityCalcPeriod": "00:05:00", "PriorityDecayHalfLife": "7-00:00:00", "PriorityFlags": "",
            "PriorityType": "priority/multifactor", "PriorityUsageResetPeriod": "NONE",
            "PriorityWeightAge": "1000", "PriorityWeightFairShare": "100000", "SLURM_VERSION": "22.05.8",
            "SlurmUser": "root(0)",
        },
        "sdiag": {
            "": {"DBD Agent queue size": "0", "Latency for 1000 calls to gettimeofday()": "20 microseconds"},
            "Backfilling stats": {
                "Last cycle when": f"now ({NOW})", "Last depth cycle": "0", "Last queue length": "0",
            },
        },
        **different,
    }  # fmt: skip
