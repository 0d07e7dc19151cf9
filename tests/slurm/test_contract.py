"""What every source has to tell of the same scenarios, whichever Slurm it asks and however.

Each test names a capability; how each source did becomes the table in docs/reference/sources.md. Recorded
answers and this machine's own Slurm run always, the other versions with ``make test-slurm-all``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from slurm_ai_factory.audit import books
from slurm_ai_factory.audit.reconcile import reconcile
from slurm_ai_factory.core import records, tres
from slurm_ai_factory.core.live import authority
from slurm_ai_factory.core.live.demand import Demand, Pool, Queued, Standing, demand, job_standing
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.steps import reading
from tests.slurm.books import canonical
from tests.slurm.conftest import NOT_HERE
from tests.slurm.record import RECORDED
from tests.slurm.sources import Source, opened, params

STATES = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "REQUEUED", "RESIZING", "RUNNING"}
REFERENCE = RECORDED / "day_ledger.txt"
"""The ledger of the odd day without ids and instants: every version's is this."""

capability = pytest.mark.contract


@pytest.fixture(scope="module", params=params("queue"))
def queue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A live queue in which every kind of job stands."""
    with opened(request, "queue", tmp_path_factory.mktemp("queue")) as source:
        yield source


@pytest.fixture(scope="module", params=params("day"))
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A day in which everything happened that accounting gets wrong."""
    with opened(request, "day", tmp_path_factory.mktemp("day")) as source:
        yield source


# --- now ----------------------------------------------------------------------------------------------


def jobs(source: Source) -> dict[int, Queued]:
    return {one.job_id: one for one in source.slurm.queue()}


def summed(source: Source) -> Demand:
    found, now = source.slurm.queue(), source.slurm.diagnostics().at
    return demand(found, _side, {"cpu": 1}, now, 3600, {})


def _side(subject: records.Subject) -> Beneficiary:
    return Beneficiary.REGIONAL if subject.account == "umcg" else Beneficiary.NON_REGIONAL


@capability("live queue")
def test_a_job_that_waits_is_told_with_all_its_parts(queue: Source) -> None:
    found = jobs(queue)
    assert found[4] == Queued(
        job_id=4, array_id=None, tasks=1, task_limit=None, het_id=None,
        subject=records.Subject("loop", "astro", found[4].subject.user, "main", "normal", "", ""),
        state="PENDING", reason="Resources", priority=found[4].priority, limit_seconds=660,
        eligible_at=found[4].eligible_at, tres="billing=6,cpu=6,gres/gpu=3,mem=3000,node=3",
    )  # fmt: skip
    assert found[5].subject.partition == "main,debug"
    assert (found[6].tasks, found[6].task_limit, found[6].array_id) == (10, 3, 6)
    assert (found[7].tasks, found[7].task_limit) == (68, None), "a list of tasks must not be cut off"
    assert found[11].limit_seconds == 86400
    assert (found[12].het_id, found[13].het_id) == (12, 12)
    assert found[8].eligible_at is None


@capability("live queue")
def test_each_kind_of_job_stands_where_slurm_put_it(queue: Source) -> None:
    now = queue.slurm.diagnostics().at
    found = {number: job_standing(one, now) for number, one in jobs(queue).items()}
    assert found == {
        1: Standing.RUNNING, 2: Standing.RUNNING, 3: Standing.SUSPENDED, 4: Standing.WAITING,
        5: Standing.WAITING, 6: Standing.WAITING, 7: Standing.WAITING, 8: Standing.HELD, 9: Standing.LATER,
        10: Standing.DEPENDENT, 11: Standing.WAITING, 12: Standing.WAITING, 13: Standing.WAITING,
        14: Standing.DEPENDENT, 15: Standing.DEPENDENT, 16: Standing.HELD_BY_LIMIT,
    }  # fmt: skip


@capability("live queue")
def test_a_queue_adds_up(queue: Source) -> None:
    found = summed(queue)
    cpus_waiting = 4 + 3 * 2 + 68 + 4 + 2 + 1
    assert found.sum(Beneficiary.REGIONAL, Standing.WAITING).amount == cpus_waiting
    assert found.sum(Beneficiary.REGIONAL, Standing.LIMITED).amount == 7 * 2
    assert found.sum(Beneficiary.REGIONAL, Standing.HELD_BY_LIMIT).amount == 2
    assert found.sum(Beneficiary.NON_REGIONAL, Standing.WAITING).amount == 6
    assert found.sum(Beneficiary.NON_REGIONAL, Standing.RUNNING).amount == 10
    assert found.sum(Beneficiary.REGIONAL, Standing.RUNNING).amount == 4
    assert not found.unknown
    pools = found.pools(Beneficiary.REGIONAL, Standing.WAITING)
    assert pools[Pool("main", "gpu")].amount == 4
    assert set(pools) == {Pool("main", ""), Pool("main", "gpu"), Pool("debug", ""), Pool("debug,main", "")}


