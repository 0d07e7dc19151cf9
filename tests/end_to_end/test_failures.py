"""Everything that can break under saf: one clear sentence, the right exit code, nothing changed or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.cluster.tree import Tree
from tests.end_to_end import disk
from tests.end_to_end.conftest import BASELINE, Wrap, raw_shares, transactions
from tests.saf import Saf


@pytest.fixture(autouse=True)
def nothing_is_written(slurm: SlurmCluster, eager: Saf) -> Iterator[None]:
    """Whatever breaks, a saf that wants to write must not: Slurm's own log says so afterwards."""
    assert eager.sections["control"]["mode"] == "enforce"
    before = transactions(slurm)
    yield
    assert transactions(slurm) == before
    assert raw_shares(slurm) == (BASELINE, BASELINE)


def one_sentence(saf: Saf, *words: str) -> None:
    """A failing cycle says one line on stderr that holds these words, and nothing on stdout."""
    done = saf.run("cycle", code=1)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("saf: ")
    for word in words:
        assert word in done.stderr


def test_slurmdbd_down_and_back_loses_nothing(slurm: SlurmCluster, slurm_tree: Tree, eager: Saf) -> None:
    eager.configure("control", mode="observe")
    eager.run("cycle")
    slurm.kill("slurmdbd")
    try:
        job = slurm.submit(slurm_tree.regional["smeworks"][0], "smeworks", seconds=1)
        one_sentence(eager, "failed (exit 1)", "Connection refused")
    finally:
        slurm.restart("slurmdbd")
    slurm.wait_for(job, "COMPLETED")
    eager.run("cycle")
    assert eager.json("explain", str(job))["runs"][0]["state"] == "COMPLETED"


def test_slurmdbd_hung_is_given_up_at_the_deadline(slurm: SlurmCluster, eager: Saf) -> None:
    eager.configure("slurm", timeout="8s")
    slurm.pause("slurmdbd")
    try:
        one_sentence(eager, "gave no complete answer within 8 s")
    finally:
        slurm.resume("slurmdbd")
    wait_until(lambda: not list(running(slurm, b"sacctmgr")), "the end of sacctmgr", 60)


def running(slurm: SlurmCluster, command: bytes) -> Iterator[Path]:
    """The processes of a command that ask this cluster."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            asks = f"SLURM_CONF={slurm.slurm_conf}".encode() in (process / "environ").read_bytes()
            if asks and command in (process / "cmdline").read_bytes():
                yield process


def test_slurmctld_hung_is_given_up_at_the_deadline(slurm: SlurmCluster, eager: Saf) -> None:
    eager.configure("slurm", timeout="8s")
    slurm.pause("slurmctld")
    try:
        one_sentence(eager, "scontrol gave no complete answer within 8 s")
    finally:
        slurm.resume("slurmctld")


@pytest.mark.parametrize("script", [
    pytest.param('$REAL "$@" | head -c -7', id="half a line at the end"),
    pytest.param('$REAL "$@" | head -n 1; exit 1', id="some lines, then exit 1"),
    pytest.param('$REAL "$@"; echo "sacct: error: Unspecified error" >&2', id="error but exit 0"),
    pytest.param("sleep 60", id="silence"),
])  # fmt: skip
def test_a_partial_answer_of_sacct_is_no_answer(
    slurm: SlurmCluster, slurm_tree: Tree, eager: Saf, wrap: Wrap, script: str
) -> None:
    job = slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=1)
    slurm.wait_for(job, "COMPLETED")
    eager.configure("slurm", timeout="8s")
    wrap("sacct", script)
    one_sentence(eager, "sacct")
    assert eager.json("ledger", "status")["runs"] == 0, "nothing of a broken read is kept"


def test_a_line_that_is_no_run_is_kept_aside_and_told(
    slurm: SlurmCluster, slurm_tree: Tree, eager: Saf, wrap: Wrap
) -> None:
    """Where there are runs behind it; an answer without any may be a message of what went wrong."""
    job = slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=1)
    slurm.wait_for(job, "COMPLETED")
    wait_until(lambda: _eligible_is_known(slurm, [job]), "slurmdbd to know the run", 180)
    eager.configure("control", mode="observe")
    wrap("sacct", '$REAL "$@" >answer || exit 1; [ -s answer ] && echo nonsense; cat answer')
    report = eager.json("cycle")
    assert {one["line"] for one in report["rejected"]} == {"nonsense"}
    assert eager.json("ledger", "status")["rejected_lines"] == 1


SEPARATOR = r"\x1f[0-9a-f]\{24\}"
"""What stands between the fields of sacct's answer, as sed writes it; it is new in each answer."""


