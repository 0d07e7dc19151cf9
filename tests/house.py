"""Figures of how the package is built: ``python -m tests.house [CHECKOUT]`` prints them.

- A *room* is a sub-package or a module at the root of the package; an *arrow* is a pair of rooms of which the
  first imports the second.
- A *double name* is a type, or a public function, that two modules define.
- A *one-use helper* is a private function without a decorator, of fewer than six lines, that its module names
  once.
- A module is *untested* that has no test file of its name (tests mirror the package) and whose docstring does
  not say ``Tested in tests/...``, with files that exist.
- A *trip* follows the calls in the text from an entry function, depth first, in the order in which they
  stand. Each function is walked once, the first time it is reached; each place that calls counts once.
  *crossings* are calls into another module, and *back* are the crossings into a module that the trip had
  been in before; neither counts calls into the rooms of COMMON. Names follow imports. A method or property
  of something other than ``self`` is followed where one class alone in the package has that name, which no
  field and no method of a built-in type has, and the caller imports its module, directly or not. Calls
  through a parameter are not followed, nor what runs at an import.

Reads the text only, imports nothing of the package, and so works on any checkout of any age.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGE = "slurm_ai_factory"
ALONE = ("slurm.worker", "slurm.fence")
"""Files that other interpreters run without the package: they cannot import a name that they need."""
ENTRIES = {"cycle": ("cycle", "run"), "share": ("", "share_command"), "report": ("", "report_command")}
"""Where the trips start: module and function; an empty module is whichever defines the function."""
COMMON = ("core", "errors")
"""Rooms of values and arithmetic, which every room uses: a trip passes through them without crossing over."""
VAGUE = ("one", "found", "told", "said")
"""Names of variables that say nothing of what they hold."""
SHORT = 6
"""A private function of fewer lines than this, used once, could stand in its caller."""
BUILT_IN = {
    name
    for kind in (str, bytes, list, dict, set, tuple, float, Decimal, Path, io.StringIO)
    for name in dir(kind)
}


class Module(NamedTuple):
    """A file of the package."""

    name: str  #: below the package, dotted; empty for the package itself
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def functions(self) -> Iterator[ast.FunctionDef]:
        """All functions and methods, nested ones included."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))


class Function(NamedTuple):
    """A function of a module, or a method of a class of one."""

    module: str
    owner: str  #: its class; empty for a function
    name: str


