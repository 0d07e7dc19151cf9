"""`saf backfill` and `--as-of` on a real Slurm: history read once, resumed, corrected, and told as it was."""

from __future__ import annotations

import pytest

from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import Tree
from tests.end_to_end.conftest import Wrap
from tests.saf import Saf


@pytest.fixture(scope="module")
def ended(slurm: SlurmCluster, slurm_tree: Tree) -> int:
    """A run of the past."""
    job = slurm.submit(slurm_tree.regional["umcg"][0], "umcg", seconds=1)
    slurm.wait_for(job, "COMPLETED")
    return job


def test_history_is_read_once_and_then_there_is_nothing_to_read(saf: Saf, ended: int) -> None:
    first = saf.json("backfill", "-S", "now-3days", "-E", "now-1minutes")
    assert len(first["intervals"]) == 1
    assert first["changed"] == first["runs"] == saf.json("ledger", "status")["runs"]
    again = saf.run("backfill", "-S", "now-2days", "-E", "now-2minutes")
    assert "nothing to read" in again.stderr
    saf.run("cycle")
    assert saf.json("explain", str(ended))["runs"][0]["state"] == "COMPLETED"


@pytest.mark.usefixtures("ended")
def test_only_what_is_missing_is_read(saf: Saf) -> None:
    saf.run("backfill", "-S", "now-9days", "-E", "now-5days")
    done = saf.json("backfill", "-S", "now-10days", "-E", "now-4days")
    assert len(done["intervals"]) == 2


def test_corrections_in_slurm_are_taken_over_and_the_past_can_be_told_as_it_was(
    slurm: SlurmCluster, saf: Saf, ended: int
) -> None:
    saf.run("cycle")
    before = saf.json("share", "--by", "account")
    table = f"{slurm.name}_job_table"
    times = ("time_submit", "time_eligible", "time_start")
    earlier = ", ".join(f"{one} = {one} - 60" for one in times)
    later = ", ".join(f"{one} = {one} + 60" for one in times)
    change = f"UPDATE slurm_acct_db.{table} SET {{}}, time_end = time_end {{}} 30 WHERE id_job = {ended}"
    slurm.mysql(change.format(earlier, "-"))
    try:
        saf.run("backfill", "-S", "now-1days", "--again")
        after = saf.json("share", "--by", "account")
        assert _charge(after, "umcg") == _charge(before, "umcg") + 30
        assert saf.json("ledger", "status")["superseded"] >= 1
        then = saf.json("share", "--by", "account", "--as-of", before["as_of"])
        assert _charge(then, "umcg") == _charge(before, "umcg")
    finally:
        slurm.mysql(change.format(later, "+"))


def test_a_backfill_that_breaks_off_keeps_what_was_whole_and_goes_on(
    saf: Saf, wrap: Wrap, ended: int
) -> None:
    saf.configure("slurm", read_window="6h")
    wrap("sacct", 'n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) > count\n'
         '[ $n -lt 3 ] && exec $REAL "$@"; echo "sacct: error: gone" >&2; exit 1')  # fmt: skip
    saf.run("backfill", "-S", "now-30days", "-E", "now-1minutes", code=1)
    kept = saf.json("ledger", "status")["last_read_at"]
    assert kept is not None
    saf.sections["slurm"].pop("directory")
    saf.configure()
    done = saf.json("backfill", "-S", "now-30days")
    assert done["intervals"][0]["since"] == kept
    assert str(ended) in saf.run("explain", str(ended)).stdout


NARROW = """
for one; do case "$one" in uts*) first=$last; last=${one#uts};; esac; done
[ $((last - first)) -gt 10800 ] && { echo "sacct: error: Too wide of a date range in query" >&2; exit 1; }
echo $((last - first)) >> asked; exec $REAL "$@"
"""


def test_a_range_that_slurmdbd_finds_too_wide_is_read_in_parts(saf: Saf, wrap: Wrap) -> None:
    saf.configure("slurm", read_window="12h")
    wrap("sacct", NARROW)
    done = saf.json("backfill", "-S", "now-12hours", "-E", "now-1minutes")
    asked = [int(seconds) for seconds in (saf.directory / "asked").read_text().split()]
    assert len(asked) > 3
    assert max(asked) <= 3 * 3600
    assert sum(asked) == 12 * 3600 - 60
    assert len(done["intervals"]) == 1


def _charge(found: dict[str, list[dict[str, object]]], account: str) -> int:
    return sum(int(str(group["charge"])) for group in found["groups"] if group["name"] == account)
