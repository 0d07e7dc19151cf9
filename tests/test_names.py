"""The rules that keep the package easy to find one's way in. ``python -m tests.house`` prints the figures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import PACKAGE, VAGUE, House

ROOT_MODULES = {
    "cycle", "daemon", "errors", "identity", "language", "loop", "question", "signals", "source", "__main__",
}  # fmt: skip
"""Any other module belongs into a room."""

MOST_BODY_LINES = 50
MOST_ONE_USE_HELPERS = 4.5
"""Per 1,000 lines. A bound to lower, never to raise."""
MOST_VAGUE = {"one": 0, "found": 3, "told": 0, "said": 0}
"""How often each of these names of variables is bound; ``found`` is a key of `saf doctor --json`."""

HASHING = ("core.canonical", "core.fingerprint")
"""A digest is compared years later: what these modules and their users hash may not hold a Python name."""


@pytest.fixture(scope="module")
def house() -> House:
    return House(Path(__file__).parents[1])


def checkout(directory: Path, **files: str) -> House:
    """A package of these files; ``a_b`` is a/b.py, and ``a_`` is a/__init__.py."""
    for name, text in files.items():
        path = f"{name}__init__" if name.endswith("_") else name
        file = directory / PACKAGE / f"{path.replace('_', '/', 1) if '_' in name else path}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return House(directory)


def test_the_root_has_the_modules_that_it_is_known_for(house: House) -> None:
    """Sub-packages are rooms, and have their place in the contracts of pyproject.toml."""
    rooms = {name.partition(".")[0] for name in house.modules if "." in name}
    assert house.rooms() - rooms == ROOT_MODULES


def test_a_type_and_a_public_function_have_a_name_of_their_own(house: House) -> None:
    """So that a grep or a traceback says which one is meant."""
    assert house.double_names() == {}


def test_double_names_are_found(tmp_path: Path) -> None:
    house = checkout(
        tmp_path,
        a="class Row: ...\ndef read(): ...\ndef _text(): ...\nMOST = 1\ndef main(): ...",
        b="Row = tuple[str, int]\nMOST = 2\ndef _text(): ...\ndef main(): ...",
        c_d="def read(): ...",
        slurm_worker="def read(): ...",
    )
    assert house.double_names() == {"Row": ["a", "b"], "read": ["a", "c.d"]}


def spellings(tree: ast.AST) -> Iterator[int]:
    """Lines with ``repr()``, ``!r``, ``__name__`` or ``__qualname__``, but for sentences of errors."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Raise):
            continue
        if (
            (isinstance(node, ast.Name) and node.id == "repr")
            or (isinstance(node, ast.FormattedValue) and node.conversion == ord("r"))
            or (isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__"))
        ):
            yield node.lineno
        yield from spellings(node)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("digest(repr(rule))\ndigest(str(rule))", [1]),
        ("text = rule.name\ntext = f'{rule!r}'", [2]),
        ("type(rule).__name__, Rule.__qualname__", [1, 1]),
        ("if wrong:\n    raise TypeError(f'{rule!r} is a {type(rule).__name__}')", []),
    ],
)
def test_names_of_python_are_found(code: str, lines: list[int]) -> None:
    assert list(spellings(ast.parse(code))) == lines


def test_what_is_hashed_has_no_name_of_python(house: House) -> None:
    hashed = {name for name in house.modules if house.imported(name) & set(HASHING)} | set(HASHING)
    assert len(hashed) > len(HASHING)
    assert {name: lines for name in hashed if (lines := list(spellings(house.modules[name].tree)))} == {}


def test_a_body_fits_on_a_screen(house: House) -> None:
    assert house.bodies(above=MOST_BODY_LINES) == []


def test_a_long_body_is_found(tmp_path: Path) -> None:
    lines = "\n".join(["    x = 1"] * 3)
    house = checkout(
        tmp_path, a=f'def f():\n    """Two\n    lines."""\n{lines}\ndef g():\n{lines}\n    y = 1'
    )
    assert house.bodies(above=3) == ["a.g: 4 lines"]


