"""The table of traps names tests that exist, and leaves no trap without a test or a reason."""

from __future__ import annotations

import re

import pytest

from tests.docs import markdown
from tests.docs.markdown import ROOT

PAGE = markdown.read(ROOT / "docs" / "reference" / "traps.md")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| (?!trap |-)", line)]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_trap_has_a_test_or_a_reason(row: list[str]) -> None:
    assert len(row) in (2, 3)
    assert all(row)
    assert len(row) == 2 or "::" in row[2]
