"""The evaluation's pages have the figures of one run, and the README those of the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import funder

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "evaluation" / "index.md")
OWN_WAITS = {"regional": 10.0, "non_regional": 5.0}


def row(case: str, policy: str, **figures: Any) -> dict[str, Any]:
    waits = figures.pop("waits", OWN_WAITS)
    sides = {
        side: {"mean_seconds": 3600 * waits[side], "p95_seconds": 7200.0, "bounded_slowdown": 2.0}
        for side in OWN_WAITS
    }
    return {
        "kind": "scenario", "case": case, "label": "", "seed": 0, "policy": policy, "window": "rolling:30d",
        "delivered_share": 0.26, "min_window_share": 0.25, "violation_ratio": 0.0,
        "attributable_shortfall_charge": 0.0, "utilisation": 0.9, "writes_per_day": 1.0, **sides, **figures,
    }  # fmt: skip


ROWS = [
    row(case, policy, **({"waits": {"regional": 5.0, "non_regional": 6.0}} if policy == "floor" else {}))
    for case in ("saturated", "holiday", "early")
    for policy in ("floor", "static:0.25", "oracle", "partition:0.25")
]


def changed(case: str, policy: str, **figures: Any) -> list[dict[str, Any]]:
    mine = (case, policy)
    return [one | figures if (one["case"], one["policy"]) == mine else one for one in ROWS]


def test_the_readme_has_the_blocks_of_the_evaluation() -> None:
    readme, page = (
        {found[2]: found[0] for found in funder.BLOCK.finditer(file.read_text())} for file in PAGES
    )
    assert readme
    assert readme.items() <= page.items(), "run `make evaluate`, or its second command"
    assert set(page) == set(funder.blocks(ROWS)), "each block is made, and each is shown"
    assert all(len(block.splitlines()) > 2 for block in page.values()), "none is empty"


def test_waits_are_parts_of_those_on_a_machine_of_its_own() -> None:
    said = " ".join(funder.short(ROWS).split())
    assert "waits 0.50 of what it would on a machine of its own" in said
    assert "the others 1.20 of what they would" in said
    assert "longer than on its own machine in none, the others in `saturated`, `holiday` and `early`" in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS, "| none |"),
        (changed("early", "floor", attributable_shortfall_charge=2.0), "| more in `early` | **no** |"),
        (changed("holiday", "floor", violation_ratio=0.1), "| missed in `holiday` | **no** |"),
        (changed("saturated", "floor", delivered_share=0.29), "| +3.0 points | **no** |"),
        (changed("early", "floor", writes_per_day=3.5), "| at most 3.50 on average, in `early` | **no** |"),
    ],
)
def test_a_requirement_that_is_not_met_is_told(rows: list[dict[str, Any]], says: str) -> None:
    said = funder.required(rows)
    assert said.count("**no**") == says.count("**no**")
    assert says.replace("| none |", "| missed in none | yes |") in said


def test_what_is_worse_than_static_shares_is_told() -> None:
    assert "6.0 hours, 5.0 under static" in funder.loses(ROWS)
    blamed = changed("early", "floor", attributable_shortfall_charge=2.0)
    assert "- `early`: 2.00 days to blame, static 25/75 0.00, oracle 0.00." in funder.loses(blamed)


def large(case: str, law: float, static: float) -> list[dict[str, Any]]:
    shares = {"floor": law, "static:0.25": static}
    return [row(case, policy, delivered_share=part) | {"kind": "large"} for policy, part in shares.items()]


def test_large_jobs_may_be_above_the_goal_or_as_far_above_static_shares_whichever_is_more() -> None:
    rows = [*large("curie_2012", 0.285, 0.26), *large("philly_2017", 0.286, 0.25), *large("x", 0.33, 0.316)]
    said = funder.large(rows)
    assert said.startswith("Met in 2 of 3 draws")
    assert "| `curie_2012`, 1 | 0.285 | 0.260 | 0.285 | yes |" in said
    assert "| `philly_2017`, 1 | 0.286 | 0.250 | 0.285 | **no** |" in said
    assert "| `x`, 1 | 0.330 | 0.316 | 0.331 | yes |" in said


def test_a_page_keeps_what_is_written_by_hand_and_names_no_unknown_block() -> None:
    page = "Before\n<!-- made: own -->\nold\n<!-- end -->\nafter\n"
    assert funder.filled(page, {"own": "new"}) == page.replace("old", "new")
    with pytest.raises(KeyError):
        funder.filled(page, {})
