"""Adds to the site what is outside docs/: the pages at the top, and each file that a page links to.

The rule: a link is relative to its own file, as the forge follows it. The site has those files below OUTSIDE,
and turns every link to where its file is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = "repository"
LINK = re.compile(r"(?<=\]\()[^)\s#]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is outside docs/ and is a page, or linked to from one."""
    docs = Path(config.docs_dir)
    pages = [*docs.rglob("*.md"), *docs.parent.glob("*.md")]
    linked = {target for page in pages for target in _targets(page, docs.parent)}
    for path in sorted({*pages, *linked}):
        if not path.is_relative_to(docs):
            files.append(File.generated(config, place(path, docs), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Turn the links of a page to where their files are in the site."""
    docs, source = Path(config.docs_dir), Path(str(page.file.abs_src_path))
    folder = posixpath.dirname(page.file.src_uri)

    def turned(link: re.Match[str]) -> str:
        target = _target(source, link[0], docs.parent)
        return posixpath.relpath(place(target, docs), folder) if target else link[0]

    return LINK.sub(turned, markdown)


def place(path: Path, docs: Path) -> str:
    """Where a file of the repository is in the site.

    >>> place(Path("/r/docs/howto/rules.md"), Path("/r/docs"))
    'howto/rules.md'
    >>> place(Path("/r/deploy/saf.toml"), Path("/r/docs"))
    'repository/deploy/saf.toml'
    """
    if path.is_relative_to(docs):
        return path.relative_to(docs).as_posix()
    return f"{OUTSIDE}/{path.relative_to(docs.parent).as_posix()}"


def _targets(page: Path, root: Path) -> Iterator[Path]:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    return (target for link in links if (target := _target(page, link, root)))


def _target(page: Path, link: str, root: Path) -> Path | None:
    """The file of the repository that a link leads to; None where MkDocs may judge the link as it is."""
    target = (page.parent / link).resolve()
    return target if target.is_file() and target.is_relative_to(root) else None
