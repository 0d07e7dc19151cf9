"""The preflight's checks: each is fine on a good site, and finds what it is for, with a fix."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.lever import Lever, Reach
from slurm_ai_factory.core.control.margin import SteeredMargin
from slurm_ai_factory.core.live.bounds import LimitedAssociation, NativeLimits
from slurm_ai_factory.core.live.modes import RunningDaemon
from slurm_ai_factory.core.programme.retention import Retained
from slurm_ai_factory.core.records import (
    PARENT_SHARES,
    Acknowledgement,
    Association,
    GatheredEnergy,
    LeverKind,
    LoggedWriter,
    Mode,
    Node,
    Partition,
    PriorityConfig,
    Run,
    Slurmdbd,
    Subject,
    SwitchNow,
    Transaction,
)
from slurm_ai_factory.doctor import checks
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, Facts, Finding, Recent
from slurm_ai_factory.ledger.store import Standbys
from tests.core.live.test_health import CONFIG, NOW, WELL

DAY = 86400


def account(name: str, shares: int, parent: str = "root", **different: Any) -> Association:
    return Association(cluster="c", account=name, parent=parent, raw_shares=shares, stored_shares=shares,
                       raw_usage=0, **different)  # fmt: skip


ROOT_USER = replace(account("root", 15), parent=None, user="root")
LEVEL = (account("root", 1, ""), ROOT_USER, account("regional", 400), account("national", 1185))
MARGIN = SteeredMargin("region", 0.01, 0.65, 30 * DAY, 0.004)
GOOD = Facts(
    now=NOW, clock_tolerance=5, lever=Lever(), user="saf", mode=Mode.ENFORCE, accounts=("regional",),
    goal=0.26, promised=0.25, share_max=0.9, weights={"billing": 1}, lease=DAY,
    window_seconds=90 * DAY, read_window_seconds=DAY, priority=replace(CONFIG, slurm_user="slurm"),
    associations=LEVEL, unknown_accounts=(), unclassified_accounts=(), authority=0.9, unknown_words={},
    diagnostics=WELL,
    partitions=(Partition("main", 1, "CPU=1", "NO"), Partition("gpu", 1, "GRES/gpu=16", "NO")),
    usage_factors={"normal": 1.0}, coordinators={"root": ()}, admin_level="Operator",
    slurmdbd=Slurmdbd((), None, None), transactions=(Transaction(NOW - DAY, "saf", "26"),),
    nodes=(Node("n1", "cpu=4,mem=9,node=1"), Node("n2", "cpu=8,node=1")),
    size="billing=9,cpu=12,mem=8,node=2", source="commands", refused={},
    shares_schema="v0.0.45", recent=Recent(), configuration={}, margins=(MARGIN,),
)  # fmt: skip


HET = Run(
    db_index=1, job_id=7, job_label="7+1", subject=Subject("c", "a", "u", "p", "q", "", ""),
    state="COMPLETED", submit_at=NOW - 900, eligible_at=NOW - 900, start_at=NOW - 800, end_at=NOW - 100,
    elapsed_seconds=700, suspended_seconds=0, req_tres="cpu=1", alloc_tres="cpu=1,node=1",
)  # fmt: skip


def config(**different: Any) -> dict[str, PriorityConfig]:
    return {"priority": replace(GOOD.priority, **different)}


def level(*rows: Association) -> dict[str, tuple[Association, ...]]:
    return {"associations": rows}


def partitions(*rows: Partition) -> dict[str, tuple[Partition, ...]]:
    return {"partitions": rows}


def finding(name: str, **different: Any) -> Finding:
    return {result.check: result for result in checks.examine(replace(GOOD, **different))}[name]


def test_a_good_site_has_nothing_to_see_to() -> None:
    findings = checks.examine(GOOD)
    assert [result for result in findings if result.level != OK] == []
    assert not checks.failed(findings)
    assert [result.check for result in findings] == [check.name for check in checks.CHECKS]


MAIN = Partition("main", 1, "CPU=1", "NO")
BARE = Partition("old", 1, "", "NO")
UNPRIVILEGED = {"admin_level": "None"}
HIDING = {**UNPRIVILEGED, **config(private_data=("jobs",))}
OWN = Transaction(NOW - 3 * DAY, "saf", "25")
QOS: dict[str, Any] = {"steered_by": LeverKind.QOS, "accounts": ("regional",), "raised": 100}
CAPPED = NativeLimits((LimitedAssociation(3, 1, "regional", "", {"GrpTRES": "billing=2"}, ()),))
SHORT = MARGIN._replace(ripple=0.0223)
PLATFORM = LoggedWriter("waldur", 12, 40, 30, 2, frozenset({3}))
BAD: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("clock", {"now": NOW + 31}, PROBLEM, "+31 s", "chronyc makestep"),
    ("clock", {"now": NOW - 3600}, PROBLEM, "-3600 s", "chronyc makestep"),
    ("private_data", HIDING, PROBLEM, "jobs", "modify user where name=saf set adminlevel=Operator"),
    ("private_data", {**UNPRIVILEGED, "slurmdbd": Slurmdbd(("usage",), None, None)}, PROBLEM, "usage",
     "adminlevel=Operator"),
    ("rights", UNPRIVILEGED, PROBLEM, "saf has AdminLevel None", "set adminlevel=Operator"),
    ("rights", {"admin_level": ""}, PROBLEM, "no user saf", "add user name=saf account=STAFF"),
    ("tracked", {"weights": {"gres/gpu": 1, "cpu": 1}}, PROBLEM, "lacks gres/gpu",
     "AccountingStorageTRES=gres/gpu"),
    ("billing_weights", partitions(MAIN, BARE), PROBLEM,
     "none on old", 'TRESBillingWeights="CPU=1" for old; then scontrol reconfigure'),
    ("oversubscribe", partitions(Partition("main", 1, "CPU=1", "FORCE:4")), WARNING, "main FORCE:4",
     "OverSubscribe=NO"),
    ("query_range", {**UNPRIVILEGED, "slurmdbd": Slurmdbd((), 7200, None)}, PROBLEM, "7200 s",
     'slurm.read_window = "7200s"'),
    ("query_range", {**UNPRIVILEGED, "slurmdbd": Slurmdbd((), 43200, None)}, WARNING, "43200 s",
     "slurm.read_window"),
    ("acknowledgements", {"unread": {"acknowledgements": "PostgreSQL is down"}}, WARNING,
     "not known: PostgreSQL is down", "a ledger that answer"),
    ("lease", {"lease": None}, WARNING, "not set, mode enforce", "saf-release.timer"),
    ("limits", {"late_limits": ["entry 2 was entered at noon, after it began"]}, WARNING,
     "entry 2 was entered at noon", "saf grid import"),
    ("purge", {"slurmdbd": Slurmdbd((), None, 30 * DAY)}, WARNING, "30 days", "PurgeJobAfter=210days"),
    ("agent_queue", {"diagnostics": WELL._replace(agent_queue=4711)}, PROBLEM, "4711", "slurmdbd"),
    ("retention", {"retained": Retained(None, NOW - 3 * DAY)}, WARNING, "complete pass: never",
     "saf-pseudonymise.timer"),
    ("retention", {"retained": Retained(NOW - 3 * DAY, 0)}, WARNING, "last complete pass: 20",
     "saf-pseudonymise.timer"),
    ("promise", {"contradiction": "saf.toml contradicts the term"}, WARNING, "saf.toml contradicts the term",
     "saf promise set"),
    ("promise", {"unread": {"promise": "the ledger is away"}}, WARNING, "not known: the ledger is away", ""),
    ("modes", {"daemons": [RunningDaemon("saf@a:1", Mode.ENFORCE), RunningDaemon("saf@b:2", Mode.OBSERVE)]},
     WARNING, "saf@a:1 in mode enforce, saf@b:2 in mode observe",
     "set the same control.mode in each saf.toml"),
    ("modes", {"daemons": [RunningDaemon("saf@a:1", Mode.ADVISE)]}, WARNING,
     "saf.toml says enforce; saf@a:1 runs in mode advise", "systemctl reload saf"),
    ("standbys", {"standbys": Standbys(2, awaited=False)}, WARNING, "2 standbys: no commit waits",
     "synchronous_standby_names"),
    ("proposals", {"proposals": 2}, WARNING, "2 waiting", "saf approval list"),
    ("rules", {"unknown_accounts": ["umcq"]}, WARNING, "rules name umcq", "[[rule]]"),
    ("rules", {"unclassified_accounts": ["astro"]}, WARNING, "no rule matches astro", "[[rule]]"),
    ("energy", {"gathered_energy": GatheredEnergy("ipmi", contained=False)}, WARNING,
     "acct_gather_energy/ipmi; PrologFlags lacks Contain", "PrologFlags=Contain"),
    ("energy", {"gathered_energy": GatheredEnergy("rapl", contained=True),
                "nodes": (Node("n1", "cpu=4,gres/gpu=1,node=1"),)}, WARNING, "rapl measures no GPU",
     "saf meter import"),
    ("queue_words", {"unknown_words": {"Flux": 3}}, WARNING, "Flux (3)", "report"),
    ("priority_plugin", config(priority_type="priority/basic"), PROBLEM, "basic", "PriorityType="),
    ("fair_tree", config(flags=("NO_FAIR_TREE",)), PROBLEM, "NO_FAIR_TREE", "without NO_FAIR_TREE"),
    ("limits_enforced", config(enforce=("associations",)), PROBLEM, "associations",
     "AccountingStorageEnforce=associations,limits,safe"),
    ("incr_only", config(flags=("INCR_ONLY",)), PROBLEM, "INCR_ONLY", "without INCR_ONLY"),
    ("calc_period", config(calc_period_seconds=601), WARNING, "601 s", "PriorityCalcPeriod=5"),
    ("fairshare_weight", config(weight_fairshare=0), PROBLEM, "0", "PriorityWeightFairshare="),
    ("authority", {"authority": 0.69}, WARNING, "0.69", "PriorityWeightFairshare larger"),
    ("priority_tier", partitions(Partition("main", 1, "", "NO"), Partition("vip", 10, "", "NO")), WARNING,
     "main 1, vip 10", "the same PriorityTier"),
    ("usage_factor", {"usage_factors": {"normal": 1.0, "scavenger": 0.0}}, WARNING, "scavenger 0",
     "modify qos where name=scavenger set UsageFactor=1"),
    ("half_life", config(decay_half_life_seconds=0), PROBLEM, "0", "PriorityDecayHalfLife=3-02"),
    ("half_life", config(decay_half_life_seconds=30 * DAY), WARNING, "remembered for 43.3 days",
     "PriorityDecayHalfLife=3-02"),
    ("usage_reset", config(usage_reset="QUARTERLY"), WARNING, "QUARTERLY", "PriorityUsageResetPeriod=NONE"),
    ("region", level(*LEVEL[:2], LEVEL[3]), PROBLEM, "no account regional", "add account name=regional"),
    ("parent", level(*LEVEL[:2], account("eu", 900), account("national", 285), account("co", 15, "national"),
     account("regional", 400, "national")), PROBLEM,
     "national has 23.8% of the usage, and 23.8% of the machine by RawShares",
     "RawShares for 28.9% of the machine"),
    ("region", level(LEVEL[3], account("regional", PARENT_SHARES)), PROBLEM, "Fairshare=parent",
     "set fairshare="),
    ("region", level(LEVEL[3], account("regional", 0)), PROBLEM, "Fairshare=0", "set fairshare="),
    ("switch", {**QOS, "switch": None}, PROBLEM, "does not have it", "control.qos"),
    ("switch", {**QOS, "switch": SwitchNow(5, 0)}, PROBLEM, "PriorityWeightQOS 0",
     "PriorityWeightQOS above 0"),
    ("switch", {**QOS, "switch": SwitchNow(101, 9)}, WARNING, "Priority 101", "control.raised"),
    ("switch", {**QOS, "switch": SwitchNow(5, 9)}, WARNING, "raised it adds 9 to a priority",
     "PriorityWeightQOS larger"),
    ("switch", {**QOS, "switch": SwitchNow(0, 10**6, 10**6)}, WARNING,
     "raised it adds 100 to a priority: another qos has 1000000, and Slurm divides by the highest",
     "control.raised larger"),
    ("lever", {**QOS, "lever": Lever(reach=Reach(0, 0, 50))}, PROBLEM,
     "no regional job of the window is in qos regional", "control.qos"),
    ("lever", {"lever": Lever("account regional is steered, but no rule", "set it")}, PROBLEM,
     "is steered, but no rule", "set it"),
    ("lever", {"lever": Lever(reach=Reach(50, 50, 50))}, WARNING, "50.0% of the regional charge is outside",
     "saf rules check"),
    ("margin", {"margins": (SHORT,)}, WARNING,
     "region: 2 usual runs are 2.2% of a window of 30.0 days, and the margin is 1.0%",
     "saf promise set region --margin 0.03"),
    ("margin", {**QOS, "switch": SwitchNow(5, 10**7), "margins": (SHORT,)}, WARNING, "region: 2 usual runs",
     "--margin 0.03"),
    ("margin", {"margins": (MARGIN, SHORT._replace(promise="industry", room=0.02))}, WARNING,
     "industry: 2 usual runs are 2.2%", "saf promise set industry --window, with a longer window"),
    ("margin", {"mode": Mode.ADVISE, "margins": (SHORT, SHORT._replace(promise="care"))}, WARNING,
     "; care: 2 usual runs are 2.2%", "--margin 0.03\nsaf promise set care --margin 0.03"),
    ("margin", {"unread": {"margins": "the ledger is away"}, "margins": None}, WARNING,
     "not known: the ledger is away", "a ledger that answer"),
    ("usage_resource", {**partitions(BARE), "weights": {"gres/gpu": 1}}, WARNING,
     "Fair Tree does not count gres/gpu on", "saf promise set --resource"),
    ("siblings", level(LEVEL[2], account("national", PARENT_SHARES)), PROBLEM, "national parent",
     "name=national cluster=c set fairshare=1"),
    ("siblings", level(*LEVEL, account("idle", 0)), WARNING, "idle 0", "name=idle"),
    ("siblings", level(LEVEL[2]), PROBLEM, "no account beside", "add account name=others"),
    ("usage", {"associations": (*LEVEL[:2], replace(LEVEL[2], raw_usage=None), LEVEL[3])}, PROBLEM,
     "missing for regional", "sshare -a -l"),
    ("level_resolution", level(account("regional", 25), account("national", 75)), WARNING, "75",
     "name=national cluster=c set fairshare=1125"),
    ("stored_shares", level(*LEVEL[:3], replace(LEVEL[3], stored_shares=1200)), PROBLEM,
     "national 1185, stored 1200", "set fairshare=1200"),
    ("coordinators", {"coordinators": {"root": ("eve",)}}, WARNING, "eve (root) may change",
     "delete coordinator where name=eve account=root"),
    ("foreign_writer", {"transactions": (OWN, Transaction(NOW - 2 * DAY, "coldfront", "30"))}, WARNING,
     "1 change by coldfront; the last set 30, 2 days ago", "stop coldfront from setting"),
    ("scheduler", {"diagnostics": WELL._replace(backfill_last_at=NOW - 7200)}, PROBLEM, "7200 s ago",
     "slurmctld.log"),
    ("scheduler", {"diagnostics": WELL._replace(backfill_last_at=None)}, WARNING, "never ran",
     "SchedulerType=sched/backfill"),
    ("native_bounds", {"native_limits": CAPPED}, PROBLEM, "GrpTRES=billing=2 on account regional caps",
     "set GrpTRES=billing=3"),
    ("platform", {"native_limits": CAPPED, "writers": (PLATFORM,)}, WARNING, "some of it to regional",
     "below regional only"),
    ("capacity", {"size": "billing=9,cpu=8,node=1"}, WARNING,
     "slurmdbd has cpu 8, its nodes have 12; node 1, its nodes have 2", "scontrol reconfigure"),
    ("usage_digits", {"shares_schema": "", **config(version="26.05.5")}, WARNING, "read as text",
     "install Slurm's JSON plugins"),
    ("known_defects", {"recent": Recent((), (HET,)), **config(version="26.05.5")}, WARNING,
     "26.05.5 records no billing", "saf promise set"),
    ("source", {"refused": {"queue": "no pyslurm", "nodes": "no pyslurm", "settings": "late"}}, WARNING,
     "asked instead for nodes, queue: no pyslurm; settings: late", 'slurm.source = "commands"'),
    ("backfill_depth", {"diagnostics": WELL._replace(backfill_depth=100, backfill_queue=900)}, WARNING,
     "100 of 900", "bf_max_job_test=1800"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "different", "expected", "found", "fix"), BAD)
def test_a_check_finds_what_it_is_for(
    name: str, different: dict[str, Any], expected: str, found: str, fix: str
) -> None:
    result = finding(name, **different)
    assert result.level == expected
    assert found in result.found
    assert result.wanted
    assert fix in result.fix
    assert checks.failed([result])


def test_a_margin_says_what_it_must_absorb_or_why_that_is_not_known() -> None:
    said = [
        finding("margin", margins=(MARGIN._replace(ripple=ripple),)).found for ripple in (0.004, 0.0, None)
    ]
    assert said == [
        "region: 2 usual runs are 0.4% of a window of 30.0 days, and the margin is 1.0%",
        "region: not known, no run was charged lately",
        "region: not known, a part of the last days was not read",
    ]
    assert "no steered promise was measured" in finding("margin", margins=()).found
    assert "usual runs are 2.2%" in finding("margin", mode=Mode.OBSERVE, margins=(SHORT,)).found


def test_every_check_can_fail() -> None:
    assert {name for name, *_ in BAD} == {check.name for check in checks.CHECKS}


FINE: list[tuple[str, dict[str, Any]]] = [
    ("private_data", {**HIDING, "user": "root"}),
    ("private_data", {**HIDING, "user": "slurm"}),
    ("private_data", {**HIDING, "admin_level": "Administrator"}),
    ("private_data", {**UNPRIVILEGED, **config(private_data=("reservations",))}),
    ("rights", {**UNPRIVILEGED, "mode": Mode.OBSERVE}),
    ("tracked", {"weights": {"gres/gpu": 1}, **config(tres=("cpu", "gres/gpu"))}),
    ("billing_weights", partitions(Partition("main", 1, "", "NO"), Partition("gpu", 1, "", "NO"))),
    ("billing_weights", {"weights": {"cpu": 1}, **partitions(MAIN, BARE)}),
    ("usage_digits", {"shares_schema": "", **config(version="22.05.8")}),
    ("query_range", {"slurmdbd": Slurmdbd((), 3600, None)}),
    ("purge", {"slurmdbd": Slurmdbd((), None, 91 * DAY)}),
    ("authority", {"authority": None}),
    ("capacity", {"size": ""}),
    ("capacity", {"size": "bb/cray=7,billing=1,cpu=12,mem=1,node=2"}),
    ("source", {"source": "pyslurm"}),
    ("foreign_writer", {"transactions": ()}),
    ("foreign_writer", {"transactions": (Transaction(NOW - DAY, "root", "2500"),)}),
    ("foreign_writer", {"transactions": (Transaction(NOW - 4 * DAY, "root", "2500"), OWN)}),
    ("margin", {"mode": Mode.OBSERVE, "margins": (SHORT,)}),
    ("margin", {"margins": ()}),
    ("margin", {"margins": (MARGIN._replace(ripple=None), MARGIN._replace(ripple=0.0))}),
    ("margin", {"margins": (MARGIN._replace(ripple=0.0104),)}),
    ("scheduler", {"diagnostics": WELL._replace(backfill_last_at=NOW - 7200, backfill_queue=0)}),
    ("backfill_depth", {"diagnostics": WELL._replace(backfill_depth=None)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "different"), FINE)
def test_a_check_does_not_cry_wolf(name: str, different: dict[str, Any]) -> None:
    assert finding(name, **different).level == OK


@pytest.mark.parametrize("fact", [
    "partitions", "usage_factors", "coordinators", "admin_level", "slurmdbd", "transactions", "nodes", "size",
])  # fmt: skip
def test_what_could_not_be_read_is_a_warning_of_each_check_that_needs_it(fact: str) -> None:
    blind = replace(GOOD, unread={fact: "sacctmgr failed (exit 1): denied"}, **{fact: None})  # type: ignore[arg-type]
    findings = checks.examine(blind)
    needing = {check.name for check in checks.CHECKS if fact in check.needs}
    assert needing
    assert {result.check for result in findings if result.level != OK} == needing
    assert all("denied" in result.found for result in findings if result.check in needing)


SLOW = config(calc_period_seconds=900)
STUCK = {"diagnostics": WELL._replace(agent_queue=4711)}


@pytest.mark.parametrize(
    ("name", "different", "accepted", "until", "counts"),
    [
        pytest.param("calc_period", SLOW, WARNING, NOW + 1, False, id="the same"),
        pytest.param("calc_period", SLOW, PROBLEM, NOW + 1, False, id="better than acknowledged"),
        pytest.param("agent_queue", STUCK, PROBLEM, NOW + 1, False, id="a problem"),
        pytest.param("agent_queue", STUCK, WARNING, NOW + 1, True, id="worse than acknowledged"),
        pytest.param("calc_period", SLOW, WARNING, NOW, True, id="ended"),
        pytest.param("purge", {"unread": {"slurmdbd": "denied"}}, PROBLEM, NOW + 1, True, id="not known"),
    ],
)
def test_an_acknowledged_finding_does_not_count_until_it_ends_or_is_worse(
    name: str, different: dict[str, Any], accepted: str, until: int, counts: bool
) -> None:
    given = Acknowledgement(name, accepted, NOW - DAY, until, "root@head", "agreed")
    facts = replace(GOOD, **different, acknowledgements={name: given, "clock": given})
    results = {result.check: result for result in checks.examine(facts)}
    assert results[name].level != OK
    assert (results[name].counts, results[name].acknowledged) == (counts, None if counts else given)
    assert (results["clock"].level, results["clock"].acknowledged) == (OK, None), "it finds nothing"
    counting = {result.check for result in results.values() if result.counts}
    assert checks.failed([*results.values()]) == bool(counting)
    assert counts == (name in counting)


@pytest.mark.parametrize(
    ("name", "different", "sentence"),
    [
        ("calc_perod", SLOW, "has no check 'calc_perod'; did you mean 'calc_period'"),
        ("calc_period", {}, "calc_period finds nothing wrong now"),
        ("calc_period", {**SLOW, "steered_by": LeverKind.QOS}, ""),
        ("siblings", QOS, "siblings finds nothing wrong now (not looked at: control.lever is qos)"),
        ("purge", {"unread": {"slurmdbd": "denied"}}, "is not known; make it readable first: denied"),
    ],
)
def test_only_what_is_known_to_be_wrong_can_be_acknowledged(
    name: str, different: dict[str, Any], sentence: str
) -> None:
    facts = replace(GOOD, **different)
    if not sentence:
        assert checks.to_acknowledge(name, facts).level == WARNING
        return
    with pytest.raises(ValueError, match=re.escape(sentence)):
        checks.to_acknowledge(name, facts)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.integers(1, 500))
def test_the_rescale_leaves_everybody_the_part_they_have(others: list[int], region: int) -> None:
    rows = [account(f"a{number}", shares) for number, shares in enumerate(others)]
    result = finding("level_resolution", **level(account("regional", region), *rows))
    if sum(others) >= 1100:
        assert (result.level, result.fix) == (OK, "")
        return
    commands = [line for line in result.fix.splitlines() if line.startswith("sacctmgr")]
    after = {line.partition("name=")[2].split()[0]: int(line.rpartition("=")[2]) for line in commands}
    before = {row.account: row.raw_shares for row in (account("regional", region), *rows)}
    factor = after["regional"] // region
    assert f"{factor} times the shares" in result.found
    assert after == {name: before[name] * factor for name in after}
    assert sum(others) * factor >= 1100


def test_a_wide_tree_gets_three_commands_and_their_number() -> None:
    rows = [account(f"a{number}", PARENT_SHARES) for number in range(300)]
    few = [account(f"a{number}", 1) for number in range(300)]
    for result in (
        finding("siblings", **level(account("regional", 25), *rows)),
        finding("level_resolution", **level(*few)),
    ):
        assert len(result.fix.splitlines()) == 4
        assert result.fix.endswith("... 300 such commands in all")
        assert len(result.found) < 120


def test_a_name_in_a_command_is_one_word_of_one_line() -> None:
    result = finding("siblings", **level(account("regional", 25), account("a\n$(reboot)", PARENT_SHARES)))
    assert result.fix == r"sacctmgr -i modify account where 'name=a\x0a$(reboot)' cluster=c set fairshare=1"


SPREAD = (
    account("root", 1, ""),
    ROOT_USER,
    account("ra", 400),
    account("rb", 100),
    account("national", 1185),
)


def test_several_steered_accounts_are_examined_each_by_its_name() -> None:
    good = {"accounts": ("ra", "rb"), "associations": SPREAD}
    assert not checks.failed(checks.examine(replace(GOOD, **good)))  # type: ignore[arg-type]
    assert finding("region", **good).found == "ra: RawShares 400, rb: RawShares 100"
    assert finding("siblings", **good).found == "root/root 15, national 1185"
    nested = (*SPREAD[:3], account("rb", 100, "national"), SPREAD[4])
    odd = finding("region", accounts=("ra", "rb", "rc"), associations=nested)
    assert (odd.level, odd.found) == (PROBLEM, "rb: under national, rc: no account rc")
    assert odd.fix.splitlines() == [
        "sacctmgr -i modify account where name=rb cluster=c set parent=root",
        "saf.toml: set control.account to one of: national",
        "or, if the region has no account yet: sacctmgr -i add account name=rc cluster=c parent=root, "
        "which takes a part of the level from all others",
    ]
    writer = finding("foreign_writer", **good, transactions=(OWN, Transaction(NOW - DAY, "eve", "26")))
    assert "RawShares of ra, rb" in writer.wanted


def test_with_a_switch_the_checks_of_shares_are_not_made() -> None:
    """The region has no account, so there is none to find fault with."""
    findings = {
        result.check: result for result in checks.examine(replace(GOOD, **QOS, switch=SwitchNow(5, 10**7)))
    }
    assert [name for name, result in findings.items() if result.level != OK] == []
    idle = {name for name, result in findings.items() if "control.lever is qos" in result.found}
    assert idle == checks.OF_SHARES
    partition = finding("switch", **QOS | {"steered_by": LeverKind.PARTITION}, switch=SwitchNow(5, 9))
    assert "forgets what is set when it restarts" in partition.found