def _eligible_is_known(slurm: SlurmCluster, jobs: list[int]) -> bool:
    """A short run may be recorded as over before its start is, and is in no interval until then."""
    told = slurm.run("sacct", "-n", "-P", "-X", "-j", ",".join(map(str, jobs)), "-o", "Eligible").split()
    return len(told) == len(jobs) and "Unknown" not in told


def test_a_mangled_line_costs_its_own_run_only_and_is_read_once_it_is_whole(
    slurm: SlurmCluster, slurm_tree: Tree, eager: Saf, wrap: Wrap
) -> None:
    jobs = [slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=1) for _ in range(2)]
    for job in jobs:
        slurm.wait_for(job, "COMPLETED")
    wait_until(lambda: _eligible_is_known(slurm, jobs), "both runs in accounting, whole", 120)
    eager.configure("control", mode="observe")
    row = f"^[0-9]*{SEPARATOR}{jobs[0]}{SEPARATOR}"
    wrap("sacct", f'$REAL "$@" | sed "/{row}/s/cpu=/cpu/g"')
    (aside,) = eager.json("cycle")["rejected"]
    assert "TRES entry" in aside["reason"]
    assert eager.run("explain", str(jobs[0]), code=1)
    assert eager.json("explain", str(jobs[1]))
    wrap("sacct", 'exec $REAL "$@"')
    assert eager.json("cycle")["rejected"] == []
    assert eager.json("explain", str(jobs[0]))


def test_a_state_that_no_known_slurm_has_is_counted_and_told(
    slurm: SlurmCluster, slurm_tree: Tree, eager: Saf, wrap: Wrap
) -> None:
    job = slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=2)
    slurm.wait_for(job, "COMPLETED")
    eager.configure("control", mode="observe")
    wrap("sacct", f'$REAL "$@" | sed "s/\\({SEPARATOR}\\)COMPLETED\\({SEPARATOR}\\)/\\1WARPED\\2/"')
    report = eager.json("cycle")
    assert report["unknown_states"] == ["WARPED"]
    assert report["delivered_share"]
    assert "states that are not known: WARPED" in eager.run("cycle").stdout


def test_a_command_that_is_missing(eager: Saf) -> None:
    eager.configure("slurm", directory=str(eager.directory))
    one_sentence(eager, "cannot be run", "slurm.directory")


def test_another_cluster_than_configured(eager: Saf) -> None:
    eager.configure("cluster", name="elsewhere")
    one_sentence(eager, "slurmctld serves cluster loop, the configuration says elsewhere")


def test_no_postgresql(eager: Saf) -> None:
    eager.configure("ledger", url="postgresql://saf:very-secret@127.0.0.1:1/saf")
    one_sentence(eager, "the ledger at 127.0.0.1:1/saf cannot be reached", "check ledger.url")
    assert "very-secret" not in eager.run("cycle", code=1).stderr


def test_an_empty_database_says_how_to_migrate(eager: Saf, postgresql: str) -> None:
    eager.configure("ledger", url=postgresql)
    one_sentence(eager, "run: saf ledger migrate")


def test_an_unknown_key(eager: Saf) -> None:
    eager.configure("promise", targetshare=0.25)
    one_sentence(eager, "[promise] has no key 'targetshare'; did you mean 'target_share'?")


@pytest.fixture
def small_disk(open_directory: Path) -> Iterator[Path]:
    """A file system of its own, to be filled."""
    with disk.small(open_directory / "disk", "160m") as place:
        yield place


def test_postgresql_out_of_space_and_healed(eager: Saf, small_disk: Path) -> None:
    eager.sections["ledger"].pop("url")
    eager.configure("ledger", state_directory=str(small_disk / "state"))
    eager.configure("control", mode="observe")
    eager.run("cycle")
    before = eager.json("ledger", "status")
    eager.configure("control", mode="enforce")
    filler = small_disk / "filler"
    disk.fill(filler)
    done = eager.run("cycle", code=1)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    filler.unlink()
    after = eager.json("ledger", "status")
    assert after["runs"] >= before["runs"] > 0
    eager.configure("control", mode="observe")
    eager.run("cycle")
