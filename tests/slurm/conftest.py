"""The contract suite's result is kept when asked for.

SAF_CONTRACT names the file: docs/sources.json, from which ``python -m docs.generate`` makes a table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.sources import Source

Results = dict[str, dict[str, str]]
_found: Results = {}
_told: dict[str, str] = {}
"""The versions of Slurm that each source told."""
_RANK = ("works", "not in this Slurm", "fails")
NOT_HERE = ("contract", _RANK[1])
"""The property of a test that passed where this Slurm lacks the capability as is known."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep how each source did at each capability: the worst of its tests."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    mark = item.get_closest_marker("contract")
    if mark is None or (report.when != "call" and report.passed):
        return
    if report.when == "setup" and report.skipped:
        return
    kind, version = next(iter(item.callspec.params.values()))  # type: ignore[attr-defined]
    lacks = report.skipped or NOT_HERE in report.user_properties
    did = _RANK[2] if report.failed else _RANK[1] if lacks else _RANK[0]
    source: Any = next((one for one in item.funcargs.values() if isinstance(one, Source)), None)  # type: ignore[attr-defined]
    if source and source.name not in _told:
        _told[source.name] = source.told()
    of_source = _found.setdefault(f"{kind} {version}", {})
    capability = str(mark.args[0])
    of_source[capability] = max(did, of_source.get(capability, did), key=_RANK.index)


def pytest_sessionfinish() -> None:
    """Put what was found beside what earlier sessions found of other sources."""
    place = os.environ.get("SAF_CONTRACT")
    if not (place and _found):
        return
    path = Path(place)
    kept = json.loads(path.read_text()) if path.exists() else {}
    day = datetime.now(UTC).date().isoformat()
    for source, did in _found.items():
        before = kept.get(source, {}).get("capabilities", {})
        kept[source] = {"on": day, "slurm": _told.get(source, ""), "capabilities": before | did}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
