"""How Slurm is set up, recorded from real Slurms, and what is made of it; and hostile input."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_ai_factory.core.records import (
    GatheredEnergy,
    LeverKind,
    LoggedWriter,
    Node,
    Partition,
    Rejected,
    Slurmdbd,
    Transaction,
)
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import parse, settings
from tests.slurm.test_queue import lines, versions


@versions
def test_what_a_fresh_slurm_says(recorded: Path) -> None:
    bare = {"tier": 1, "weights": "", "oversubscribe": "NO"}
    assert list(settings.parse_partitions(lines(recorded, "scontrol_show_partition"))) == [
        Partition(name="main", **bare), Partition(name="debug", **bare),  # type: ignore[arg-type]
    ]  # fmt: skip
    assert list(settings.usage_factors(lines(recorded, "sacctmgr_show_qos_UsageFactor"))) == [("normal", 1.0)]
    assert list(settings.account_coordinators(lines(recorded, "sacctmgr_show_account_name_Account"))) == [
        ("root", ())
    ]
    told = lines(recorded, "sacctmgr_show_user_name_AdminLevel")
    assert settings.admin_level("root", told) == "Administrator"
    assert settings.slurmdbd(lines(recorded, "sacctmgr_show_configuration")) == Slurmdbd((), None, None)


@versions
def test_the_own_configuration_tells_what_doctor_asks(recorded: Path) -> None:
    found = parse.parse_priority_config(lines(recorded, "scontrol_show_config"))
    assert (found.private_data, found.usage_reset, found.slurm_user) == ((), "NONE", "root")
    assert found.enforce == ("associations", "limits", "safe")
    none = settings.gathered_energy(lines(recorded, "scontrol_show_config"))
    assert none == GatheredEnergy("", contained=False), "none in 22.05, (null) in later versions"


@versions
def test_changes_of_one_row_are_told_from_those_of_others(recorded: Path) -> None:
    row = settings.own_row(lines(recorded, "sacctmgr_show_assoc_account_user_ID"))
    assert row
    told = lines(recorded, "sacctmgr_list_transactions_Time")
    (found,) = settings.logged(LeverKind.ACCOUNT, row, told)
    assert isinstance(found, Transaction)
    assert (found.actor, found.raw_shares) == ("root", "26")
    assert list(settings.logged(LeverKind.ACCOUNT, f"{row}0", told)) == []


def test_a_node_has_what_it_is_configured_to_have() -> None:
    shown = (
        "NodeName=n1 Arch=x86_64 Comment=CfgTRES of old Gres=gpu:2 "
        "CfgTRES=cpu=4,mem=1000M,billing=4,gres/gpu=2 AllocTRES=cpu=1\n"
    )
    assert list(settings.parse_nodes([shown, "\n"])) == [
        Node("n1", "billing=4,cpu=4,gres/gpu=2,mem=1000,node=1")
    ]
    assert list(settings.parse_nodes([])) == []


def test_free_text_of_a_node_says_nothing_of_this_or_another_node() -> None:
    shown = [
        "NodeName=n1 CfgTRES=cpu=4 AllocTRES= Reason=NodeName=n9 CfgTRES=cpu=99 Comment=a CfgTRES=cpu=7\n",
        "and CfgTRES=cpu=8 on NodeName=n2\n",
        "NodeName=n2 CfgTRES=cpu=2\n",
    ]
    assert list(settings.parse_nodes(shown)) == [Node("n1", "cpu=4,node=1"), Node("n2", "cpu=2,node=1")]


@pytest.mark.parametrize("line", ["NodeName=n1 Arch=x86_64\n", "NodeName=n1 CfgTRES=cpu\n",
                                  "NodeName=n1 CfgTRES=(null)\n", "NodeName=n1 CfgTRES=\n"])  # fmt: skip
def test_a_node_that_cannot_be_read_is_told_and_the_others_stand(line: str) -> None:
    odd, sound = settings.parse_nodes([line, "NodeName=n2 CfgTRES=cpu=2\n"])
    assert isinstance(odd, Rejected)
    assert "n1" in odd.line
    assert sound == Node("n2", "cpu=2,node=1")


def test_changes_of_one_row_are_those_that_set_its_shares() -> None:
    printed = ["9|eve|(id_assoc=3)|shares=30\n", "5|bob|(id_assoc=3 || id_assoc=33)|shares=2147483647\n",
               "7|eve|(id_assoc=33)|shares=1\n", "8|eve|(id_assoc=3)|grp_tres='1=1'\n"]  # fmt: skip
    assert list(settings.logged(LeverKind.ACCOUNT, "id_assoc=3", printed)) == [
        Transaction(9, "eve", "30"), Transaction(5, "bob", "2147483647"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [
    "x priority=99", "a|b) || (name='x`", "first\n5|alice|(name=`high`)|priority=99\nlast", "", "é\u202e|'",
])  # fmt: skip
def test_a_text_in_the_log_sets_nothing_and_names_nobody(text: str) -> None:
    """As Slurm 22.05 prints it, which makes a backtick of each apostrophe of a text."""
    quoted = text.replace("'", "`")
    printed = [
        f"6|eve|(name='low' || name='high')|description='{quoted}', priority=78\n",
        f"7|mallory|(name='highest')|priority=9, description='{quoted}'\n",
        f"8|mallory|(name='{quoted} high')|priority=9\n",
        f"9|mallory|(name='high')|description='{quoted}'\n",
    ]
    lines = "".join(printed).splitlines(keepends=True)
    log = settings.logged(LeverKind.QOS, settings.of_qos("high"), lines)
    assert list(log) == [Transaction(6, "eve", "78")]


def test_a_log_that_ends_within_a_text_is_no_answer_about_it() -> None:
    odd = list(settings.logged(LeverKind.QOS, "name='high'", ["6|eve|(name='high')|description='x\n", "y\n"]))
    assert [isinstance(entry, Rejected) for entry in odd] == [True]


def test_an_account_without_a_row_of_its_own() -> None:
    assert settings.own_row([]) is None
    assert settings.own_row(["4|jan\n", "3|\n"]) == "id_assoc=3"


def test_a_user_that_slurmdbd_does_not_know_has_no_rights() -> None:
    assert settings.admin_level("jan", []) == ""
    assert settings.admin_level("jan", ["Administrator|x\n", "None|jan\n"]) == "None"


def _dbd(**different: str) -> list[str]:
    values = {"PrivateData": "none", "MaxQueryTimeRange": "UNLIMITED", "PurgeJobAfter": "NONE", **different}
    head = ["Configuration data as of 1\n", "PrivateData = jobs\n", "\n", "SlurmDBD configuration:\n"]
    return head + [f"{name:<22} = {value}\n" for name, value in values.items()]


@pytest.mark.parametrize(("different", "expected"), [
    ({}, Slurmdbd((), None, None)),
    ({"PrivateData": "jobs,usage"}, Slurmdbd(("jobs", "usage"), None, None)),
    ({"MaxQueryTimeRange": "60-00:00:00"}, Slurmdbd((), 60 * 86400, None)),
    ({"MaxQueryTimeRange": "1-12:00:00", "PurgeJobAfter": "12 months*"}, Slurmdbd((), 129600, 31104000)),
    ({"PurgeJobAfter": "1 day"}, Slurmdbd((), None, 86400)),
])  # fmt: skip
def test_slurmdbds_own_part_of_the_configuration(different: dict[str, str], expected: Slurmdbd) -> None:
    assert settings.slurmdbd(_dbd(**different)) == expected


@pytest.mark.parametrize("printed", [
    [], ["Configuration data as of 1\n", "PrivateData = none\n"], _dbd()[:-1], _dbd(PurgeJobAfter="a while"),
    _dbd(PurgeJobAfter="x days"), _dbd(MaxQueryTimeRange="long"),
])  # fmt: skip
def test_a_configuration_that_does_not_say_is_no_answer(printed: list[str]) -> None:
    with pytest.raises(SlurmError, match="show configuration cannot be read"):
        settings.slurmdbd(printed)


def test_a_partition_with_weights_and_a_tier() -> None:
    line = ('PartitionName=gpu AllowGroups=ALL PriorityTier=10 OverSubscribe=FORCE:4 State=UP '
            "TRESBillingWeights=CPU=1.0,Mem=0.25G,GRES/gpu=16 Nodes=n[1-4]\n")  # fmt: skip
    assert list(settings.parse_partitions([line, "\n"])) == [
        Partition("gpu", 10, "CPU=1.0,Mem=0.25G,GRES/gpu=16", "FORCE:4")
    ]


def test_the_values_of_switches_and_their_weights() -> None:
    rows = list(settings.qos_priorities(["10|a|b\n", "|normal\n", "-1|c\n", "x\n"]))
    assert rows[:2] == [("a|b", 10), ("normal", 0)]
    assert [isinstance(row, Rejected) for row in rows[2:]] == [True, True]
    shown = ["PartitionName=a PriorityJobFactor=7 X=1\n", "PartitionName=b PriorityJobFactor=many\n"]
    sound, odd = settings.job_factors(shown)
    assert (sound, isinstance(odd, Rejected)) == (("a", 7), True)
    assert settings.switch_weight("PriorityWeightQOS", ["PriorityWeightQOS       = 500\n"]) == 500


@pytest.mark.parametrize("printed", [[], ["PriorityWeightQOS = much\n"], ["PriorityWeightAge = 1\n"]])
def test_a_weight_that_is_not_told_is_no_zero(printed: list[str]) -> None:
    with pytest.raises(SlurmError, match="show config cannot be read"):
        settings.switch_weight("PriorityWeightQOS", printed)


def test_what_cannot_be_read_is_told_and_the_others_stand() -> None:
    shown = [
        "PartitionName=a PriorityTier=x OverSubscribe=NO\n",
        "PartitionName=b PriorityTier=1 OverSubscribe=NO\n",
    ]
    odd, sound = settings.parse_partitions(shown)
    assert (isinstance(odd, Rejected), sound) == (True, Partition("b", 1, "", "NO"))
    factors = list(settings.usage_factors(["0.000000|scavenger\n", "much|normal\n", "|a|b\n", "x\n"]))
    assert [factors[0], factors[2]] == [("scavenger", 0.0), ("a|b", 1.0)]
    assert [isinstance(one, Rejected) for one in factors] == [False, True, False, True]
    log = ["today|eve|(id_assoc=3)|shares=30\n", "5|eve|shares=30\n"]
    changes = list(settings.logged(LeverKind.ACCOUNT, "id_assoc=3", log))
    assert [isinstance(one, Rejected) for one in changes] == [True, True]
    (coordinators,) = settings.account_coordinators(["root\n"])
    assert isinstance(coordinators, Rejected)


ADDED = """\
1795864327|root|id_assoc=3|mod_time=1795864331, acct='regional', parent_acct='root', user='', shares=25, qos=''
1795864328|waldur|id_assoc=26|mod_time=1795864333, acct='hpc_proj1', parent_acct='regional', user='', shares=1, qos=''
1795864329|waldur|id_assoc=27|mod_time=1795864334, acct='hpc_proj1', user='jan', `partition`='', shares=2147483647, qos=''
1795864330|waldur|id_assoc=28|mod_time=1795864334, acct='a, parent_acct=', user='shares=2147483647,', shares=1, qos=''
"""  # noqa: E501
MODIFIED = """\
1795864331|waldur|(id_assoc=26)|grp_tres_mins = if (id_assoc=26, '1=600,1001=60', grp_tres_mins)
1795864332|waldur|(id_assoc=26)|shares=7
1795864333|root|(id_assoc=3 || id_assoc=4)|grp_tres = if (id_assoc=3, '1=8', grp_tres), grp_tres_mins = if (id_assoc=3, '1=1', grp_tres_mins)
1795864334|root|(id_assoc=5)|max_jobs=3, acct='shares=7, grp_tres_mins=1'
"""  # noqa: E501


def test_what_each_user_wrote_is_counted_by_what_slurm_logged() -> None:
    """As a real Slurm logs the writes of Waldur's site agent; names count for nothing."""
    found = settings.logged_writers(ADDED.splitlines(keepends=True), MODIFIED.splitlines(keepends=True))
    assert sorted(one for one in found if not isinstance(one, Rejected)) == [
        LoggedWriter("root", 1, 0, 1, 0, frozenset({3, 4})),
        LoggedWriter("waldur", 1, 1, 1, 1, frozenset({26})),
    ]


def test_a_log_that_cannot_be_read_is_told() -> None:
    rows = list(settings.logged_writers(["odd\n"], ["1|root|(id_assoc=3)|shares='\n"]))
    assert [type(row) for row in rows] == [Rejected, Rejected]
