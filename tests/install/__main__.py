"""python -m tests.install [debian-12] [debian-13]: types the block of docs/howto/install.md on bare Debians.

Rule: each line is typed as it stands, on a terminal, and questions are answered there. Only `systemctl` is a
stub: systemd does not run in such a root, so the unit is verified and not started. Nothing stays mounted.
"""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import versions
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import plant
from tests.docs.markdown import ROOT

HOSTS = {"debian-12": versions.OWN, "debian-13": "24.11"}
"""A bare host, and the Slurm that its own commands can talk to."""

HEADING = "## From a checkout, with pip"
ANSWERS = {
    "hold the region?": "regional", "How many percent": "", "Measured in what?": "cpu",
    "Over which window?": "", "In which time zone?": "", "Which shipped list": "",
}  # fmt: skip
"""To the questions of `saf init`, by words of each."""

FINDINGS = {"saf doctor": (0, 5), "saf status": (0, 3, 4)}
"""Exit codes that are findings and no failure."""

PROOF = "/opt/slurm-ai-factory/bin/python -c 'import numba, numpy'"
"""What `saf simulate` needs is there."""

LENT = ("PIP_", "SSL_", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEADLINE = 1800.0
ROOT_SH = Path(__file__).parent / "root.sh"


def main() -> int:
    hosts = sys.argv[1:] or list(HOSTS)
    if missing := [name for name in hosts if not (versions.roots() / name / "usr").exists()]:
        print(
            f"make test-install: as root, first: sh tests/cluster/roots.sh {' '.join(missing)}",
            file=sys.stderr,
        )
        return 1
    return summary([installs(name, HOSTS[name], script()) for name in hosts])


def summary(passed: list[bool]) -> int:
    """Print how many passed; how many failed."""
    failed = passed.count(False)
    print(f"{len(passed) - failed} passed, {failed} failed")
    return failed


def block() -> list[str]:
    """The commands of the block, comments left out."""
    after = (ROOT / "docs" / "howto" / "install.md").read_text(encoding="utf-8").partition(HEADING)[2]
    lines = after.partition("```sh\n")[2].partition("```")[0].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def script() -> str:
    """What is typed: each line is shown before it is carried out, and the first that fails ends it."""
    return "\n".join(line for typed in [*block(), PROOF] for line in _typed(typed)) + "\n"


def _typed(line: str) -> Iterator[str]:
    codes = next((found for command, found in FINDINGS.items() if command in line), (0,))
    yield f"printf '%s\\n' {shlex.quote(f'# {line}')}"
    yield f"{{ {line.partition('   #')[0]}; }} && code=0 || code=$?"
    yield f'case $code in {"|".join(map(str, codes))}) ;; *) echo "exit $code"; exit 1 ;; esac'


def installs(name: str, version: str, script: str, packages: Path | None = None) -> bool:
    """Whether the script ends well on a copy of that host; the packages are beside its slurm.conf."""
    print(f"--- {name}, Slurm {version}", flush=True)
    with tempfile.TemporaryDirectory(prefix="saf-install-") as scratch:
        typed = Path(scratch) / "typed.sh"
        typed.write_text(script, encoding="utf-8")
        with SlurmCluster(Path(scratch) / "c", version=version) as cluster:
            plant(cluster)
            if packages:
                shutil.copytree(packages, cluster.directory / "packages")
            there = (versions.roots() / name, scratch, ROOT, cluster.directory, typed)
            argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                    "sh", str(ROOT_SH), *map(str, there)]  # fmt: skip
            return not _on_a_terminal(argv)


def _on_a_terminal(argv: list[str]) -> int:
    """Run it on a terminal, show what it shows, answer what it asks; its exit code."""
    lent = {key: value for key, value in os.environ.items() if key.upper().startswith(LENT)}
    env = {**lent, "PATH": PATH, "HOME": os.environ["HOME"], "LC_ALL": "C.UTF-8",
           "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive"}  # fmt: skip
    ours, theirs = pty.openpty()
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    try:
        _talk(ours)
        return process.wait(60)
    finally:
        process.kill()
        os.close(ours)


def _talk(terminal: int) -> None:
    """Until nobody holds the other end. Raises TimeoutError."""
    waiting, seen, until = dict(ANSWERS), "", time.monotonic() + DEADLINE
    while select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0]:
        try:
            part = os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # how Linux says that the other end is closed
            return
        sys.stdout.write(part)
        sys.stdout.flush()
        seen += part
        for question in [one for one in waiting if one in seen]:
            os.write(terminal, f"{waiting.pop(question)}\n".encode())
    raise TimeoutError(f"not done within {DEADLINE:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
