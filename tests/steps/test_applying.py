"""What is said of a value that was written and read back."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import Change, LeverKind
from slurm_ai_factory.steps.applying import ReadBack, settled_note

FAILURE = "sacctmgr failed (exit 1): it said nothing"
LOST = "another user changed it at the same time, or Slurm lost the write"
SPLIT = "slurmdbd has 60, slurmctld still works with 40"


@pytest.mark.parametrize(
    ("now", "failure", "lever", "note"),
    [
        (ReadBack(60, 60), "", LeverKind.ACCOUNT, ""),
        (ReadBack(60, 60), FAILURE, LeverKind.ACCOUNT, FAILURE),
        (ReadBack(40, 60), "", LeverKind.ACCOUNT, SPLIT),
        (ReadBack(40, 60), FAILURE, LeverKind.ACCOUNT, f"{SPLIT}; {FAILURE}"),
        (ReadBack(40, 40), "", LeverKind.ACCOUNT, f"RawShares are 40: {LOST}"),
        (ReadBack(40, 40), FAILURE, LeverKind.ACCOUNT, FAILURE),
        (ReadBack(40, 40), "", LeverKind.QOS, f"Priority is 40: {LOST}"),
        (ReadBack(None, None), "", LeverKind.PARTITION, f"the partition is gone: {LOST}"),
    ],
)
def test_the_note_says_what_is_there_instead(
    now: ReadBack, failure: str, lever: LeverKind, note: str
) -> None:
    change = Change(
        cluster="loop", account="regional", raw_shares_before=40, raw_shares_after=60, lever=lever
    )
    assert settled_note(change, now, failure) == note