@capability("priorities")
def test_priorities_have_all_their_terms(queue: Source) -> None:
    found = queue.slurm.priority_terms()
    priorities = {number: one.priority for number, one in jobs(queue).items()}
    assert [one.partition for one in found if one.job_id == 5] == ["main", "debug"]
    assert not {8, 9, 10} & {one.job_id for one in found}, (
        "held, later and dependent jobs compete with nobody"
    )
    for one in found:
        assert one.fairshare > 0
        assert one.fairshare + one.others == pytest.approx(priorities[one.job_id], abs=3)
    sides = {job: who is Beneficiary.REGIONAL for job, who in summed(queue).waiting_jobs.items()}
    index = authority.index(found, sides)
    assert index is not None
    assert 0.9 < index < 1


@capability("slurmctld's health")
def test_slurmctld_tells_its_health(queue: Source) -> None:
    found = queue.slurm.diagnostics()
    assert found.agent_queue == 0
    assert found.backfill_last_at is not None
    assert 0 <= found.at - found.backfill_last_at < 60
    assert found.backfill_depth
    assert found.backfill_queue


@capability("settings")
def test_the_own_configuration_tells_what_doctor_asks(queue: Source) -> None:
    found = queue.slurm.priority_config()
    assert (found.cluster, found.priority_type) == ("loop", "priority/multifactor")
    assert (found.decay_half_life_seconds, found.calc_period_seconds) == (600, 60)
    assert (found.weight_fairshare, found.weight_age) == (100000, 1000)
    assert (found.private_data, found.usage_reset, found.slurm_user) == ((), "NONE", "root")
    assert found.enforce == ("associations", "limits", "safe")
    assert {"cpu", "mem", "node", "billing", "gres/gpu"} <= set(found.tres)
    assert found.flags == ()


@capability("settings")
def test_what_a_fresh_slurm_says(queue: Source) -> None:
    bare = {"tier": 1, "weights": "", "oversubscribe": "NO"}
    assert sorted(queue.slurm.partitions()) == [
        records.Partition(name="debug", **bare), records.Partition(name="main", **bare),  # type: ignore[arg-type]
    ]  # fmt: skip
    assert queue.slurm.usage_factors() == {"normal": 1.0}
    assert queue.slurm.coordinators(["root"])["root"] == ()
    assert queue.slurm.admin_level("root") == "Administrator"
    assert queue.slurm.slurmdbd() == records.Slurmdbd((), None, None)


@capability("who changed shares")
def test_changes_of_shares_have_their_actor(queue: Source) -> None:
    found = queue.slurm.logged_changes(records.LeverKind.ACCOUNT, "regional", 0)
    assert [(one.actor, one.raw_shares) for one in found] == [("root", "26")]


@capability("associations and shares")
def test_the_tree_has_shares_and_usage(queue: Source) -> None:
    found = {(one.account, one.user): one for one in queue.slurm.associations()}
    regional, national = found["regional", None], found["national", None]
    assert (regional.parent, regional.raw_shares, regional.stored_shares) == ("root", 26, 26)
    assert (national.parent, national.raw_shares) == ("root", 75)
    assert regional.norm_shares == pytest.approx(26 / 102, abs=1e-6)
    assert national.norm_shares == pytest.approx(75 / 102, abs=1e-6)
    assert found["root", "root"].raw_shares == 1
    assert found["astro", None].parent == "national"
    assert {account for account, user in found if user is None} == {
        "root", "regional", "national", "umcg", "ruggroningen", "smeworks", "province", "astro", "climate",
        "industry",
    }  # fmt: skip


@capability("associations and shares")
def test_usage_adds_up_from_users_to_the_root(queue: Source) -> None:
    found = queue.slurm.associations()
    used = [one for one in found if one.user and one.raw_usage]
    assert {one.account for one in used} == {"umcg", "astro"}
    assert _usage(found, "root") == pytest.approx(sum(one.raw_usage or 0 for one in used), abs=10)
    assert next(one for one in found if one.account == "climate" and not one.user).level_fs == inf
    assert next(one for one in found if one.account == "root" and not one.user).level_fs is None
    busy = next(one for one in found if one.account == "astro" and not one.user)
    assert busy.effectv_usage == 1.0
    assert busy.level_fs == pytest.approx((busy.norm_shares or 0) / busy.effectv_usage, rel=1e-5)


