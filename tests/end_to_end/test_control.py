"""What saf does to a real Slurm, told by Slurm's own transaction log."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.end_to_end.conftest import BASELINE, Wrap, raw_shares, set_shares, transactions
from tests.saf import Saf

RAISED = 40
"""25/(25+76) = 0.2475 and one slew of 0.1 make 0.3475; 40/(40+76) = 0.3448 is the nearest that is no more.

An account with one of the 76 counts when it has had usage: without it 0.35, and 40/(40+75) = 0.3478.
"""


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_only_enforce_ever_writes(slurm: SlurmCluster, eager: Saf, mode: str) -> None:
    eager.configure("control", mode=mode)
    before = transactions(slurm)
    for command in (["cycle"], ["plan"], ["cycle", "--dry-run"], ["share"], ["history"], ["unclassified"]):
        eager.run(*command)
    assert eager.json("cycle")["decision"]["changes"], "it wants a change, or this shows nothing"
    assert transactions(slurm) == before
    assert raw_shares(slurm) == (BASELINE, BASELINE)


def test_plan_prints_commands_that_can_be_pasted(slurm: SlurmCluster, eager: Saf) -> None:
    eager.configure("control", mode="observe")
    planned = eager.json("plan")["decision"]["changes"]
    pasted = eager.run("plan").stdout
    assert "cluster=loop" in pasted
    subprocess.run(
        ["sh", "-e"], input=pasted, env=slurm.env, check=True, text=True, capture_output=True, timeout=60
    )
    assert raw_shares(slurm) == (planned[0]["raw_shares_after"],) * 2 == (RAISED, RAISED)


def test_history_is_exactly_slurms_own_log(slurm: SlurmCluster, eager: Saf) -> None:
    before = transactions(slurm)
    for _ in range(3):
        eager.run("cycle")
    made = [line.rpartition("shares=")[2] for line in transactions(slurm)[len(before) :]]
    history = eager.json("history")
    assert [str(entry["raw_shares_after"]) for entry in reversed(history)] == made
    assert len(made) == 3
    assert {entry["status"] for entry in history} == {"applied"}
    assert all(entry["raw_shares_read"] == entry["raw_shares_after"] for entry in history)
    assert raw_shares(slurm) == (int(made[-1]), int(made[-1]))


def test_a_step_is_within_the_slew_and_only_the_regional_row_moves(slurm: SlurmCluster, eager: Saf) -> None:
    tree = ("sacctmgr", "-n", "-P", "show", "assoc", "format=Cluster,Account,User,Share")
    before = slurm.run(*tree).splitlines()
    eager.run("cycle")
    after = slurm.run(*tree).splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == [f"loop|regional||{RAISED}"]
    assert RAISED / (RAISED + 76) - BASELINE / (BASELINE + 76) <= 0.1


def test_nothing_is_written_while_it_is_paused(slurm: SlurmCluster, eager: Saf) -> None:
    before = transactions(slurm)
    eager.run("pause", "--until", "now+1hour", "--reason", "slurmdbd is upgraded")
    for command in ("cycle", "plan"):
        decision = eager.json(command)["decision"]
        assert (decision["reason"], decision["changes"]) == ("paused", [])
        assert decision["sentence"].endswith(": slurmdbd is upgraded")
    assert transactions(slurm) == before
    eager.run("resume")
    eager.run("cycle")
    assert raw_shares(slurm) == (RAISED, RAISED)


def test_restore_baseline_puts_the_operators_own_shares_back(slurm: SlurmCluster, eager: Saf) -> None:
    eager.run("cycle")
    eager.run("cycle")
    assert raw_shares(slurm)[0] > BASELINE
    eager.run("restore-baseline", "--yes")
    assert raw_shares(slurm) == (BASELINE, BASELINE)
    newest = eager.json("history")[0]
    assert (newest["mode"], newest["reason"], newest["status"]) == ("operator", "restore_baseline", "applied")
    assert "nothing to restore" in eager.run("restore-baseline", "--yes").stderr


def test_release_puts_the_operators_own_shares_back_when_no_cycle_is_completed(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    eager.configure("control", lease="10m")
    eager.run("cycle")
    assert "a cycle was completed within control.lease" in eager.run("release").stderr
    assert raw_shares(slurm) == (RAISED, RAISED)
    counted = eager.directory / "trees"
    wrap("sshare", f'case "$*" in *-V*) ;; *) echo >> {counted};; esac; exec $REAL "$@"')
    eager.configure("control", lease="1s")
    wait_until(lambda: released(eager), "a release", 180)
    assert raw_shares(slurm) == (BASELINE, BASELINE)
    newest = eager.json("history")[0]
    assert (newest["mode"], newest["reason"], newest["status"]) == ("operator", "restore_baseline", "applied")
    assert "because no cycle was completed since" in newest["sentence"]
    assert len(counted.read_text().splitlines()) == 2, "once to decide and once to read back"


def released(saf: Saf) -> bool:
    """Whether `saf release` put the baseline back."""
    return "no cycle was completed since" in saf.run("release").stderr


def test_restore_baseline_asks_first(slurm: SlurmCluster, eager: Saf) -> None:
    eager.run("cycle")
    eager.run("restore-baseline", code=130)
    assert raw_shares(slurm) == (RAISED, RAISED)


@pytest.mark.parametrize("script", [
    pytest.param('case "$*" in *modify*) kill -9 $PPID; exit 1;; esac; exec $REAL "$@"', id="before"),
    pytest.param('case "$*" in *modify*) $REAL "$@"; kill -9 $PPID; exit 1;; esac; exec $REAL "$@"',
                 id="after"),
])  # fmt: skip
def test_killed_between_planned_and_applied_ends_in_the_same_state(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap, script: str
) -> None:
    wrap("sacctmgr", script)
    before = transactions(slurm)
    eager.run("cycle", code=-signal.SIGKILL)
    assert [entry["status"] for entry in eager.json("history")] == ["planned"]
    eager.sections["slurm"].pop("directory")
    eager.configure("control", share_min=0.346, share_max=0.3465)
    eager.run("cycle")
    assert raw_shares(slurm) == (RAISED, RAISED)
    applied = [e for e in eager.json("history") if e["status"] == "applied"]
    assert not [e for e in eager.json("history") if e["status"] == "planned"]
    assert len(applied) == len(transactions(slurm)) - len(before) == 1


def test_a_change_by_another_user_is_noticed_and_answered_as_configured(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    """Told with who it was, by slurmdbd's own log; left alone, resumed, adopted and written back."""
    eager.run("cycle")
    eager.configure("control", on_foreign_change="yield")
    set_shares(slurm, 30)
    held = eager.run("cycle").stdout
    assert f"hold: another user changed RawShares of regional from {RAISED} to 30 (by root at 20" in held
    assert "put it back, or run `saf resume`" in held
    assert (eager.json("cycle")["decision"]["reason"], raw_shares(slurm)) == ("foreign_change", (30, 30))
    status = eager.json("status", code=4)
    assert status["last_foreign_change"]["actor"] == "root"
    assert [hold["reason"] for hold in status["holds"]] == ["foreign_change"]
    (entry, _) = eager.json("history")
    seen = [entry[key] for key in ("status", "actor", "raw_shares_before", "raw_shares_after")]
    assert seen == ["foreign", "root", RAISED, 30]
    assert "saf goes on from what another user set" in eager.run("resume").stderr
    said = eager.run("cycle").stdout
    assert "[applied]; another user changed RawShares of regional" in said
    assert raw_shares(slurm)[0] > 30
    ours = raw_shares(slurm)[0]
    eager.configure("control", on_foreign_change="reassert")
    wrap("sacctmgr", 'case "$*" in *transactions*) echo "no log" >&2; exit 1;; esac; exec $REAL "$@"')
    set_shares(slurm, 30)
    assert "who is not recorded" not in (told := eager.run("cycle").stdout)
    assert "by whom is not recorded: sacctmgr failed (exit 1): no log" in told
    assert "the next cycle writes saf's own value back" in told
    assert raw_shares(slurm) == (30, 30)
    assert eager.json("cycle")["decision"]["reason"] == "reassert"
    assert raw_shares(slurm) == (ours, ours)


