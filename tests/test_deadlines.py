"""No test waits for ever: each wait for a process, a thread or a socket has a deadline of its own.

Beside it, pyproject.toml gives every test one. What runs until a person ends it is left out.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOR_PEOPLE = ("acceptance/", "benchmarks/", "cluster/__main__.py", "cluster/demo.py")
PLACES = {"wait": 0, "join": 0, "result": 0, "communicate": 1, "urlopen": 2, "create_connection": 1}
"""What waits, and where the timeout stands when it has no name."""
RUNS = ("run", "check_call", "check_output")
"""Of subprocess; they wait for the end of a command."""


def endless(code: str) -> Iterator[int]:
    """The lines that wait without a deadline."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and not any(word.arg == "timeout" for word in node.keywords):
            name = ast.unparse(node.func)
            last = name.rpartition(".")[2]
            commands = name in [f"subprocess.{one}" for one in RUNS]
            if commands or (last in PLACES and len(node.args) <= PLACES[last]):
                yield node.lineno


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("process.wait()\nprocess.wait(3)\nevent.wait(timeout=3)", [1]),
        ("subprocess.run(a, check=True)\nsubprocess.run(a, timeout=3)\nsaf.run(a)", [1]),
        ("process.communicate(b'x')\n','.join(words)", [1]),
        ("urlopen(a)\nurllib.request.urlopen(a, timeout=3)\nsocket.create_connection(a)", [1, 3]),
    ],
)
def test_a_wait_without_a_deadline_is_found(code: str, lines: list[int]) -> None:
    assert list(endless(code)) == lines


@pytest.mark.parametrize("start", [[], ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]])
def test_what_a_test_starts_can_be_interrupted(start: list[str]) -> None:
    """A shell has what it starts in the background ignore SIGINT, and children inherit that."""
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    code = f"import subprocess, sys, tests.conftest; subprocess.run([sys.executable, '-c', {child!r}])"
    argv = [*start, sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=HERE.parent, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr


def test_every_wait_has_a_deadline() -> None:
    files = [file for file in HERE.rglob("*.py") if not str(file.relative_to(HERE)).startswith(FOR_PEOPLE)]
    assert len(files) > 50
    found = [f"{file}:{line}" for file in files for line in endless(file.read_text(encoding="utf-8"))]
    assert not found
