"""The wheels inside a package: what the product needs is locked, and its licence told."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from deploy.wheels import EXTRAS, locked
from tests.docs.markdown import ROOT

LICENCES = (ROOT / "deploy" / "debian" / "copyright").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [
    Requirement(text)
    for text in (
        *PROJECT["dependencies"],
        *(one for extra in EXTRAS for one in PROJECT["optional-dependencies"][extra]),
    )
]


@pytest.mark.parametrize("needed", NEEDED, ids=str)
def test_a_package_has_what_pyproject_needs(needed: Requirement) -> None:
    version = locked().get(needed.name)
    assert version, f"run python -m deploy.wheels lock: {needed.name} is not in deploy/wheels.txt"
    assert version in needed.specifier


@pytest.mark.parametrize("name", locked())
def test_the_licence_of_each_bundled_wheel_is_told(name: str) -> None:
    pattern = re.sub("[-.]", "_", name).removesuffix("_binary")
    assert f"site-packages/{pattern}*" in LICENCES, f"name {name} and its licence in deploy/debian/copyright"
