"""The year of tests/facility.py in a ledger, and its four reports as they were given out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slurm_ai_factory import question
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.report import Report, gather
from tests import facility


@dataclass(frozen=True, slots=True)
class Year:
    """A ledger that has the year, and its reports by quarter."""

    url: str
    file: Path
    config: Config
    reports: dict[str, Report]

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger(self.url, facility.CLUSTER) as ledger:
            yield ledger

    @contextmanager
    def asked(
        self, window: str, config: Config | None = None, then: Instant | None = None
    ) -> Iterator[question.Question]:
        """A window's question, as of when its report was given out."""
        config, then = config or self.config, then or facility.AS_OF[window]
        with self.ledger() as ledger:
            where = windows.window(window, then, config.promise.time_zone)
            yield question.ask(config, ledger, where, then=then)

    def report(self, window: str, then: Instant) -> Report:
        """A report made now."""
        with self.ledger() as ledger:
            return made(self.config, ledger, window, then)


def made(config: Config, ledger: Ledger, window: str, then: Instant) -> Report:
    """The report of a window as of an instant."""
    where = windows.window(window, then, config.promise.time_zone)
    return gather.gather_report(question.ask(config, ledger, where, then=then))


def give_out(config: Config, ledger: Ledger, report: Report) -> bool:
    """Note that a report is given out."""
    asked = question.ask(config, ledger, report.measurement.window, then=report.known_at)
    published = gather.published(asked, report)
    return ledger.publishing.publish(published, at=report.known_at, actor="programmabureau")


def build(url: str, file: Path) -> Year:
    """Write the year, and give out its reports."""
    config = facility.build(url, file)
    reports = {}
    with open_ledger(url, facility.CLUSTER) as ledger:
        for window, then in facility.AS_OF.items():
            reports[window] = made(config, ledger, window, then)
            give_out(config, ledger, reports[window])
    return Year(url, file, config, reports)
