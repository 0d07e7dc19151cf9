"""What the year of tests/facility.py does not have: runs, events, terms and entries of odd kinds in January.

Rule: it goes through the ledger's own methods into a copy of the year, after its last report was given out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.programme import expertise
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.records import HOUR, Outage, Run, Subject
from slurm_ai_factory.core.rules.organisations import Organisation
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests import facility
from tests.facility import CLUSTER, SINCE, WEEK, at

LAST = SINCE + 53 * WEEK
"""Up to where the year was read."""
FIRST, SECOND = at("2028-01-10") + HOUR + 617, at("2028-01-12") + 1003
"""Two more reads, which end in the middle of an hour."""
LATER = FIRST + 1800
"""When all but the second read was known."""


def build(url: str, config: Config) -> None:
    """Write it into the ledger at ``url``."""
    with open_ledger(url, CLUSTER) as ledger:
        ledger.intake.record(_first(), LAST, FIRST, at=FIRST)
        said = {"beneficiary": "regional", "organisation": "kliniekdata", "actor": "a", "reason": "r"}
        ledger.intake.override("1", said, at=FIRST + 60)
        _events(ledger)
        _terms(ledger)
        _moved(ledger, config)
        _proposed(ledger)
        _hours(ledger)
        told = {run.job_id: run for run in _first()}
        woken = told[2]._replace(state="RUNNING", suspended_seconds=200_000)
        ended = told[3]._replace(state="FAILED", end_at=FIRST + 3, elapsed_seconds=100_000)
        ledger.intake.record([woken, ended, told[4], told[8], told[9]], FIRST, SECOND, at=SECOND)


def _run(number: int, account: str, state: str, **told: Any) -> Run:
    """A run of 8 GPUs whose job has this number; what is not told is absent."""
    tres = "billing=128,cpu=128,gres/gpu=8,mem=1024000,node=2"
    subject = Subject(CLUSTER, account, "u", "gpu", "normal", "", "")
    absent = dict.fromkeys(("submit_at", "eligible_at", "start_at", "end_at"))
    had = tres if told.get("start_at") else ""
    never = {"elapsed_seconds": 0, "suspended_seconds": 0, "job_label": str(number)}
    run: dict[str, Any] = {**absent, **never, **told}
    return Run(
        db_index=10**12 + number, job_id=number, subject=subject, state=state,
        req_tres=tres, alloc_tres=had, **run,
    )  # fmt: skip


def _first() -> list[Run]:
    eve, third, sixth, ninth = (at(day) for day in ("2027-12-31", "2028-01-03", "2028-01-06", "2028-01-09"))
    cut = {"eligible_at": eve, "start_at": eve + 4001, "end_at": third + 11, "elapsed_seconds": 200_003}
    asleep = {"eligible_at": eve, "start_at": third, "elapsed_seconds": 3601, "suspended_seconds": 90_000}
    return [
        _run(1, "windwaard", "COMPLETED", **cut),
        _run(2, "zorgmaat", "SUSPENDED", **asleep),
        _run(3, "waterstof_samen", "RUNNING", eligible_at=third, start_at=sixth + 7, suspended_seconds=555),
        _run(4, "huisartsnet", "PENDING", eligible_at=sixth, job_label="4_[1-9%3]"),
        _run(5, "netbalans", "RUNNING", eligible_at=third, start_at=sixth),
        _run(6, "taalwerk", "COMPLETED", eligible_at=third, start_at=ninth, end_at=FIRST + 700,
             elapsed_seconds=FIRST + 700 - ninth),
        _run(7, "veenlab", "CANCELLED", eligible_at=sixth, end_at=ninth),
        _run(8, "veenlab", "PENDING", submit_at=sixth),
        _run(9, "veenlab", "PENDING", submit_at=sixth, eligible_at=at("2028-02-01")),
        _run(10, "pakketlijn", "COMPLETED", eligible_at=eve, start_at=eve, end_at=sixth + 5,
             elapsed_seconds=sixth + 5 - eve),
        _run(11, "maakwerk", "CANCELLED", eligible_at=sixth, end_at=ninth, job_label="11_[1-4]"),
    ]  # fmt: skip


def _events(ledger: Ledger) -> None:
    node = "billing=64,cpu=64,gres/gpu=4,mem=512000,node=1"
    second, fourth, fifth = (at(day) for day in ("2028-01-02", "2028-01-04", "2028-01-05"))
    outages = [
        Outage("n01", second, fifth, "DRAIN", node),
        Outage("n01", fourth + 5, None, "DOWN", node),
        Outage("n02", second + 7, fifth, "IDLE+POWERED_DOWN", node),
        Outage("n03", second, fifth, "MIXED+DRAIN", node),
    ]
    ledger.intake.record_events([], outages, FIRST)


def _terms(ledger: Ledger) -> None:
    """Recorded too late: no minimum up to October, then a higher share, a larger region from January."""
    (first,) = ledger.promise_terms.rows()
    said: dict[str, Any] = {"reason": "r", "actor": "a", "recorded_at": FIRST + 100}
    more = replace(first, since=at("2027-10-01"), share=0.3, unclassified_limit=0.001, **said)
    region = tuple(sorted({*first.region, "GM0772"}))
    all_told = replace(first, since=at("2027-01-01"), min_organisations=1, **said)
    for one in (all_told, more, replace(more, since=at("2028-01-01"), region=region)):
        assert not ledger.promise_terms.record(one)


def _moved(ledger: Ledger, config: Config) -> None:
    """An organisation moves out of the region in the middle of a run."""
    (before,) = (one for one, _ in facility.organisations() if one.organisation == "pakketlijn")
    moved = replace(before, since=at("2028-01-03"), municipality="GM0363", hub="amsterdam", sector="C")
    entries: list[Organisation] = [replace(before, until=moved.since), moved]
    said = {"at": FIRST + 200, "actor": "a", "reason": "r"}
    codes = config.codes(ledger.accounting.parents())
    done = ledger.registry.record(entries, codes, said, correct=True)
    assert not done.problems, done.problems


def _proposed(ledger: Ledger) -> None:
    """Three proposals: one is approved, one rejected, and one approved only when the second read was made."""
    said = {"actor": "a", "reason": "r"}
    first, other, late = (
        ledger.proposals.propose(ProposalKind.REGISTRY, {"entries": []}, {"at": FIRST + 300, **said})
        for _ in range(3)
    )
    by = {"actor": "b", "reason": "r"}
    ledger.proposals.approve(first, lambda: None, at=FIRST + 400, **by)
    ledger.proposals.reject(other, at=FIRST + 400, **by)
    ledger.proposals.approve(late, lambda: None, at=SECOND, **by)


def _hours(ledger: Ledger) -> None:
    """Hours of December that are entered when December was reported, of one organisation."""
    said: dict[str, Any] = {"organisation": "veenlab", "role": "jurist", "activity": "advies"}
    said |= {"day": date(2027, 12, 20), "hours": Decimal("2.5")}
    entries = [expertise.NewEntry(kind=kind, **said) for kind in expertise.HoursKind]
    ledger.expertise.add(entries, at=FIRST + 500, actor="a")
