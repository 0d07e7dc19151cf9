"""Published reports, and the fingerprint of the rows that a report rests on.

The fingerprint is the SHA-256 of rows of the ledger in the order of their keys, in PostgreSQL's COPY text, so
that anyone with psql and sha256sum can compute it again. It leaves out users and internal keys.
Tested in tests/cli/test_report.py and tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from json import loads
from typing import Any, NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.canonical import first_difference
from slurm_ai_factory.core.fingerprint import FORMAT, RowsDigest
from slurm_ai_factory.core.measure.cause import ModeSpan
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.store import Store, json

PREFIX = "fingerprint_"
PARTS = (
    "fingerprint_accounts", "fingerprint_allowed", "fingerprint_changes", "fingerprint_decisions",
    "fingerprint_energy", "fingerprint_expertise", "fingerprint_links", "fingerprint_meter_ends",
    "fingerprint_meters",
    "fingerprint_organisations", "fingerprint_outages", "fingerprint_overrides", "fingerprint_placements",
    "fingerprint_reads", "fingerprint_runs", "fingerprint_sizes",
)  # fmt: skip
"""The kinds of rows that a fingerprint is made of."""


class Published(NamedTuple):
    """A published report."""

    window: str
    as_of: Instant
    fingerprint: str
    figures: Mapping[str, Any]  #: exact regional and total charge of its windows that were over
    settings: str  #: the settings it was made with, as JSON; empty in format 1
    document: str  #: its whole content, as JSON; empty in format 1


class FingerprintSpan(NamedTuple):
    """What a report covers: [since, until), in civil days [first, last), as known at ``as_of``."""

    since: Instant
    until: Instant
    first: date
    last: date
    as_of: Instant


def part_name(query: str) -> str:
    """The name of a part: its query's without the prefix."""
    return query.removeprefix(PREFIX)


@dataclass(frozen=True, slots=True)
class Publishing:
    """The reports of one cluster."""

    store: Store
    cluster_id: int

    def rows(self, query: str, interval: FingerprintSpan) -> Iterator[bytes]:
        """The rows of one part, one of PARTS, as they go into its fingerprint, in blocks."""
        values = {"cluster_id": self.cluster_id, **interval._asdict()}
        return self.store.copy_out(query, values)

    def fingerprint(self, interval: FingerprintSpan) -> list[RowsDigest]:
        parts = []
        for query in PARTS:
            digest, count = sha256(), 0
            for block in self.rows(query, interval):
                digest.update(block)
                count += block.count(b"\n")
            parts.append(RowsDigest(part_name(query), count, digest.hexdigest()))
        return parts

    def decisions_by_month(self, since: Instant, until: Instant, as_of: Instant, zone: str) -> list[Any]:
        """(month, mode, reason, count) of the decisions in [since, until)."""
        return self.store.all("decisions_by_month", **self._scope(since, until, as_of), zone=zone)

    def changes(self, since: Instant, until: Instant, as_of: Instant) -> list[Any]:
        """(at, mode, reason, account, raw_shares_before, raw_shares_after) of applied changes."""
        return self.store.all("changes_between", **self._scope(since, until, as_of))

    def mode_spans(self, since: Instant, until: Instant, as_of: Instant) -> list[ModeSpan]:
        """The modes of the decisions in [since, until), in order of time."""
        return [ModeSpan(*row) for row in self.store.all("mode_spans", **self._scope(since, until, as_of))]

    def limited_decisions(self, since: Instant, until: Instant, as_of: Instant) -> int:
        """How many decisions saw regional jobs that limits of Slurm held, and none that could start."""
        row = self.store.one("limited_decisions", **self._scope(since, until, as_of))
        return int(row[0]) if row else 0

    def document(self, window: str, as_of: Instant) -> dict[str, Any]:
        """The content of the report of a window as of an instant; empty where none was published."""
        key = {"cluster_id": self.cluster_id, "window_name": window, "as_of": as_of}
        row = self.store.one("published", **key)
        return loads(row[1]) if row and row[1] else {}

    def _scope(self, since: Instant, until: Instant, as_of: Instant) -> dict[str, int]:
        return {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": as_of}

    def last(self, window: str, before: Instant) -> Published | None:
        """The newest published report of a window as of an earlier instant."""
        key = {"cluster_id": self.cluster_id, "window_name": window, "as_of": before}
        row = self.store.one("last_published", **key)
        return Published(*row) if row else None

    def all(self) -> list[Published]:
        """Every published report, oldest first."""
        return [Published(*row) for row in self.store.all("all_published", cluster_id=self.cluster_id)]

    def before(self, window: str, as_of: Instant) -> list[Published]:
        """Every report published before that of a window as of an instant, oldest first."""
        key = {"cluster_id": self.cluster_id, "window_name": window, "as_of": as_of}
        return [Published(*row) for row in self.store.all("published_before", **key)]

    def publish(self, report: Published, *, at: Instant, actor: str) -> bool:
        """Record that a report is published; False where it was published before.

        Raises LedgerError where the published one differs, or where a published report of a later instant
        compares itself with the reports of this window: its comparison would no longer be true.
        """
        key = {"cluster_id": self.cluster_id, "window_name": report.window, "as_of": report.as_of}
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            if before := self.store.one("published", **key):
                return self._same(report, *before)
            self._refuse_earlier(report.window, report.as_of)
            content = {"settings": report.settings, "document": report.document, "format": FORMAT}
            content |= {"fingerprint": report.fingerprint, "figures": json(report.figures)}
            self.store.do("publish", **key, **content, at=at, actor=actor)
        return True

    def head(self, window: str, as_of: Instant, fingerprint: str) -> tuple[int, str] | None:
        """The head of the chain, entry and hash, when this very report was published; None if it was not."""
        key = {"cluster_id": self.cluster_id, "window_name": window, "as_of": as_of}
        row = self.store.one("head_of_report", **key, fingerprint=fingerprint)
        return (row[0], row[1]) if row else None

    def _refuse_earlier(self, window: str, as_of: Instant) -> None:
        for name, later in self.store.all("published_after", cluster_id=self.cluster_id, as_of=as_of):
            if windows.leads_to(window, name):
                raise LedgerError(
                    f"the report of {name} as of {windows.iso(later)} was published, and compares itself "
                    f"with the reports of {window}; publish the one of {window} as of a later instant"
                )

    def _same(self, report: Published, published: str, document: str, at: Instant) -> bool:
        if published != report.fingerprint:
            texts = (document, report.document) if document else ()
            changed = document and first_difference(*(loads(text) | {"fingerprint": ""} for text in texts))
            raise LedgerError(
                f"the report of {report.window} as of {windows.iso(report.as_of)} was published at "
                f"{windows.iso(at)} and says something else now"
                f"{f' ({changed})' if changed else ''}; see what changed: saf ledger verify"
            )
        return False