class Trip(NamedTuple):
    """How the calls from one function lead through the package."""

    functions: int
    modules: int
    rooms: int
    crossings: int
    back: int
    most: str  #: the module that is entered most often, and how often


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    docstring = ast.get_docstring(function, clean=False) is not None
    body = function.body[docstring:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def room(module: str) -> str:
    return module.partition(".")[0]


class House:
    """The package in a checkout. Raises OSError, SyntaxError."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.modules: dict[str, Module] = {}
        for file in sorted((checkout / PACKAGE).rglob("*.py")):
            parts = file.relative_to(checkout / PACKAGE).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            text = file.read_text(encoding="utf-8")
            self.modules[name] = Module(name, text, ast.parse(text))
        if not self.modules:
            raise FileNotFoundError(f"{checkout} has no {PACKAGE}/*.py")

    @property
    def lines(self) -> int:
        return sum(module.lines for module in self.modules.values())

    def rooms(self) -> set[str]:
        return {room(name) for name in self.modules} - {""}

    def arrows(self) -> set[tuple[str, str]]:
        pairs = {(room(name), room(target)) for name in self.modules for target in self.imported(name)}
        return {(here, there) for here, there in pairs if here != there and here and there}

    def imported(self, module: str) -> set[str]:
        """The modules of the package that a module imports, or imports names from."""
        return {target for target, _ in self._imports.get(module, {}).values()}

    def double_names(self) -> dict[str, list[str]]:
        """The modules of each type and each public function that more than one defines, but for ALONE."""
        places: dict[tuple[bool, str], list[str]] = defaultdict(list)
        for module in self.modules.values():
            if module.name in ALONE:
                continue
            for node in module.tree.body:
                if (
                    isinstance(node, ast.FunctionDef)
                    and not node.name.startswith("_")
                    and node.name != "main"
                ):
                    places[False, node.name].append(module.name)
                for name in _types(node):
                    places[True, name].append(module.name)
        return {name: modules for (_, name), modules in places.items() if len(modules) > 1}

    def one_use_helpers(self) -> list[str]:
        """Private functions of fewer than SHORT lines that their module names once."""
        helpers = []
        for module in self.modules.values():
            names = Counter(_mentioned(node) for node in ast.walk(module.tree))
            helpers += [
                f"{module.name}.{function.name}"
                for function in module.functions
                if function.name.startswith("_") and not function.name.startswith("__")
                if not function.decorator_list and names[function.name] == 1 and body_lines(function) < SHORT
            ]
        return helpers

    def untested(self) -> list[str]:
        """The modules without a test file of their name whose docstrings name no other; packages left out."""
        untested = []
        for module in self.modules.values():
            above, _, name = f"tests.{module.name}".rpartition(".")
            docstring = " ".join((ast.get_docstring(module.tree) or "").split())
            _, _, where = docstring.partition("Tested in ")
            named = re.findall(r"tests/[\w/.]*\w", where) or [f"{above.replace('.', '/')}/test_{name}.py"]
            package = any(other.startswith(f"{module.name}.") for other in self.modules)
            if module.name and not package and not all((self.checkout / file).exists() for file in named):
                untested.append(module.name)
        return untested

    def vague(self) -> Counter[str]:
        """How often each of VAGUE is bound, as a variable or a parameter."""
        nodes = (node for module in self.modules.values() for node in ast.walk(module.tree))
        bound = (
            node.arg if isinstance(node, ast.arg)
            else node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            else ""
            for node in nodes
        )  # fmt: skip
        return Counter(name for name in bound if name in VAGUE)

    def bodies(self, above: int) -> list[str]:
        """The functions whose bodies have more lines than this."""
        return [
            f"{module.name}.{function.name}: {body_lines(function)} lines"
            for module in self.modules.values()
            for function in module.functions
            if body_lines(function) > above
        ]

    def trip(self, module: str, name: str) -> Trip:
        """The trip from a function; see the top of this file. Raises LookupError where it is not there."""
        starts = [f for f in self._functions if f.name == name and not f.owner and module in ("", f.module)]
        if not starts:
            raise LookupError(f"no function {name} in {module or PACKAGE}; see ENTRIES")
        start = starts[0]
        walked, entered = {start}, Counter([start.module])
        crossings = back = 0

        def walk(function: Function) -> None:
            nonlocal crossings, back
            for called in self._calls(function):
                if called.module != function.module:
                    counts = room(called.module) not in COMMON
                    crossings += counts
                    back += counts and called.module in entered
                    entered[called.module] += 1
                if called not in walked:
                    walked.add(called)
                    walk(called)

        walk(start)
        rooms = {room(module) for module in entered}
        times, most = max((times, module) for module, times in entered.items() if room(module) not in COMMON)
        return Trip(len(walked), len(entered), len(rooms), crossings, back, f"{most} {times} times")

    @cached_property
    def _imports(self) -> dict[str, dict[str, tuple[str, str]]]:
        """By module: what each name imported from the package is, as a module and a name in it, or ''."""
        imports: dict[str, dict[str, tuple[str, str]]] = {}
        for module in self.modules.values():
            names = imports[module.name] = {}
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
                    source = (node.module or "").removeprefix(PACKAGE).removeprefix(".")
                    for alias in node.names:
                        inner = f"{source}.{alias.name}".removeprefix(".")
                        target = (inner, "") if inner in self.modules else (source, alias.name)
                        names[alias.asname or alias.name] = target
        return imports

    @cached_property
    def _functions(self) -> dict[Function, ast.FunctionDef]:
        functions = {}
        for module in self.modules.values():
            for node in module.tree.body:
                for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
                    if isinstance(inner, ast.FunctionDef):
                        owner = node.name if isinstance(node, ast.ClassDef) else ""
                        functions[Function(module.name, owner, inner.name)] = inner
        return functions

    @cached_property
    def _methods(self) -> dict[str, Function | None]:
        """Methods and properties by name; None where it is not the only thing of that name, see above."""
        nodes = [node for module in self.modules.values() for node in ast.walk(module.tree)]
        fields = {
            node.target.id
            for owner in nodes if isinstance(owner, ast.ClassDef)
            for node in owner.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }  # fmt: skip
        fields |= {
            node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        methods: dict[str, Function | None] = dict.fromkeys(BUILT_IN | fields)
        for function in self._functions:
            if function.owner:
                methods[function.name] = None if function.name in methods else function
        return methods

    @cached_property
    def _reach(self) -> dict[str, set[str]]:
        """The modules that each module imports, directly or not, and itself."""
        reach = {}
        for name in self.modules:
            reach[name], waiting = {name}, [name]
            while waiting:
                targets = self.imported(waiting.pop())
                waiting += targets - reach[name]
                reach[name] |= targets
        return reach

    def _resolved(self, module: str, name: str) -> tuple[str, str] | None:
        """Where a name of a module is defined, through imports: module and name; None outside the package."""
        target = (module, name) if name else None
        while target and target[1] and target not in self._defined:
            target = self._imports.get(target[0], {}).get(target[1])
        return target

    @cached_property
    def _defined(self) -> set[tuple[str, str]]:
        """The functions and classes of modules."""
        return {
            (module.name, node.name)
            for module in self.modules.values()
            for node in module.tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }

    def _calls(self, function: Function) -> Iterator[Function]:
        """What a function calls or hands on, in the order of the text."""
        nodes = [
            node
            for node in _executed(self._functions[function])
            if isinstance(node, ast.Name | ast.Attribute)
        ]
        for node in sorted(nodes, key=lambda node: (node.end_lineno, node.end_col_offset)):
            yield from filter(self._functions.__contains__, self._targets(function, node))

    def _targets(self, function: Function, node: ast.Name | ast.Attribute) -> Iterator[Function]:
        """The functions that a name or an attribute in a function may mean; not all of them exist."""
        if isinstance(node, ast.Name):
            if where := self._resolved(function.module, node.id):
                yield from (Function(where[0], "", where[1]), Function(*where, "__init__"))
                yield Function(*where, "__post_init__")
            return
        base = node.value.id if isinstance(node.value, ast.Name) else ""
        target = self._resolved(function.module, base)
        if base in ("self", "cls"):
            yield Function(function.module, function.owner, node.attr)
        elif target and not target[1]:
            if inner := self._resolved(target[0], node.attr):
                yield from (Function(inner[0], "", inner[1]), Function(*inner, "__init__"))
        elif target:
            yield Function(*target, node.attr)
        elif (method := self._methods.get(node.attr)) and method.module in self._reach[function.module]:
            yield method


def _types(node: ast.stmt) -> list[str]:
    """The types that a statement of a module defines: classes, and names such as ``Plain = str | int``."""
    if isinstance(node, ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if name[:1].isupper() and not name.isupper()]


def _mentioned(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _executed(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function's body, without annotations."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                waiting += [
                    item
                    for item in (value if isinstance(value, list) else [value])
                    if isinstance(item, ast.AST)
                ]


def report(house: House) -> Iterator[str]:
    """The figures, one per line."""
    helpers, doubles, vague = house.one_use_helpers(), sorted(house.double_names()), house.vague()
    yield f"files                   {len(house.modules)}"
    yield f"lines                   {house.lines}"
    yield f"rooms                   {len(house.rooms())}"
    yield f"arrows between rooms    {len(house.arrows())}"
    yield f"double names            {len(doubles)}: {', '.join(doubles) or 'none'}"
    yield f"one-use helpers         {len(helpers)}, {1000 * len(helpers) / house.lines:.1f} per 1,000 lines"
    yield f"untested modules        {len(house.untested())}"
    yield f"vague variables         {', '.join(f'{name} {vague[name]}' for name in VAGUE)}"
    yield f"bodies above 25 lines   {len(house.bodies(25))}"
    yield f"bodies above 50 lines   {len(house.bodies(50))}"
    for label, entry in ENTRIES.items():
        trip = house.trip(*entry)
        passed = f"{trip.functions} functions in {trip.modules} modules of {trip.rooms} rooms"
        crossed = f"{trip.crossings} crossings, {trip.back} back; most: {trip.most}"
        yield f"{f'trip of {label}':<24}{passed}; {crossed}"


if __name__ == "__main__":
    print(*report(House(Path(sys.argv[1] if len(sys.argv) > 1 else "."))), sep="\n")