def _usage(found: tuple[records.Association, ...], account: str) -> int:
    return next(one.raw_usage or 0 for one in found if one.account == account and not one.user)


@capability("full precision of shares")
def test_shares_are_told_with_all_their_digits(queue: Source, request: pytest.FixtureRequest) -> None:
    """Text has six decimals, which is what 22.05 has: its sshare has no JSON."""
    found = next(one for one in queue.slurm.associations() if one.account == "national" and not one.user)
    if queue.name.split()[1].startswith("22.05"):
        assert found.norm_shares == round(75 / 102, 6)
        request.node.user_properties.append(NOT_HERE)
    else:
        assert found.norm_shares == 75 / 102


@capability("nodes")
def test_the_nodes_are_what_slurmdbd_takes_the_cluster_for(queue: Source) -> None:
    now: Counter[str] = Counter()
    for node in queue.slurm.nodes():
        now.update(tres.parse_tres(node.tres))
    sizes, _ = queue.slurm.events(queue.times.since, queue.times.until)
    taken = tres.parse_tres(next(one.tres for one in sizes if one.until is None))
    assert now["node"] == 4
    assert {name: now[name] for name in ("cpu", "mem", "node", "gres/gpu")} == {
        name: count for name, count in taken.items() if name != "billing"
    }


@capability("answers by itself")
def test_a_source_does_not_fall_back_to_another(queue: Source, request: pytest.FixtureRequest) -> None:
    """v0.0.38 has no shares, and not all of slurmctld's health."""
    slurm = queue.slurm
    for read in (slurm.queue, slurm.diagnostics, slurm.priority_config, slurm.associations, slurm.nodes):
        read()
    if queue.name == "slurmrestd 22.05":
        assert set(slurm.refused()) == {"diagnostics", "associations"}
        request.node.user_properties.append(NOT_HERE)
    else:
        assert slurm.refused() == {}


LIMITS = ("GrpJobs=40", "GrpTRES=cpu=900", "MaxWall=90", "Priority=7")
OTHERS = "format=Account,User,GrpJobs,GrpTRES,MaxWall,Priority,QOS,DefaultQOS,ParentName,MaxJobs,GrpSubmit"


@pytest.fixture
def live(queue: Source) -> Source:
    """A source that can be written to."""
    if queue.name.startswith("recorded"):
        pytest.skip("a recording cannot be changed")
    return queue


@capability("writing of shares")
def test_a_write_sets_the_shares_of_one_row_and_nothing_else(live: Source) -> None:
    slurm, run = live.slurm, live.slurm.commands.output

    def others() -> tuple[str, dict[str, int | None]]:
        rows = {one.key: one.stored_shares for one in slurm.associations() if one.key != "regional"}
        return run("sacctmgr", "-n", "-P", "show", "assoc", OTHERS), rows

    run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set", *LIMITS)
    before = others()
    change = records.Change(cluster="loop", account="regional", raw_shares_before=26, raw_shares_after=27)
    slurm.set_raw_shares(change, time.monotonic() + 60)
    after = {one.key: one.stored_shares for one in slurm.associations()}
    assert after["regional"] == 27
    assert others() == before
    gone = replace(change, account="nobody")
    with pytest.raises(SlurmError):
        slurm.set_raw_shares(gone, time.monotonic() + 60)
    assert others() == before


