"""What a real Slurm needs of this machine, so that tests can say why they are skipped.

Rule: the answer names the missing thing and the Debian package that brings it.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from tests.cluster import versions

# Users that every Debian has; jobs run as them, and none is ever created here.
USERS = (
    "games", "news", "mail", "proxy", "backup", "list", "irc", "man", "uucp", "lp",
    "www-data", "daemon", "bin", "sys", "sync", "nobody",
)  # fmt: skip

COMMANDS = {
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "slurmdbd": "slurmdbd",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
}
PLUGINS = {
    "auth_munge.so": "slurm-wlm-basic-plugins",
    "accounting_storage_mysql.so": "slurm-wlm-mysql-plugin",
}
PLACES = ("lib*/slurm*/", "lib*/*/slurm*/")
PATH = os.pathsep.join(dict.fromkeys([*os.get_exec_path(), "/usr/sbin", "/sbin"]))


def unavailable(speed: int = 1, version: str | None = None) -> str | None:
    """Why a real Slurm, this machine's own or of another version, cannot run here, or None if it can."""
    if os.geteuid() != 0:
        return "a real Slurm on loopback needs root: its jobs run as several users"
    needed = COMMANDS | ({"faketime": "faketime"} if speed > 1 else {})
    for command, package in needed.items():
        if shutil.which(command, path=PATH) is None:
            return f"{command} is missing: install the Debian package {package}"
    return _missing_plugin() or _missing_user() or versions.missing(versions.chosen(version))


def without_rest(version: str) -> str | None:
    """Why this version's slurmrestd cannot run here, beside a Slurm that can; None when it can."""
    usr = versions.usr(version)
    plugins = any(path for pattern in PLACES for path in usr.glob(f"{pattern}auth_jwt.so"))
    if plugins and (usr / "sbin" / "slurmrestd").exists():
        return None
    return f"Slurm {version} in {usr} lacks slurmrestd or auth_jwt.so: make slurm slurm-roots installs them"


def _missing_plugin() -> str | None:
    for plugin, package in PLUGINS.items():
        if not any(path for pattern in PLACES for path in Path("/usr").glob(pattern + plugin)):
            return f"{plugin} is missing: install the Debian package {package}"
    return None


def _missing_user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    missing = [user for user in USERS if user not in known]
    return f"there is no user {missing[0]}, which every Debian has" if missing else None
