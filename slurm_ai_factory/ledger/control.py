"""Decisions with their evidence, changes with their outcome, pauses, and the baseline.

A change is recorded as planned before it is tried, and settled by the value read back afterwards. One that is
still planned when a cycle begins was interrupted, and is settled the same way.
Tested in tests/end_to_end/test_control.py and tests/cli/test_pause.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from slurm_ai_factory.core.control.foreign import Changer, ForeignChange
from slurm_ai_factory.core.control.level import Baseline
from slurm_ai_factory.core.records import (
    DAY,
    FIRST,
    Change,
    ChangeStatus,
    ControlState,
    Decision,
    Instant,
    LeverKind,
    Pause,
)
from slurm_ai_factory.ledger.store import Store, json, known_at


class Planned(NamedTuple):
    """A change that was begun; its outcome is not recorded yet."""

    change_id: int
    change: Change


@dataclass(frozen=True, slots=True)
class Control:
    """The decisions and changes of one cluster."""

    store: Store
    cluster: str
    cluster_id: int

    def held_by_grid(
        self, promise: str, since: Instant, until: Instant, as_of: Instant | None = None
    ) -> tuple[Decimal, int]:
        """What waited for nodes kept free in [since, until), in resource-seconds, and the seconds known."""
        row = self.store.one(
            "held_by_grid", cluster_id=self.cluster_id, promise=promise, since=since, until=until,
            as_of=known_at(as_of),
        )  # fmt: skip
        charge, seconds = row or (None, None)
        return charge or Decimal(0), seconds or 0

    def record(self, decision: Decision, mode: str, actor: str, status: ChangeStatus) -> list[Planned]:
        """Record the decision and its changes, before any of them is made."""
        with self.store.transaction():
            row = self.store.one(
                "add_decision", cluster_id=self.cluster_id, promise=decision.promise, at=decision.at,
                mode=mode, reason=decision.reason, sentence=decision.sentence, inputs=json(decision.inputs),
                u_ref=decision.state.u_ref if decision.state else None, actor=actor,
            )  # fmt: skip
            decision_id, planned = row[0] if row else None, []
            for change in decision.changes:
                row = self.store.one(
                    "add_change", decision_id=decision_id, object=change.lever,
                    attribute=change.lever.attribute, account=change.account,
                    raw_shares_before=change.raw_shares_before, raw_shares_after=change.raw_shares_after,
                    status=status,
                )  # fmt: skip
                planned.append(Planned(row[0] if row else 0, change))
        return planned

    def planned(self) -> list[Planned]:
        """Changes that were begun and are not settled."""
        rows = self.store.all("planned_changes", cluster_id=self.cluster_id)
        return [Planned(row[0], self._change(*row[1:])) for row in rows]

    def _change(self, account: str, before: int, after: int, lever: str) -> Change:
        return Change(
            cluster=self.cluster, account=account, raw_shares_before=before, raw_shares_after=after,
            lever=LeverKind(lever),
        )  # fmt: skip

    def settle(
        self, planned: Planned, *, at: Instant, raw_shares: int | None, note: str = ""
    ) -> ChangeStatus:
        """Record the value read back: applied when it is the planned one, else failed; the status."""
        applied = raw_shares == planned.change.raw_shares_after
        status = ChangeStatus.APPLIED if applied else ChangeStatus.FAILED
        values = {"status": status, "at": at, "raw_shares": raw_shares, "note": note}
        self.store.do("settle_change", change_id=planned.change_id, **values)
        return status

    def last_state(
        self, now: Instant, promise: str = FIRST, lever: LeverKind = LeverKind.ACCOUNT
    ) -> ControlState | None:
        """The newest state of the control law for a promise, with its number of writes in the last day."""
        key = {"cluster_id": self.cluster_id, "promise": promise}
        row = self.store.one("last_state", **key)
        if row is None:
            return None
        writes = self.store.one("writes_since", **key, since=now - DAY)
        return ControlState(
            at=row[0],
            u_ref=row[1],
            writes_last_day=writes[0] if writes else 0,
            baseline={account: shares.raw_shares for account, shares in self.baselines(lever).items()},
        )

    def last_applied(self, account: str, lever: LeverKind = LeverKind.ACCOUNT) -> int | None:
        """The value that the last applied change of this object left; None before the first."""
        row = self.store.one("last_applied", cluster_id=self.cluster_id, object=lever, account=account)
        return row[0] if row else None

    def foreign_change(self, lever: LeverKind, account: str, theirs: int) -> ForeignChange | None:
        """How an object's value differs from what its last applied change left; None if it does not."""
        row = self.store.one(
            "foreign_change", cluster_id=self.cluster_id, object=lever, account=account, theirs=theirs
        )
        if row is None:
            return None
        ours, ours_at, seen_at, user, changed_at, unknown, accepted = row
        changer = Changer() if seen_at is None else Changer(user, changed_at, unknown)
        return ForeignChange(lever, account, ours, ours_at, theirs, seen_at, changer, accepted)

    def note_foreign(self, change: ForeignChange, at: Instant) -> None:
        """Record a value that another user set, as seen at an instant."""
        self.store.do(
            "add_foreign_change", cluster_id=self.cluster_id, object=change.lever, account=change.account,
            theirs=change.theirs, at=at, changed_at=change.changer.at, actor=change.changer.user,
            note=change.changer.unknown,
        )  # fmt: skip

    def foreign_changes(self, limit: int) -> list[ForeignChange]:
        """The values that other users set, newest first."""
        rows = self.store.all("foreign_changes", cluster_id=self.cluster_id, limit=limit)
        return [
            ForeignChange._make((LeverKind(row[0]), *row[1:6], Changer(*row[6:9]), row[9])) for row in rows
        ]

    def reassertions(self, promise: str, since: Instant) -> int:
        """How many decisions about a promise wrote a value of saf's own back since an instant."""
        row = self.store.one("reassertions_since", cluster_id=self.cluster_id, promise=promise, since=since)
        return row[0] if row else 0

    def keep_baseline(
        self, account: str, baseline: Baseline, at: Instant, lever: LeverKind = LeverKind.ACCOUNT
    ) -> None:
        """Record the operator's own value and the siblings' shares, unless there is a baseline already."""
        values = {"object": lever, "account": account, "at": at, **baseline._asdict()}
        self.store.do("add_baseline", cluster_id=self.cluster_id, **values)

    def drop_baseline(self, account: str, lever: LeverKind = LeverKind.ACCOUNT) -> None:
        """Delete the baseline, now that the operator's own value is restored."""
        self.store.do("drop_baseline", cluster_id=self.cluster_id, object=lever, account=account)

    def baselines(self, lever: LeverKind = LeverKind.ACCOUNT) -> dict[str, Baseline]:
        """The value of each object of this kind before the first change."""
        rows = self.store.all("baselines", cluster_id=self.cluster_id, object=lever)
        return {account: Baseline(*shares) for account, *shares in rows}

    def say_pause(self, pause: Pause) -> None:
        """Record a pause. Changes are made under the same lock, so no cycle writes once this returns."""
        with self.store.holding("writing", self.cluster_id):
            self.store.do("add_pause", cluster_id=self.cluster_id, **pause._asdict())

    def pauses(self, limit: int | None = None) -> list[Pause]:
        """Pauses and their ends, newest first."""
        return [Pause(*row) for row in self.store.all("pauses", cluster_id=self.cluster_id, limit=limit)]

    def pause(self, at: Instant) -> Pause | None:
        """The pause that lasts at an instant."""
        return next((pause for pause in self.pauses(limit=1) if pause.lasts(at)), None)

    def last_decision(self) -> dict[str, Any] | None:
        """The newest decision about the first promise, by column; None before the first."""
        return next(iter(self.decisions(1, FIRST)), None)

    def decisions(self, limit: int, promise: str | None = None) -> list[dict[str, Any]]:
        """The latest decisions, newest first; about every promise unless one is given."""
        key = {"cluster_id": self.cluster_id, "promise": promise}
        return self.store.named("latest_decisions", **key, limit=limit)

    def reason_since(self, reason: str) -> Instant | None:
        """Since when every decision about the first promise has had this reason, the newest one included."""
        row = self.store.one("reason_since", cluster_id=self.cluster_id, reason=reason)
        return row[0] if row else None

    def history(self, limit: int) -> list[dict[str, Any]]:
        """Changes with the decisions behind them, newest first."""
        return self.store.named("history", cluster_id=self.cluster_id, limit=limit)
