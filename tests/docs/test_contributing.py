"""What contributors help themselves with: hooks, CI and targets of make, held to what they stand for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs import markdown
from tests.docs.markdown import FILES, ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def pairs() -> list[dict[str, str]]:
    """The versions of Python and PostgreSQL that CI runs together."""
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW)["jobs"]
    found: list[dict[str, str]] = jobs["pairs"]["strategy"]["matrix"]["include"]
    return found


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_the_hooks_run_what_make_lint_runs() -> None:
    (lint,) = re.findall(r"^lint:.*\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = {hook["entry"] for repository in hooks for hook in repository["hooks"]}
    assert {line.strip().replace("$(BIN)", ".venv/bin") for line in lint.splitlines()} <= entries
    assert {repository["repo"] for repository in hooks} == {"local"}


def test_actions_are_pinned_by_commit() -> None:
    used = re.findall(r"uses: (.+)$", WORKFLOW, re.MULTILINE)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", one)] == []


def test_ci_begins_with_the_oldest_versions_that_are_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f">={min((one['python'] for one in pairs()), key=number)}" == project["requires-python"]
    (oldest,) = re.findall(r"PostgreSQL (\d+) or later", markdown.read(ROOT / "README.md"))
    assert min((one["postgresql"] for one in pairs()), key=number) == oldest


def test_ci_leaves_no_version_between_out() -> None:
    for name in ("python", "postgresql"):
        last = sorted({number(one[name])[-1] for one in pairs()})
        assert last == list(range(last[0], last[-1] + 1))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_targets_of_make_exist(file: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = re.findall(r"^make ([a-z-]+)", "\n".join(markdown.spans(markdown.read(file))), re.MULTILINE)
    assert set(named) <= targets