def test_few_helpers_stand_apart_from_their_only_caller(house: House) -> None:
    helpers = house.one_use_helpers()
    assert 1000 * len(helpers) / house.lines <= MOST_ONE_USE_HELPERS, helpers


def test_one_use_helpers_are_found(tmp_path: Path) -> None:
    house = checkout(
        tmp_path,
        a="def _once(): ...\ndef _twice(): ...\n@decorated\ndef _registered(): ...\n"
        "def f():\n    return _once(), _twice(), _twice(), _registered()\n"
        "class A:\n    def _method(self): ...\n    def __init__(self):\n        self._method()",
    )
    assert house.one_use_helpers() == ["a._once", "a._method"]


def test_a_module_has_a_test_file_of_its_name_or_says_where_it_is_tested(house: House) -> None:
    assert house.untested() == []


def test_untested_modules_are_found(tmp_path: Path) -> None:
    for file in ("test_cycle.py", "core/test_tres.py", "cli/test_all.py"):
        (tmp_path / "tests" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / file).touch()
    house = checkout(
        tmp_path,
        cycle="",
        core_="",
        core_tres="",
        core_share="",
        cli_run='"""Runs. Tested in tests/cli/test_all.py."""',
        cli_plan='"""Plans. Tested in tests/cli/test_all.py and\ntests/cli/test_gone.py."""',
        cli_show='"""Shows; see tests/cli/test_all.py."""',
    )
    assert house.untested() == ["cli.plan", "cli.show", "core.share"]


@pytest.mark.parametrize("name", VAGUE)
def test_a_variable_says_what_it_holds(house: House, name: str) -> None:
    assert house.vague()[name] <= MOST_VAGUE[name]


def test_vague_variables_are_found(tmp_path: Path) -> None:
    house = checkout(
        tmp_path,
        a="found = f(lambda one: one)\n[one for one in found]\ndef g(told): return told\nx.said = 1",
    )
    assert house.vague() == {"found": 1, "one": 2, "told": 1}


def test_rooms_and_arrows_follow_the_imports(tmp_path: Path) -> None:
    house = checkout(
        tmp_path,
        errors="",
        core_tres=f"from {PACKAGE}.errors import SafError",
        core_share=f"from {PACKAGE}.core import tres",
        cycle=f"from {PACKAGE} import errors\nfrom {PACKAGE}.core import share",
    )
    assert house.rooms() == {"errors", "core", "cycle"}
    assert house.arrows() == {("core", "errors"), ("cycle", "errors"), ("cycle", "core")}


def test_a_trip_follows_names_methods_and_re_exports(tmp_path: Path) -> None:
    house = checkout(
        tmp_path,
        cycle=f"from {PACKAGE}.ledger import Ledger\nfrom {PACKAGE}.steps import read\n"
        "def run(site):\n    read(site)\n    ledger = Ledger()\n    ledger.measure()\n    ledger.append(1)\n",
        ledger_=f"from {PACKAGE}.ledger.store import do\n"
        "class Ledger:\n    def __init__(self): do()\n    def measure(self): self._asked()\n"
        "    def _asked(self): do()\n    def append(self, x): do()",
        ledger_store="def do(): ...",
        steps_=f"from {PACKAGE}.steps.reading import read",
        steps_reading="def read(site): return site.ledger.measure()",
    )
    trip = house.trip("cycle", "run")
    assert trip.functions == len({"run", "read", "__init__", "do", "measure", "_asked"})
    assert (trip.modules, trip.rooms) == (4, 3)
    assert (trip.crossings, trip.back) == (5, 2), "read, __init__, do, measure again, do again"


def test_a_trip_that_has_no_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no function run"):
        checkout(tmp_path, cycle="def other(): ...").trip("cycle", "run")
