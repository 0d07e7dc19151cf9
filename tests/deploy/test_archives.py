"""The wheel and the source archive: what they hold, and which version they bear."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from slurm_ai_factory import __version__
from tests.docs.markdown import ROOT

PACKAGE = ROOT / "slurm_ai_factory"
SHIPPED = ("slurm_ai_factory", "deploy", "docs", "tests")
TOP = {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "RELEASE.md", "mkdocs.yml", "pyproject.toml"}


def files_below(folder: Path) -> set[str]:
    """Every file of the checkout there, except what Python and the tools left behind."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    [built] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == files_below(PACKAGE)
    assert {".py", ".sql", ".toml", ".html"} <= {Path(name).suffix for name in held}


def test_the_wheel_bears_the_version_of_the_package(wheel: zipfile.ZipFile) -> None:
    folder = f"slurm_ai_factory-{__version__}.dist-info"
    assert f"\nVersion: {__version__}\n" in wheel.read(f"{folder}/METADATA").decode()
    assert "\nsaf = slurm_ai_factory.__main__:main\n" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()


def test_the_source_archive_holds_all_that_a_package_is_built_from(tmp_path: Path) -> None:
    [built] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(built) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held >= TOP.union(*(files_below(ROOT / folder) for folder in SHIPPED))
