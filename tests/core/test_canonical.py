"""What is hashed stays what it is: whatever classes are called, however their fields are ordered."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import slurm_ai_factory
from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.canonical import Plain

PACKAGE = Path(slurm_ai_factory.__file__).parent
DIGESTS = """
from slurm_ai_factory import config
from slurm_ai_factory.core import canonical
from slurm_ai_factory.core.rules import classify, organisations
import sys
from decimal import Decimal

def named(module, name):
    return getattr(module, name + sys.argv[1])

text = '''
[cluster]
name = "c"
[promise]
target_share = 0.3
resource = { cpu = 0.25, "gres/gpu" = 16 }
[report]
region = "North"
[[rule]]
name = "a"
account_subtree = ["regional", "gov"]
beneficiary = "regional"
'''
settings = config.parse_config(text, "saf.toml")
whom = named(organisations, "Organisation")(
    organisation="umcg", name="UMCG", category="government", sector="care", since=0)
link = named(organisations, "Link")(organisation="umcg", account="umcg", fraction=Decimal("0.40"), since=0)
registry = named(organisations, "Registry")((whom,), (link,))
override = named(classify, "Override")(
    number="7", job="1", beneficiary=None, organisation="umcg", reason="r", actor="a", at=1)
rules = named(classify, "Rules")(
    settings.rules, {"umcg": "regional", "root": None}, registry,
    organisations.always_regional({"GM0014"}), {"7": override})
print(rules.digest, canonical.digest("settings", 1, config.counted(settings)))
"""


class Renamed(ast.NodeTransformer):
    """Every class of the package under another name, and the fields of dataclasses in reverse."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.name = self.new(node.name)
        if any("kw_only" in ast.unparse(one) for one in node.decorator_list):
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
            node.body = [fields.pop() if isinstance(one, ast.AnnAssign) else one for one in node.body]
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.new(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        node.attr = self.new(node.attr)
        return node

    def visit_alias(self, node: ast.alias) -> ast.alias:
        node.name = self.new(node.name)
        return node

    def new(self, name: str) -> str:
        return f"{name}Renamed" if name in self.names else name


def digests(directory: Path, suffix: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, suffix], cwd=directory, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(directory)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def rewritten(tmp_path: Path) -> Path:
    """The configuration and the core with all classes renamed and all fields reordered."""
    files = [*(PACKAGE / "core").rglob("*.py"), *(PACKAGE / "config").glob("*.py")]
    files += [PACKAGE / "__init__.py", PACKAGE / "errors.py"]
    trees = {file: ast.parse(file.read_text()) for file in files}
    found = [node for tree in trees.values() for node in ast.walk(tree)]
    rename = Renamed({node.name for node in found if isinstance(node, ast.ClassDef)})
    for file, tree in trees.items():
        there = tmp_path / "slurm_ai_factory" / file.relative_to(PACKAGE)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(ast.unparse(rename.visit(tree)))
    shutil.copy(PACKAGE / "config/municipalities.csv", tmp_path / "slurm_ai_factory/config")
    return tmp_path


def test_digests_stay_when_every_class_is_renamed_and_every_field_moved(rewritten: Path) -> None:
    """The values are those of format 1; where they must change, the format does."""
    known = [
        "6903bdebc87628f13f90f94f4ba0f6950c2e9c0609c0ec86930545bdf8968b94",
        "4afbe6eeb090c0e64710810a7094f2d6f01bd0acef4fb8df91bdab55fa64f405",
    ]
    assert digests(PACKAGE.parent, "") == known
    assert digests(rewritten, "Renamed") == known


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(plain, plain)
def test_a_difference_is_told_exactly_where_the_texts_differ(one: Plain, other: Plain) -> None:
    texts = canonical.canonical_text(one), canonical.canonical_text(other)
    assert (canonical.first_difference(*map(json.loads, texts)) is None) == (texts[0] == texts[1])


@given(st.dictionaries(st.text(), st.integers(), max_size=4))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert {canonical.canonical_text(dict(items)) for items in permutations(value.items())} == {
        canonical.canonical_text(value)
    }


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", float("nan"), float("inf")])
def test_what_has_no_one_spelling_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical.canonical_text(value)


def test_a_decimal_is_spelled_by_its_value() -> None:
    assert canonical.canonical_text([Decimal("0.40"), Decimal("4E+1"), Decimal(0)]) == '["0.4","40","0"]'
