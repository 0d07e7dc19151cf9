"""A year, once for all tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import new_ledger
from tests.report import year
from tests.report.year import Year


@pytest.fixture(scope="session")
def made(postgresql: str, open_directory: Path) -> Iterator[Year]:
    with new_ledger(postgresql) as url:
        yield year.build(url, open_directory / "year.toml")
