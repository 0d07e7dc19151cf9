"""What operators and developers read is in plain English: words not to use, each with what to write instead.

Rule: a pattern is listed only if plain English has no use for it. Code, link targets, quotations and columns
that quote the program are not prose, and are not searched.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs import markdown
from tests.docs.markdown import ROOT

PATTERNS = {
    r"told": "reported, logged, listed, known; told apart: distinguished",
    r"tell|tells|telling": "report, log, list, show; tell apart: distinguish",
    r"(kept|put) aside": "skipped, quarantined",
    r"(give|gives|given|giving) out": "publish",
    r"taken over": "imported, recorded",
    r"taken for": "treated as",
    r"goes before": "overrides",
    r"in force": "current, effective",
    r"as of now": "current",
    r"for nobody known": "unclassified",
    r"(any|every|no|some)body": "an operator, a user, a process",
    r"whoever": "the user who, the operator who",
    r"whom it is for": "the beneficiary",
    r"what was read(?! back)": "the answer, the runs that were read",
    r"of those that": "of the rows that; name them",
    r"of an own|an own": "its own, dedicated",
    r"on a doubt": "when in doubt",
    r"is no run": "is not a run",
    r"(has|have) not the": "does not have the",
    r"but for": "except",
    r"in the place of": "in place of",
    r"(made|making) again|anew": "recomputed, rebuilt, remade",
    r"work(ed|s)? out": "compute",
    r"gone through": "succeeded",
    r"reckon(s|ed|ing)?": "count, take into account",
    r"not well": "unhealthy",
}
GENERATED = re.compile(r"<!-- (Generated|Made) by|^`make [\w-]+` writes this page", re.MULTILINE)
WRITTEN = [file for file in markdown.FILES if not GENERATED.search(markdown.read(file))]
MODULES = sorted((ROOT / "slurm_ai_factory").rglob("*.py"))
NOT_PROSE = re.compile(
    r"""
      ^```.*?^```$                                        # a block of code
    | `[^`]*`                                             # a span of code
    | <!--.*?-->                                          # a comment
    | \]\([^)\s]*\)                                       # the target of a link
    | "[^"\n]*"                                           # a quotation
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
QUOTING = re.compile(r"^\| (?:message|cause|status and note) \|.*\n(?:\|.*\n)+", re.MULTILINE)
FIRST_CELL = re.compile(r"^\|[^|]*", re.MULTILINE)


def offences(text: str) -> list[str]:
    """Each listed word in the text, with its line and what to write instead.

    >>> offences("The operator\\nis told of it, and `saf told` is not.")
    ["line 2: 'told': write: reported, logged, listed, known; told apart: distinguished"]
    """
    left = NOT_PROSE.sub(_blank, QUOTING.sub(lambda table: FIRST_CELL.sub(_blank, table[0]), text))
    return [
        f"line {left.count(chr(10), 0, found.start()) + 1}: {' '.join(found[0].split())!r}: write: {instead}"
        for pattern, instead in PATTERNS.items()
        for found in re.finditer(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), left, re.IGNORECASE)
    ]


def _blank(found: re.Match[str]) -> str:
    """Spaces in its place, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", found[0])


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_documentation_is_in_plain_english(file: Path) -> None:
    assert offences(markdown.read(file)) == []


def texts(file: Path) -> str:
    """The sentences in a module, each on its line: log lines, help, errors, docstrings; no code in them."""
    lines = [""] * (file.read_text(encoding="utf-8").count("\n") + 1)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            sentence = re.sub(r"^ *(?:>>>|\.\.\.).*$", "", node.value, flags=re.MULTILINE).replace('"', "'")
            for number, line in enumerate(sentence.split("\n"), node.lineno - 1):
                lines[min(number, len(lines) - 1)] += f" {line}"
    return "\n".join(lines)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_the_package_prints_logs_and_documents_is_in_plain_english(file: Path) -> None:
    assert offences(texts(file)) == []


def test_the_sentences_of_a_module_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        '"""It was\ntold twice."""\nlog.warning(f"{one} was told of it")\ntold = {"told": 1}\n',
        encoding="utf-8",
    )
    assert [offence.split(":")[0] for offence in offences(texts(file))] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("somebody wrote it", ["line 1"]),
        ("a line that is kept\naside", ["line 1"]),
        ("Told twice:\n\ntold.", ["line 1", "line 3"]),
        ("the hold is foretold", []),
        ("what was read back is recorded", []),
        ("[a page](told.md) and <!-- told -->", []),
        ('the log line "somebody else changed it"', []),
        ("```text\ntold\n```\n\ntold", ["line 5"]),
        ("| message | cause |\n|---|---|\n| it was told | told |\n", ["line 3"]),
        ("| trap | cause |\n|---|---|\n| it was told | `told` |\n", ["line 3"]),
    ],
)
def test_prose_alone_is_judged(text: str, lines: list[str]) -> None:
    assert [one.split(":")[0] for one in offences(text)] == lines


def test_pages_written_by_hand_are_found_among_all() -> None:
    names = {str(file.relative_to(ROOT)) for file in WRITTEN}
    assert {"README.md", "docs/glossary.md", "docs/reference/traps.md"} <= names
    assert not {"docs/reference/cli.md", "docs/evaluation/tables.md", "docs/evaluation/faults.md"} & names
