"""The systemd units: what systemd itself says of them, and that all services are held in the same way."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("saf.service", "saf-pseudonymise.service", "saf-release.service", "saf-status@.service")
MOST_EXPOSURE = 2.0
SANDBOX = re.compile(
    r"^((?:Protect|Private|Restrict|SystemCall|Capability|Ambient|Lock|MemoryDeny|NoNew|UMask|State"
    r"|Limit|Tasks|Memory)\w*=.*)$",
    re.MULTILINE,
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: install the package systemd"
)


def analyze(*arguments: str) -> str:
    """What systemd-analyze says; it has to be content."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_little(name: str) -> None:
    found = re.search(
        r"Overall exposure level for \S+ ([\d.]+)", analyze("security", "--offline=true", str(UNITS / name))
    )
    assert found
    assert float(found[1]) <= MOST_EXPOSURE


@needs_systemd
@pytest.mark.parametrize(
    "name", [*SERVICES, "saf-pseudonymise.timer", "saf-release.timer", "saf-status.socket"]
)
def test_systemd_knows_every_key(name: str, tmp_path: Path) -> None:
    for unit in UNITS.glob("saf*"):
        text = unit.read_text().replace("/usr/bin/saf", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    analyze("verify", "--man=no", str(tmp_path / name))


def test_all_services_are_held_in_the_same_way() -> None:
    daemon, *others = (SANDBOX.findall((UNITS / name).read_text()) for name in SERVICES)
    assert all(other == daemon for other in others)
    assert len(daemon) > 20


def test_a_daemon_that_cannot_start_is_not_started_for_ever() -> None:
    text = (UNITS / "saf.service").read_text()
    keys = dict(re.findall(r"^(\w+)=(\d+)", text, re.MULTILINE))
    attempts = int(keys["StartLimitBurst"])
    assert attempts * int(keys["RestartSec"]) < int(keys["StartLimitIntervalSec"]) * 60
