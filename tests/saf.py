"""The product as its users run it: `saf` as a process of its own, with a saf.toml made for one test.

Rule: what is asserted is what a user would see.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import loaded, schemas

SECTIONS: dict[str, dict[str, object]] = {
    "cluster": {"name": "loop"},
    "promise": {"window": "rolling:30d", "resource": "cpu", "time_zone": "Europe/Amsterdam"},
    "registry": {
        "region": "groningen-noord-drenthe",
        "hubs": ["groningen", "south", "amsterdam", "european"],
    },
    "slurm": {"timeout": "20s"},
    "ledger": {},
    "control": {"mode": "observe", "account": "regional"},
    "daemon": {"period": "1s", "listen": "127.0.0.1:0"},
    "grid": {},
    "water": {},
}
RULES = """
[[rule]]
name = "region"
beneficiary = "regional"
account_subtree = "regional"

[[rule]]
name = "others"
beneficiary = "non_regional"
account_subtree = "national"
"""


def _toml(value: object) -> str:
    """A value as TOML writes it; tables inline."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(of)}' for key, of in value.items())} }}"
    return json.dumps(value)


class Saf:
    """One configuration and the command line that uses it."""

    def __init__(self, directory: Path, env: Mapping[str, str], ledger_url: str | None) -> None:
        self.directory = directory
        self.file = directory / "saf.toml"
        self.env = {**env, "SAF_CONFIG": str(self.file)}
        self.sections = {name: dict(values) for name, values in SECTIONS.items()}
        self.rules = RULES
        if ledger_url:
            self.sections["ledger"]["url"] = ledger_url
        self.configure()

    def configure(self, section: str = "cluster", rules: str = "", **values: object) -> None:
        """Set keys of a section, and the rules where some are given, and write the file."""
        self.rules = rules or self.rules
        self.sections[section].update(values)
        lines: list[str] = []
        for name, keys in self.sections.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items()), ""]
        self.file.write_text("\n".join(lines) + self.rules)

    def argv(self, *arguments: str) -> list[str]:
        return [*loaded.COMMAND, *arguments]

    def run(self, *arguments: str, code: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """The finished command; its exit code is asserted."""
        done = loaded.run(arguments, env=self.env, cwd=self.directory, timeout=timeout)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What the command printed as JSON, checked against its schema; rows without what is around them."""
        return schemas.content(arguments, json.loads(self.run(*arguments, "--json", code=code).stdout))

    def start(self, log: Path, under: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """The daemon, in the background; ``under`` is a command that starts it."""
        argv = [*under, *self.argv("run")]
        with log.open("wb") as stderr:
            return subprocess.Popen(argv, env=self.env, stderr=stderr, cwd=self.directory)
