"""What Slurm or a platform enforces on the steered side, as `saf doctor` tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slurm_ai_factory.core.live.bounds import Licence, LimitedAssociation, LimitedQos, NativeLimits
from slurm_ai_factory.core.records import LeverKind, LoggedWriter, Node
from slurm_ai_factory.doctor import checks
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, Finding
from tests.doctor.test_checks import GOOD

QOS = LimitedQos("normal", {}, relative=False, decays=True)
GPUS: dict[str, Any] = {
    "weights": {"gres/gpu": 1},
    "size": "cpu=64,gres/gpu=16,node=4",
    "nodes": tuple(Node(f"n{number}", "cpu=16,gres/gpu=4,node=1") for number in range(1, 5)),
    "partitions": (),
    "priority": replace(GOOD.priority, tres=(*GOOD.priority.tres, "gres/gpu")),
}


def limited(limits: dict[str, str], **different: Any) -> NativeLimits:
    return NativeLimits(
        associations=(
            LimitedAssociation(1, 0, "root", "", {}, ()),
            LimitedAssociation(3, 1, "regional", "", limits, ()),
            LimitedAssociation(5, 3, "regional", "jan", {}, ("normal",)),
        ),
        qos=(QOS,),
    )._replace(**different)


def finding(name: str, **different: Any) -> Finding:
    facts = replace(GOOD, **GPUS | different)
    return next(row for row in checks.examine(facts) if row.check == name)


def test_a_limit_below_the_promise_is_a_problem_with_the_command_that_raises_it() -> None:
    found = finding("native_bounds", native_limits=limited({"GrpTRES": "gres/gpu=3"}))
    assert found.level == PROBLEM
    assert found.found == (
        "GrpTRES=gres/gpu=3 on account regional caps the region at 18.8% of gres/gpu; on a full machine the "
        "promise of 25.0% cannot be met by shares"
    )
    assert found.fix.splitlines() == [
        "sacctmgr -i modify account where name=regional cluster=c set GrpTRES=gres/gpu=4",
        "or lower the promise: saf promise set --share",
    ]


def test_a_command_raises_no_limit_but_the_tight_one() -> None:
    text = "cpu=999,gres/gpu=0"
    found = finding("native_bounds", native_limits=limited({"GrpTRES": text}))
    assert found.fix.splitlines()[0].endswith("set GrpTRES=cpu=999,gres/gpu=4")


def test_a_budget_below_the_promise_is_a_warning_without_a_command() -> None:
    """A platform may renew it before it is spent."""
    found = finding("native_bounds", native_limits=limited({"GrpTRESMins": "gres/gpu=60"}))
    assert found.level == WARNING
    assert found.fix.startswith("raise the limits of account regional, or end them")


@pytest.mark.parametrize(
    ("different", "state"),
    [
        ({"native_limits": limited({})}, "no limit on the steered side"),
        ({"native_limits": limited({"GrpTRES": "gres/gpu=4", "GrpJobs": "9"})},
         "2 limits on the steered side, the tightest leaves 25.0%"),
        ({"native_limits": limited({"MaxTRES": "gres/gpu=1"})}, "1 limit on the steered side"),
        ({"native_limits": limited({}, licences=(Licence("x", 1, 0), Licence("power", 9, 0, 3)))},
         "no limit on the steered side, 1 licence, 1 HRES layer, jobs that wait for HRES count as "
         "demand"),
        ({"native_limits": limited({"GrpTRES": "gres/gpu=0"}),
          "priority": replace(GPUS["priority"], enforce=("associations",))}, "Slurm enforces no limits"),
        ({"native_limits": limited({"GrpTRES": "gres/gpu=0"}), "steered_by": LeverKind.PARTITION},
         "not looked at: control.lever is partition"),
    ],
)  # fmt: skip
def test_other_limits_are_told_and_are_no_finding(different: dict[str, Any], state: str) -> None:
    found = finding("native_bounds", **different)
    assert (found.level, found.found) == (OK, state)


def test_of_a_switch_the_limits_of_its_qos_count() -> None:
    small = LimitedQos("regional", {"GrpTRES": "gres/gpu=2"}, relative=False, decays=True)
    limits = limited({"GrpTRES": "gres/gpu=0"}, qos=(QOS, small))
    found = finding("native_bounds", native_limits=limits, steered_by=LeverKind.QOS, raised=100)
    assert found.level == PROBLEM
    assert "QOS regional caps the region at 12.5%" in found.found


def test_two_ways_to_bound_power_are_one_too_many() -> None:
    power = limited({}, licences=(Licence("power", 9, 0, 3),))
    assert finding("native_bounds", native_limits=power).level == OK
    both = finding("native_bounds", native_limits=power, keeps_nodes_free=True)
    assert (both.level, both.fix) == (WARNING, 'saf.toml: grid.mode = "plan", or "off"')
    plain = limited({}, licences=(Licence("power", 9, 0, 2),))
    assert finding("native_bounds", native_limits=plain, keeps_nodes_free=True).level == OK


WALDUR = LoggedWriter("waldur", 12, 40, 30, 2, frozenset({26, 27}))
ADMINISTRATOR = LoggedWriter("root", 3, 0, 0, 1, frozenset({3}))


@pytest.mark.parametrize(
    ("writers", "level", "state"),
    [
        ((), OK, "no platform has added accounts and limits in 30 days"),
        ((ADMINISTRATOR, WALDUR._replace(actor="saf")), OK, "no platform has added"),
        ((WALDUR,), OK, "waldur writes as Waldur's site agent does: 12 accounts, 40 users with "
         "Fairshare=parent, 30 changes of GrpTRESMins, 2 changes of Fairshare in 30 days; none of it to "
         "regional"),
        ((WALDUR._replace(users=0),), OK, "waldur adds accounts and limits: 12 accounts"),
        ((ADMINISTRATOR, WALDUR._replace(changed=frozenset({3, 26}))), WARNING, "some of it to regional"),
    ],
)  # fmt: skip
def test_a_platform_is_told_and_is_a_finding_where_it_writes_to_the_steered_account(
    writers: tuple[LoggedWriter, ...], level: str, state: str
) -> None:
    found = finding("platform", writers=writers, native_limits=limited({}))
    assert found.level == level
    assert state in found.found
    assert ("below regional only" in found.fix) == (level == WARNING)
