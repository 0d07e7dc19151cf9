"""One program in the place of all of Slurm's commands, which answers from facts.

Rule: it knows nothing of what the product asks for. It prints the columns, with the delimiter and in the
format that it is asked for, raw as Slurm does; what no fact tells is empty. The facts are in facts.json
beside it, by the object that is asked about: rows are dicts of text by the names of Slurm's fields.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping
from os import environ
from pathlib import Path
from typing import Any

Row = Mapping[str, str]
COMMANDS = ("sacct", "sacctmgr", "scontrol", "sdiag", "sprio", "squeue", "sreport", "sshare")
CONDITIONS = {"id": "ID", "name": "Name", "account": "Account", "user": "User", "-j": "JobIDRaw"}
"""Conditions of sacctmgr and sacct, with the field each is about; times are no condition here."""


def told(rows: Iterable[Row], fields: str, delimiter: str = "|") -> str:
    """The rows with these fields, whose names may be in any case."""
    cells = [{name.lower(): text for name, text in row.items()} for row in rows]
    wanted = fields.lower().split(",")
    return "".join(delimiter.join(row.get(name, "") for name in wanted) + "\n" for row in cells)


def chosen(rows: Iterable[Row], conditions: Mapping[str, str]) -> list[Row]:
    """The rows that meet the conditions; a row without the field meets any."""
    found = list(rows)
    for key, field in CONDITIONS.items():
        if key in conditions:
            some = conditions[key].split(",")
            found = [row for row in found if row.get(field, some[0]) in some]
    return found


def after(arguments: list[str], option: str, default: str = "") -> str:
    return arguments[arguments.index(option) + 1] if option in arguments else default


def assigned(arguments: list[str]) -> dict[str, str]:
    return dict(one.split("=", 1) for one in arguments if "=" in one)


def sacct(facts: Any, arguments: list[str]) -> str:
    some = {"-j": after(arguments, "-j")} if "-j" in arguments else {}
    delimiter = assigned(arguments).get("--delimiter", "|")
    return told(chosen(facts["runs"], some), after(arguments, "-o"), delimiter)


def sacctmgr(facts: Any, arguments: list[str]) -> str:
    what = arguments[arguments.index("list" if "list" in arguments else "show") + 1]
    if what == "configuration":
        return f"SlurmDBD configuration:\n{pairs(facts['slurmdbd'])}"
    conditions = assigned(arguments)
    return told(chosen(facts[what], conditions), conditions["format"])


def pairs(values: Row) -> str:
    return "".join(f"{name:<23} = {text}\n" for name, text in values.items())


def scontrol(facts: Any, arguments: list[str]) -> str:
    found = facts[arguments[-1]]
    if isinstance(found, dict):
        return pairs(found)
    return "".join(" ".join(f"{name}={text}" for name, text in row.items()) + "\n" for row in found)


def sdiag(facts: Any, _arguments: list[str]) -> str:
    text = f"sdiag output at {time.asctime()} ({int(time.time())})\n"
    for section, values in facts["sdiag"].items():
        text += f"{section}\n" if section else ""
        indent = "\t" if section else ""
        text += "".join(f"{indent}{name}: {value}\n" for name, value in values.items())
    return text


def squeue(facts: Any, arguments: list[str]) -> str:
    asked = after(arguments, "-O", environ.get("SQUEUE_FORMAT2", ""))
    columns = [re.fullmatch(r"([\w-]+)(?::\.?(\d*)(.*))?", one, re.DOTALL) for one in asked.split(",")]
    return "".join("".join(_column(row, one) for one in columns if one) + "\n" for row in facts["queue"])


def _column(row: Row, column: re.Match[str]) -> str:
    """A field in its width, which is 20 where none is said; a colon without a number is as wide as it is."""
    name, size, suffix = column.groups()
    width = 20 if size is None else int(size or 0)
    text = told([row], name)[:-1]
    return (text[:width].ljust(width) if width else text) + (suffix or "")


def sprio(facts: Any, arguments: list[str]) -> str:
    """The format is taken apart at its bars: what is no field is printed as it is."""
    columns = after(arguments, "-o").split("|")
    return "".join("|".join(row.get(one, one) for one in columns) + "\n" for row in facts["prio"])


def sreport(facts: Any, arguments: list[str]) -> str:
    return told(facts["utilization"], assigned(arguments).get("format", "Cluster"))


def sshare(facts: Any, arguments: list[str]) -> str:
    if "-V" in arguments:
        return f"slurm {facts['config']['SLURM_VERSION']}\n"
    if any(one.startswith("--json") for one in arguments):
        sys.exit("sshare: fatal: Unable to find plugin: serializer/json")
    return told(facts["share"], after(arguments, "-o"))


def install(directory: Path, facts: Mapping[str, Any]) -> None:
    """Put every command into a directory, to answer from these facts."""
    (directory / "facts.json").write_text(json.dumps(facts))
    for name in COMMANDS:
        (directory / name).write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text()}")
        (directory / name).chmod(0o755)


def main() -> None:
    program = Path(sys.argv[0])
    facts = json.loads((program.parent / "facts.json").read_text())
    answer = globals()[program.name](facts, sys.argv[1:])
    sys.stdout.buffer.write(answer.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
