"""The docs as a site: it builds without a warning, shows every page, and loads nothing from another host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site import place
from tests.docs.markdown import PAGES, ROOT

ABROAD = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|<link[^>]*\shref=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|(?:@import\s*|url\(\s*)[\"']?(?:https?:)?//[^\s\"')]+"
)
"""What a browser loads from another host to show a page, as HTML or CSS writes it."""

FAULTS = {
    "stray.md": "# Not in the navigation\n",
    "glossary.md": "[a](gone.md) [b](index.md#gone) [c](../GONE.md)\n",
}


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_is_in_the_site(site: Path, page: Path) -> None:
    served = place(page, ROOT / "docs").replace("README.md", "index.md")  # as MkDocs does
    assert (site / served).with_suffix(".html").exists()


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css", ".svg")]
    assert len(files) > len(PAGES)
    found = {f"{file.name}: {one}" for file in files for one in ABROAD.findall(file.read_text("utf-8"))}
    assert found == set()


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="https://cdn.example/a.js">',
        "<link rel=stylesheet href=//fonts.example/css>",
        '<style>@import "http://a.example"',
        "a{background:url(https://a.example/b.png)}",
    ],
)
def test_what_is_loaded_from_another_host_is_found(loaded: str) -> None:
    assert ABROAD.search(loaded)


def test_a_stray_page_and_a_link_to_nothing_fail_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for file in [*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "mkdocs.yml"]:
        shutil.copy(file, tmp_path)
    for name, text in FAULTS.items():
        with (tmp_path / "docs" / name).open("a", encoding="utf-8") as page:
            page.write(text)
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    for named in ("stray.md", "gone.md", "#gone", "../GONE.md"):
        assert named in done.stderr
