"""python -m tests.install.packages FOLDER: the Debian packages there, on Debian 12 and 13 without a network.

FOLDER has now/*.deb, and before/*.deb of an older version; packages.sh is what happens on each host. There
`saf` reads a real Slurm. make starts all of this in a network namespace that has loopback and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cluster import versions
from tests.install.__main__ import installs, summary

HOSTS = {"packages-12": versions.OWN, "packages-13": "24.11"}
SCRIPT = Path(__file__).with_suffix(".sh")

if __name__ == "__main__":
    text, folder = SCRIPT.read_text(encoding="utf-8"), Path(sys.argv[1])
    sys.exit(summary([installs(name, version, text, folder) for name, version in HOSTS.items()]))
