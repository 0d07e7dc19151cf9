"""The wheels inside a package: python -m deploy.wheels install FOLDER, or lock to choose them anew.

The rule: only what wheels.txt names is installed, byte for byte, for each Python that the package works with.
`lock` asks PyPI for the newest wheels that pyproject.toml allows, and writes that file. Used by bundle.sh.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
LOCKED = HERE / "wheels.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
"""The oldest system in sight, EL9, has glibc 2.34."""
EXTRAS = ("embedded", "sign")


def locked() -> dict[str, str]:
    """The distributions of wheels.txt and their versions."""
    lines = LOCKED.read_text(encoding="utf-8").splitlines()
    return dict(line.split()[0].split("==") for line in lines if "==" in line)


def install(home: Path) -> None:
    """The locked wheels, for each Python in its folder of site-packages below `home`."""
    for python in PYTHONS:
        target = home / "lib" / f"python{python}" / "site-packages"
        _pip(python, "--no-compile", "--no-deps", f"--target={target}", "--require-hashes", "-r", str(LOCKED))


def lock() -> None:
    """Write wheels.txt anew."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [
        one for extra in EXTRAS for one in project["optional-dependencies"][extra]
    ]
    hashes: dict[str, set[str]] = {}
    for python in PYTHONS:
        dry = ("--dry-run", "--ignore-installed", "--report=-", "--target=unused")
        for found in json.loads(_pip(python, *dry, *wanted))["install"]:
            name = f"{found['metadata']['name'].lower().replace('_', '-')}=={found['metadata']['version']}"
            digest = found["download_info"]["archive_info"]["hash"].replace("=", ":")
            hashes.setdefault(name, set()).add(f" \\\n    --hash={digest}")
    lines = ["# Written by python -m deploy.wheels lock: the wheels in the .deb and the .rpm."]
    lines += [name + "".join(sorted(found)) for name, found in sorted(hashes.items())]
    LOCKED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pip(python: str, *arguments: str) -> str:
    platforms = [f"--platform={name}_x86_64" for name in PLATFORMS]
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    argv += ["--only-binary=:all:", f"--python-version={python}", *platforms, *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=1200).stdout


if __name__ == "__main__":
    if sys.argv[1] == "lock":
        lock()
    else:
        install(Path(sys.argv[2]))