@capability("limits of Slurm's own")
def test_limits_are_read_with_those_they_hold_and_what_wrote_them(live: Source) -> None:
    slurm, run = live.slurm, live.slurm.commands.output
    relative = () if live.name.split()[1].startswith("22.05") else ("Flags=Relative",)
    run("sacctmgr", "-i", "add", "qos", "capped", "GrpTRES=cpu=30", "GrpTRESMins=cpu=99", *relative)
    run("sacctmgr", "-i", "add", "account", "project1", "parent=regional")
    run("sacctmgr", "-i", "add", "user", "root", "account=project1", "Share=parent")
    run("sacctmgr", "-i", "modify", "account", "where", "name=project1", "set", "GrpTRESMins=cpu=60")
    run("sacctmgr", "-i", "modify", "account", "where", "name=regional", "set", "GrpTRES=cpu=9,gres/gpu=1")
    run("sacctmgr", "-i", "modify", "user", "where", "name=root", "account=project1", "set", "qos=capped")
    when = ("starttime=now", "duration=60", "nodes=n4", "accounts=astro", "flags=IGNORE_JOBS")
    run("scontrol", "create", "reservation", "reservationname=lesson", *when)
    limits = slurm.native_limits()
    found = {(row.account, row.user): row for row in limits.associations}
    regional, project = found["regional", ""], found["project1", ""]
    assert regional.limits["GrpTRES"] == "cpu=9,gres/gpu=1"
    assert (project.parent, project.limits["GrpTRESMins"]) == (regional.number, "cpu=60")
    assert "GrpTRES" not in project.limits, "what is set above is not told below"
    assert found["project1", "root"].qos == ("capped",)
    capped = next(row for row in limits.qos if row.name == "capped")
    assert capped.limits == {"GrpTRES": "cpu=30", "GrpTRESMins": "cpu=99"}
    assert capped.relative == bool(relative)
    (lesson,) = limits.reservations
    assert (lesson.accounts, lesson.nodes, lesson.cpus) == (frozenset({"astro"}), frozenset({"n4"}), 4)
    assert (limits.licences, limits.partition_qos) == ([], frozenset())
    (writer,) = slurm.logged_writers(0)
    assert (writer.actor, writer.users, writer.budgets) == ("root", 1, 1)
    assert writer.accounts >= 10
    assert writer.changed == {regional.number, project.number}, "one had its shares set, one its budget"


# --- a day --------------------------------------------------------------------------------------------


@capability("runs")
def test_every_run_of_the_day_is_told_once(day: Source) -> None:
    found = list(day.slurm.runs(day.times.since, day.times.until))
    assert not [one for one in found if isinstance(one, records.Rejected)]
    runs = [one for one in found if isinstance(one, records.Run)]
    assert len({one.db_index for one in runs}) == len(runs)
    assert {one.state for one in runs} == STATES
    again = [label for label, count in Counter(one.job_label for one in runs).items() if count > 1]
    assert len(again) == 2, "the requeued job and the shrunk one have two runs each"
    assert {one.job_label.partition("+")[2] for one in runs} == {"", "0", "1"}
    assert sum("_" in one.job_label for one in runs) == 3
    assert any(one.suspended_seconds for one in runs)
    assert "lesson" in {one.subject.reservation for one in runs}


@capability("capacity")
def test_the_sizes_and_the_outage_are_told(day: Source) -> None:
    sizes, outages = day.slurm.events(day.times.since, day.times.until)
    assert {one.tres for one in sizes} == {"billing=24,cpu=24,gres/gpu=12,mem=6000,node=6"}
    assert [one.node for one in outages] == ["n6"]


@capability("sreport")
def test_the_hours_are_rolled_up_and_the_reservations_known(day: Source) -> None:
    assert day.slurm.rolled_up(day.times.since, day.times.since + 3600)
    used = day.slurm.utilization(day.times.since, day.times.until)
    assert {account for account, _ in used} >= {"umcg", "astro", "climate", "province"}
    found = {one.name: one for one in day.slurm.reservations(day.times.since, day.times.until)}
    assert set(found["lesson"].accounts) == {"umcg", "astro"}
    assert set(found) == {"lesson", "night"}


@contextmanager
def read(day: Source, url: str) -> Iterator[Ledger]:
    """A ledger that has read the day, and takes everybody for everybody else."""
    since, at = day.times.since, day.times.at
    with open_ledger(url, "loop") as ledger:
        reading.read_intervals(day.slurm, ledger, [(since, at)], at=at, usual=at - since)
        yield ledger


@capability("reconciled with sreport")
def test_the_ledger_equals_sacct_and_every_difference_to_sreport_is_explained(
    day: Source, ledger_url: str
) -> None:
    since, until, at = day.times.since, day.times.until, day.times.at
    with read(day, ledger_url) as ledger:
        found = reconcile(books.books_between(day.slurm, ledger, since, until, at=at, usual=until - since))
    assert found.rows
    assert found.unexplained == 0
    assert all(row.ledger == row.sacct for row in found.rows)


@capability("the same ledger as every other version")
def test_the_same_jobs_give_the_same_ledger(day: Source, ledger_url: str, tmp_path: Path) -> None:
    with read(day, ledger_url):
        pass
    found = canonical(ledger_url)
    (tmp_path / "ledger.txt").write_text(found)
    assert found == REFERENCE.read_text()
