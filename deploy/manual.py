"""Writes the manual pages and the completions of the shells below /usr/share: python -m deploy.manual FOLDER.

The rule: a page has what the help of its command or the keys of the configuration say, and no more. Pages are
made where a package is built, and are not kept. Tested in tests/deploy/test_manual.py.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from docs.generate import VALUES
from slurm_ai_factory import __version__
from slurm_ai_factory.cli import cli
from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.config import SECTIONS
from slurm_ai_factory.config.load import SEARCH_PATH

COMMON = {option.name for option in SafCommand(name="").params} | {"help"}
"""Options of every command: saf(1) lists them, and no other page does."""

COMPLETIONS: dict[str, type[ShellComplete]] = {
    "bash-completion/completions/saf": BashComplete,
    "zsh/vendor-completions/_saf": ZshComplete,
    "fish/vendor_completions.d/saf.fish": FishComplete,
}
"""Where each shell looks, below /usr/share, and what writes its script."""


def roff(text: str) -> str:
    """The text, with nothing in it that roff would take for a request or an escape.

    >>> print(roff(".25 of a\\\\b, with --json"))
    \\&.25 of a\\eb, with \\-\\-json
    """
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in plain.splitlines())


def _title(name: str, section: int, summary: str) -> Iterator[str]:
    yield f'.TH "{roff(name.upper())}" {section} "" "slurm_ai_factory {__version__}"'
    yield from (".SH NAME", f"{roff(name)} \\- {roff(summary)}")


def _entry(term: str, text: str) -> Iterator[str]:
    yield from (".TP", f"\\fB{roff(term)}\\fR", roff(text) or "\\&")


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help; one that begins with click's mark is left as it is typed."""
    for paragraph in text.split("\n\n"):
        typed = paragraph.startswith("\b")
        shown = roff(paragraph.removeprefix("\b").strip("\n") if typed else " ".join(paragraph.split()))
        yield from (".PP", ".nf", shown, ".fi") if typed else (".PP", shown)


def commands() -> Iterator[tuple[str, str]]:
    """The page of each command: its name, as `saf-ledger-migrate`, and its text."""
    saf = cli.with_all()
    yield from _pages(saf, click.Context(saf, info_name="saf", auto_envvar_prefix="SAF"))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    path = context.command_path.replace(" ", "-")
    yield path, "\n".join(_page(path, command, context)) + "\n"
    if isinstance(command, click.Group):
        for name, each in sorted(command.commands.items()):
            yield from _pages(each, click.Context(each, parent=context, info_name=name))


def _page(path: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield from _title(path, 1, command.get_short_help_str(limit=400).rstrip("."))
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f"\\fB{roff(context.command_path)}\\fR {roff(usage)}")
    yield from (".SH DESCRIPTION", *list(_paragraphs(command.help or ""))[1:])
    common = () if context.parent is None else COMMON
    options = [one.get_help_record(context) for one in command.get_params(context) if one.name not in common]
    yield from _section("OPTIONS", [record for record in options if record])
    if isinstance(command, click.Group):
        described = ((name, each.get_short_help_str(limit=400)) for name, each in command.commands.items())
        yield from _section("COMMANDS", [(f"{path}-{name}(1)", text) for name, text in sorted(described)])
    yield from (".SH EXIT STATUS", "0 success, 1 error, 2 usage, and those that the description names.")
    yield from (".SH SEE ALSO", *((".BR saf (1),",) if context.parent else ()), ".BR saf.toml (5)")


def _section(title: str, entries: list[tuple[str, str]]) -> Iterator[str]:
    if entries:
        yield f".SH {title}"
    for term, text in entries:
        yield from _entry(term, text)


def configuration() -> str:
    """The page saf.toml(5): every section and key."""
    lines = list(_title("saf.toml", 5, "the configuration of saf"))
    lines += [
        ".SH DESCRIPTION",
        f"saf reads the first of these that exists: {', '.join(map(str, SEARCH_PATH))}.",
    ]
    lines += ["Unknown sections and keys are errors. Check a file with", "\\fBsaf config check\\fR."]
    for name, kind in SECTIONS.items():
        lines += [f".SH [{name}]", roff(" ".join(str(kind.__doc__).split()))]
        for field in dataclasses.fields(kind):
            lines += _entry(field.name, _meaning(field))
    return "\n".join([*lines, ".SH SEE ALSO", ".BR saf (1)", ""])


def _meaning(field: dataclasses.Field[object]) -> str:
    required = field.default is field.default_factory is dataclasses.MISSING
    default = field.metadata["default"]
    usual = "Required." if required else "" if default is None else f"Default: {json.dumps(default)}."
    value = VALUES[field.metadata["convert"].__name__].replace("`", "")
    return f"{value}: {field.metadata['doc'].replace('`', '')}. {usual}".rstrip()


def main(share: Path) -> None:
    """Write all of it below `share`."""
    saf = cli.with_all()
    files = {f"man/man1/{name}.1": text for name, text in commands()}
    files["man/man5/saf.toml.5"] = configuration()
    files |= {path: shell(saf, {}, "saf", "_SAF_COMPLETE").source() for path, shell in COMPLETIONS.items()}
    for path, text in files.items():
        (share / path).parent.mkdir(parents=True, exist_ok=True)
        (share / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
