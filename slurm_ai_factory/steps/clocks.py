"""Asks slurmctld for its time, and whether this machine and the ledger agree with it.

Tested in tests/end_to_end/test_trust.py.
"""

from __future__ import annotations

from slurm_ai_factory.core.live import clock
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.steps.site import Site

SLOWEST = 10
"""So many deadlines of one command are the longest that asking for the time can take, on any test's clock."""


def checked_diagnostics(site: Site) -> Diagnostics:
    """What slurmctld says of itself, at a time that this machine agrees with. Raises ClockError."""
    before = site.clock()
    diagnostics = site.slurm.diagnostics()
    slurm = site.config.slurm
    clock.check_clock(
        before, diagnostics.at, site.clock(), tolerance=slurm.clock_tolerance, longest=SLOWEST * slurm.timeout
    )
    return diagnostics


def cluster_now(site: Site) -> Instant:
    """slurmctld's time, which this machine and the ledger's newest read agree with. Raises ClockError."""
    now = checked_diagnostics(site).at
    newest = site.ledger.accounting.watermark()
    clock.check_newest_read(newest, now, tolerance=site.config.slurm.clock_tolerance)
    return now
