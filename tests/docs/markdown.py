"""What the tests need of markdown: files, links, headings, code spans and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
"""What people read."""
FILES = [*PAGES, *sorted((ROOT / ".github").rglob("*.md"))]
"""With the templates of the forge."""


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced code blocks.

    >>> blocks("a\\n```sh\\nsaf run\\n```\\n")
    [Block(language='sh', text='saf run\\n')]
    """
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def prose(text: str) -> str:
    """The text without its code blocks and comments."""
    return re.sub(r"^```.*?^```$|<!--.*?-->", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """The inline code, which may run over the end of a line.

    >>> spans("use `saf\\nplan` or `x`")
    ['saf plan', 'x']
    """
    return [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> Iterator[str]:
    """The targets of links that are not on the web."""
    plain = re.sub(r"`[^`]+`", "code", prose(text))
    for target in re.findall(r"\]\(([^)\s]+)\)", plain):
        if "://" not in target:
            yield target


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings.

    >>> sorted(anchors("## saf ledger `status`\\n### [[rule]]\\n"))
    ['rule', 'saf-ledger-status']
    """
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
