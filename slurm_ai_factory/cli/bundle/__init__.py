"""`saf bundle`: versions, settings, findings and log in one file, without names and secrets.

The file is for others to read, so the rule is that of core/masking.py: what is not known to be harmless is
masked. The key of the pseudonyms is random and kept nowhere. Tested in tests/cli/test_bundle.py.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.bundle.contents import bundled, parts_of_bundle, site_names, site_secrets
from slurm_ai_factory.cli.bundle.words import shown_words
from slurm_ai_factory.cli.new_file import new_file
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import now
from slurm_ai_factory.core.masking import HIDDEN, Mask
from slurm_ai_factory.core.words import count
from slurm_ai_factory.ledger.privacy import pseudonym

FOLDER = "saf-bundle"
KEY_BYTES = 32
PSEUDONYM = re.compile("~[0-9a-f]{16}")
READING = "how long each part took to read"


@click.command("bundle", cls=SafCommand)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-names", is_flag=True, help="Keep names and addresses; secrets stay hidden.")
@click.option(
    "--limit", default=200, show_default=True, metavar="N", type=click.IntRange(1, 100_000),
    help="The latest so many reads, decisions and changes.",
)  # fmt: skip
def bundle_command(file: Path, with_names: bool, limit: int) -> None:
    """Pack versions, settings, findings, cycles, table sizes and log into FILE, a tar.gz for support.

    Names of users, accounts and hosts, addresses, and every word that saf does not use itself become
    pseudonyms, which cannot be turned back. Secrets are hidden in any case. The command works without a
    ledger and without Slurm: FILE then says why a part is missing. FILE must be new, and only you may read
    it. Look at it before you send it.
    """
    parts = parts_of_bundle(limit)
    with new_file(file) as part:
        key, words = secrets.token_bytes(KEY_BYTES), shown_words()
        mask = Mask(partial(pseudonym, key), words, site_names(), site_secrets(), with_names)
        bundle = bundled(parts)
        files = dict(_files(mask, bundle.parts))
        holds = {name: kind.holds for name, kind in parts.items()} | {"reading": READING}
        listed = _listed(files, holds, with_names) | {"missing": sorted(bundle.missing)}
        _pack(part, files | {"contents.json": output.as_json(listed)})
    _say_contents(file, listed, bundle.missing)


def _files(mask: Mask, parts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each part as a file, masked. Names and versions of libraries are harmless, and stay."""
    for name, value in parts.items():
        if isinstance(value, str):
            yield f"{name}.txt", "".join(f"{mask.text(line)}\n" for line in value.splitlines())
        else:
            yield f"{name}.json", output.as_json(value if name == "versions" else mask.value(value)) + "\n"


def _listed(files: Mapping[str, str], holds: Mapping[str, str], with_names: bool) -> dict[str, Any]:
    """What is in the bundle, and how much was masked."""
    text = "".join(files.values())
    return {
        "files": [
            {"name": name, "bytes": len(content.encode()), "holds": holds[name.partition(".")[0]]}
            for name, content in files.items()
        ],
        "with_names": with_names,
        "pseudonyms": len(set(PSEUDONYM.findall(text))),
        "secrets": text.count(HIDDEN),
    }


def _pack(path: Path, files: Mapping[str, str]) -> None:
    """Write the archive, for its owner alone. The headers of tar and gzip hold no name of a user or file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, now()
            archive.addfile(entry, io.BytesIO(content))


def _say_contents(file: Path, listed: Mapping[str, Any], missing: Mapping[str, str]) -> None:
    """Print what is in the file, and a warning for each part that could not be read."""
    rows = [list(row.values()) for row in listed["files"]]
    output.table(("name", "bytes", "holds"), rows, {"file": str(file), **listed})
    for name, why in missing.items():
        output.say(f"warning: {name} could not be read: {why}", err=True)
    if not chosen.quiet:
        names = "names are in it" if listed["with_names"] else f"masked {count(listed['pseudonyms'], 'word')}"
        hidden = f"hid {count(listed['secrets'], 'secret')}"
        output.say(f"wrote {file}: {names}, {hidden}; look at it before you send it", err=True)
