"""The manual pages and the completions: complete, well formed, and of use to the shells."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deploy import manual
from slurm_ai_factory.cli import cli
from slurm_ai_factory.config import SECTIONS


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    manual.main(folder)
    return folder


def test_every_command_has_its_page(share: Path) -> None:
    pages = {path.stem: path.read_text() for path in (share / "man" / "man1").iterdir()}
    names, groups = ["saf"], {"saf": cli.with_all()}
    while groups:
        path, group = groups.popitem()
        for name, command in group.commands.items():
            names.append(f"{path}-{name}")
            assert f"{names[-1]}(1)".replace("-", "\\-") in pages[path]
            if isinstance(command, click.Group):
                groups[names[-1]] = command
    assert sorted(pages) == sorted(names)


def test_every_key_is_in_the_page_of_the_configuration(share: Path) -> None:
    page = (share / "man" / "man5" / "saf.toml.5").read_text()
    for name, kind in SECTIONS.items():
        section = page.partition(f".SH [{name}]\n")[2].partition("\n.SH ")[0]
        assert all(f".TP\n\\fB{field.name}\\fR\n" in section for field in dataclasses.fields(kind)), name


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is missing: install the package mandoc")
def test_mandoc_finds_no_error(share: Path) -> None:
    pages = sorted(share.glob("man/man*/*"))
    done = subprocess.run(
        ["mandoc", "-Tlint", "-W", "error", *pages], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_bash_completes_the_name_of_a_command(share: Path, tmp_path: Path) -> None:
    saf = tmp_path / "saf"  # completion takes its name from that of the file
    saf.write_text(f"#!{sys.executable}\nfrom slurm_ai_factory.cli import main\n\nmain()\n")
    saf.chmod(0o755)
    script = share / "bash-completion" / "completions" / "saf"
    typed = f"""source {script}
        COMP_WORDS=(saf ledger mi) COMP_CWORD=2
        _saf_completion {saf}
        echo ${{COMPREPLY[@]}}"""
    done = subprocess.run(
        ["bash", "-c", typed], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout == "migrate\n"
