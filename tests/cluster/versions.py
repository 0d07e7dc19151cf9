"""Which Slurm a cluster runs: this machine's own, or one of the versions that are kept outside the tree.

SAF_SLURM_ROOTS (else /var/cache/saf-slurm) has a directory for each version. roots.sh makes a Debian there,
whose programs see its /usr in the place of the machine's and all else as it is, in a mount namespace of their
own. A Slurm that was built with such a directory as its prefix is run as it is.

Rule: no mount is made outside a namespace that only the programs in it hold, so none can be left behind.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

OWN = "22.05"
"""What Debian 12 has, which is where the tests run."""

VERSIONS = (OWN, "24.11", "26.05")
BUILT = "25.11"
"""No Debian release has it. It is used where somebody built it; pyslurm needs it."""

COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sdiag", "sinfo", "sprio", "squeue",
            "sreport", "srun", "sshare", "sstat")  # fmt: skip
DAEMONS = ("slurmctld", "slurmdbd", "slurmd", "slurmrestd")
_ENTER = 'mount --bind "$0" /usr && exec "$@"'


def roots() -> Path:
    return Path(os.environ.get("SAF_SLURM_ROOTS", "/var/cache/saf-slurm"))


def chosen(version: str | None = None) -> str | None:
    """The version asked for, else that of SAF_SLURM_VERSION; None for this machine's own."""
    found = version or os.environ.get("SAF_SLURM_VERSION")
    return None if found == OWN else found


def usr(version: str) -> Path:
    """The directory in which this version's programs and plugins are."""
    root = roots() / version
    return Path("/usr") if chosen(version) is None else root if _is_prefix(root) else root / "usr"


def missing(version: str | None) -> str | None:
    """Why this version cannot be run, or None when it can."""
    if version is None or _programs(roots() / version):
        return None
    how = "" if version == BUILT else f": sh tests/cluster/roots.sh {version} makes it"
    return f"there is no Slurm {version} in {roots()}{how}"


def pyslurm() -> str | None:
    """The Python that has a pyslurm for BUILT: SAF_PYSLURM's, else one beside the versions, else this one."""
    places = (os.environ.get("SAF_PYSLURM"), roots() / "pyslurm-venv" / "bin" / "python", sys.executable)
    return next((str(one) for one in places if one and _has_pyslurm(Path(one))), None)


def _has_pyslurm(python: Path) -> bool:
    code = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('pyslurm'))"
    return (
        python.exists() and not subprocess.run([python, "-I", "-c", code], check=False, timeout=60).returncode
    )


def install(version: str, directory: Path) -> None:
    """Put what runs this version's programs into the directory, which is to be the first on PATH."""
    root = roots() / version
    directory.mkdir()
    for name, program in _programs(root).items():
        place = directory / name
        if _is_prefix(root):
            place.symlink_to(program)
        else:
            place.write_text(_wrapper(root, program))
            place.chmod(0o755)


def _is_prefix(root: Path) -> bool:
    return (root / "sbin" / "slurmctld").exists() and not (root / "usr").exists()


def _programs(root: Path) -> dict[str, Path]:
    """Where each program is; none unless all of them are there."""
    base = root if _is_prefix(root) else root / "usr"
    found = {name: base / "bin" / name for name in COMMANDS}
    found |= {name: base / "sbin" / name for name in DAEMONS}
    there = {name: path for name, path in found.items() if os.path.lexists(path)}
    return there if found.keys() - there.keys() <= {"slurmrestd"} else {}


def _wrapper(root: Path, program: Path) -> str:
    """In its namespace the program is where it would be on a machine of its own."""
    inside = Path("/") / program.relative_to(root)
    enter = [
        "unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(root / "usr"), str(inside),
    ]  # fmt: skip
    return f'#!/bin/sh\nexec {shlex.join(enter)} "$@"\n'
