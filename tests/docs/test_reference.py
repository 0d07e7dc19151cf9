"""The documentation says what the code does: generated pages, links, commands, options, keys, examples.

Rule: nothing here needs Slurm or a ledger, and all of it together takes a second or two.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from docs import generate
from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import cli
from slurm_ai_factory.core.control.reasons import HOLDS
from tests.docs import markdown
from tests.docs.markdown import FILES, PAGES, ROOT

files = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))


def test_the_generated_pages_are_current() -> None:
    assert generate.stale() == [], "run: python -m docs.generate"


@files
def test_links_resolve(file: Path) -> None:
    for target in markdown.links(markdown.read(file)):
        path, _, anchor = target.partition("#")
        found = (file.parent / path).resolve() if path else file
        assert found.exists(), f"{file.name}: {target}"
        if anchor:
            assert anchor in markdown.anchors(markdown.read(found)), f"{file.name}: {target}"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_page_can_be_reached(file: Path) -> None:
    assert file in linked() or file == ROOT / "README.md"


@cache
def linked() -> set[Path]:
    """What any file links to."""
    return {
        (each.parent / target.partition("#")[0]).resolve()
        for each in FILES
        for target in markdown.links(markdown.read(each))
    }


@files
def test_commands_and_options_exist(file: Path) -> None:
    text = markdown.read(file)
    for line in commands(text):
        check_command(line)
    for span in markdown.spans(text):
        if re.fullmatch(r"--[a-z-]+", span):
            assert span in every_option(cli.with_all()), f"{file.name}: {span}"


def commands(text: str) -> Iterator[str]:
    """What is given to a shell: whole spans, and lines of shell blocks and transcripts, from `saf` on."""
    lines = [span for span in markdown.spans(text) if span != "saf"]
    for block in markdown.blocks(text):
        prompt = "" if block.language == "sh" else r"\$ "
        lines += re.findall(rf"^{prompt}(.+)$", block.text, re.MULTILINE)
    for line in lines:
        for part in re.split(r"\||&&|;|>", re.sub(r"(^|\s)#\s.*", "", line)):
            if found := re.match(r"\s*(?:sudo (?:-u \S+ )?|runuser -u \S+ -- )?(?:\S+/)?saf (.+)$", part):
                yield found[1]


def check_command(line: str) -> None:
    """Walk the words as click would: options, their values, commands."""
    command: click.Command = cli.with_all()
    known = options(cli)
    words = iter(shlex.split(line))
    for word in words:
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            assert name in known, f"saf {line}: {command.name} has no option {name}"
            if not known[name].is_flag and not equals:
                next(words, None)
        elif isinstance(command, click.Group):
            assert word in command.commands, f"saf {line}: no command {word}"
            command = command.commands[word]
            known |= options(command)


def options(command: click.Command) -> dict[str, click.Option]:
    found = [one for one in command.params if isinstance(one, click.Option)]
    given = {name: one for one in found for name in (*one.opts, *one.secondary_opts)}
    return given | {"--help": click.Option(["--help"], is_flag=True)}


def every_option(command: click.Command) -> set[str]:
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return set(options(command)).union(*map(every_option, inner))


@pytest.mark.parametrize("line", ["frobnicate", "share --bye account", "ledger vacuum"])
def test_a_wrong_command_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match=r"no (command|option)"):
        check_command(line)


@files
def test_configuration_keys_exist(file: Path) -> None:
    known = {
        f"{name}.{one.name}"
        for name, kind in configuration.SECTIONS.items()
        for one in dataclasses.fields(kind)
    }
    for span in markdown.spans(markdown.read(file)):
        if re.fullmatch(rf"({'|'.join(configuration.SECTIONS)})\.[a-z_]+", span):
            assert span in known, f"{file.name}: {span}"


@files
def test_configuration_examples_are_read(file: Path) -> None:
    """As parts of a configuration that names its region."""
    cluster = '[cluster]\nname = "c"\n'
    whole = configuration.parse_config(f'{cluster}[registry]\nregion = ["GM0014"]\n', "whole")
    for number, block in enumerate(markdown.blocks(markdown.read(file)), 1):
        if block.language == "toml":
            name = f"{file.name}, block {number}"
            if "[[cluster]]" in block.text:
                assert len(configuration.sound(configuration.parse_clusters(block.text, name))) > 1
                continue
            text = block.text if "[cluster]" in block.text else cluster + block.text
            configuration.parse_config(text, name, whole)


def test_each_row_of_a_table_has_the_cells_of_its_header() -> None:
    """A cell too many is not shown."""
    bar = re.compile(r"(?<!\\)\|")
    for file in PAGES:
        for table in re.findall(r"(?:^\|.*\n)+", markdown.prose(markdown.read(file)), re.MULTILINE):
            header, *rows = table.splitlines()
            wide = [row for row in rows if len(bar.findall(row)) != len(bar.findall(header))]
            assert not wide, f"{file.name}: {wide}"


def test_the_example_configuration_is_read() -> None:
    example = ROOT / "deploy" / "examples" / "saf.toml"
    assert configuration.load_file(example).control.mode == "observe"


@pytest.mark.parametrize(
    "name", ["saf.service", "saf-pseudonymise.service", "saf-release.service", "saf-status@.service"]
)
def test_a_unit_starts_a_command_that_exists(name: str) -> None:
    unit = (ROOT / "deploy" / "systemd" / name).read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=/usr/bin/saf (.+)$", unit, re.MULTILINE)
    check_command(line)


def test_every_hold_has_a_remedy() -> None:
    text = markdown.read(ROOT / "docs" / "howto" / "troubleshooting.md")
    assert HOLDS - set(markdown.spans(text)) == set()