def test_a_refused_write_is_a_failure_with_slurms_own_words(
    slurm: SlurmCluster, eager: Saf, wrap: Wrap
) -> None:
    refusal = 'echo "sacctmgr: error: Access/permission denied" >&2; exit 1'
    wrap("sacctmgr", f'case "$*" in *modify*) {refusal};; esac; exec $REAL "$@"')
    eager.run("cycle", code=1)
    entry = eager.json("history")[0]
    assert entry["status"] == "failed"
    assert "permission denied; the user needs AdminLevel=Operator" in entry["note"]
    assert raw_shares(slurm) == (BASELINE, BASELINE)
    assert eager.json("status", code=4)["holds"][-1]["reason"] == "write_failed"


def test_exit_zero_that_changed_nothing_is_not_believed(slurm: SlurmCluster, eager: Saf, wrap: Wrap) -> None:
    wrap("sacctmgr", 'case "$*" in *modify*) exit 0;; esac; exec $REAL "$@"')
    eager.run("cycle", code=1)
    last = eager.json("history")[0]
    assert last["status"] == "failed"
    assert f"RawShares are {BASELINE}" in last["note"]
    assert raw_shares(slurm) == (BASELINE, BASELINE)


def test_an_account_that_is_not_there_holds(slurm: SlurmCluster, eager: Saf) -> None:
    before = transactions(slurm)
    eager.configure("control", account="gronnigen")
    assert "the steered account is not in the association tree" in eager.run("cycle").stdout
    assert eager.json("status", code=4)["holds"][0]["reason"] == "no_account"
    assert transactions(slurm) == before


def test_init_writes_a_file_that_works(saf: Saf) -> None:
    saf.file.unlink()
    env = {**saf.env}
    env.pop("SAF_CONFIG")
    saf.env = env
    said = saf.run("init").stderr
    assert "no account holds the region yet" in said
    assert "valid, 0 rules, mode observe" in saf.run("config", "check").stderr
    saf.file.unlink()
    saf.run("init", "--account", "regional")
    text = saf.file.read_text()
    assert 'name = "loop"' in text
    assert "account national: RawShares 75" in text
    assert "valid, 2 rules, mode observe" in saf.run("config", "check").stderr
    assert "exists" in saf.run("init", code=1).stderr


def test_a_file_that_init_wrote_finds_slurm_where_it_was_found(saf: Saf, wrap: Wrap) -> None:
    wrap("sacct", 'exec $REAL "$@"')
    directory, path = saf.directory / "bin", saf.env["PATH"]
    saf.env["PATH"] = f"{directory}:{path}"
    saf.file.unlink()
    saf.run("init")
    saf.env["PATH"], conf = path, saf.env.pop("SLURM_CONF")
    values = {one["key"]: one["value"] for one in saf.json("config", "show")["values"]}
    assert (values["directory"], values["conf"]) == (str(directory), conf)
    levels = {one["check"]: one["level"] for one in saf.json("doctor", code=5)["findings"]}
    assert levels["priority_plugin"] == "ok"
