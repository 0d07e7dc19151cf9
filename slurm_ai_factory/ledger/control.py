"""What was decided and done: decisions with their evidence, changes with their outcome, the baseline.

A change is written as planned before it is tried and settled by what was read back afterwards. One that is
still planned when a cycle begins was interrupted, and is settled by the same comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from slurm_ai_factory.core.control.level import Baseline
from slurm_ai_factory.core.records import DAY, Change, ControlState, Decision, Instant, Pause
from slurm_ai_factory.ledger.store import Store, json


class Planned(NamedTuple):
    """A change that was begun and whose outcome is not recorded."""

    change_id: int
    change: Change


@dataclass(frozen=True, slots=True)
class Control:
    """The decisions and changes of one cluster."""

    store: Store
    cluster: str
    cluster_id: int

    def record(self, decision: Decision, mode: str, actor: str, status: str) -> list[Planned]:
        """Write the decision and its changes down, before anything is done about them."""
        with self.store.transaction():
            row = self.store.one(
                "add_decision",
                cluster_id=self.cluster_id,
                at=decision.at,
                mode=mode,
                reason=decision.reason,
                sentence=decision.sentence,
                inputs=json(decision.inputs),
                u_ref=decision.state.u_ref if decision.state else None,
                actor=actor,
            )
            decision_id = row[0] if row else None
            return [self._add(decision_id, change, status) for change in decision.changes]

    def _add(self, decision_id: int | None, change: Change, status: str) -> Planned:
        row = self.store.one(
            "add_change",
            decision_id=decision_id,
            account=change.account,
            raw_shares_before=change.raw_shares_before,
            raw_shares_after=change.raw_shares_after,
            status=status,
        )
        return Planned(row[0] if row else 0, change)

    def planned(self) -> list[Planned]:
        """Changes that were begun and not settled."""
        rows = self.store.all("planned_changes", cluster_id=self.cluster_id)
        return [Planned(row[0], self._change(*row[1:])) for row in rows]

    def _change(self, account: str, before: int, after: int) -> Change:
        return Change(cluster=self.cluster, account=account, raw_shares_before=before, raw_shares_after=after)

    def settle(self, planned: Planned, *, at: Instant, raw_shares: int | None, note: str = "") -> str:
        """Record what was read back: applied when the value is the wanted one, else failed."""
        status = "applied" if raw_shares == planned.change.raw_shares_after else "failed"
        values = {"status": status, "at": at, "raw_shares": raw_shares, "note": note}
        self.store.do("settle_change", change_id=planned.change_id, **values)
        return status

    def last_state(self, now: Instant) -> ControlState | None:
        """What the law remembered last, and how many writes the last day had."""
        row = self.store.one("last_state", cluster_id=self.cluster_id)
        if row is None:
            return None
        writes = self.store.one("writes_since", cluster_id=self.cluster_id, since=now - DAY)
        return ControlState(
            at=row[0],
            u_ref=row[1],
            writes_last_day=writes[0] if writes else 0,
            baseline={account: one.raw_shares for account, one in self.baselines().items()},
        )

    def last_applied(self, account: str) -> int | None:
        """The RawShares that our last change left; None when we never changed any."""
        row = self.store.one("last_applied", cluster_id=self.cluster_id, account=account)
        return row[0] if row else None

    def keep_baseline(self, account: str, baseline: Baseline, at: Instant) -> None:
        """Remember the operator's own shares and what competed with them; the first ones stay."""
        self.store.do(
            "add_baseline", cluster_id=self.cluster_id, account=account, at=at, **baseline._asdict()
        )

    def drop_baseline(self, account: str) -> None:
        """Forget the operator's own shares: they are in force, and the next change notes them anew."""
        self.store.do("drop_baseline", cluster_id=self.cluster_id, account=account)

    def baselines(self) -> dict[str, Baseline]:
        """The shares of each account before our first change."""
        rows = self.store.all("baselines", cluster_id=self.cluster_id)
        return {account: Baseline(*shares) for account, *shares in rows}

    def say_pause(self, pause: Pause) -> None:
        """Once this returns no cycle begins to write: changes are decided and made under the same lock."""
        with self.store.holding("writing", self.cluster_id):
            self.store.do("add_pause", cluster_id=self.cluster_id, **pause._asdict())

    def pauses(self, limit: int | None = None) -> list[Pause]:
        """Pauses and their ends, newest first."""
        return [Pause(*row) for row in self.store.all("pauses", cluster_id=self.cluster_id, limit=limit)]

    def pause(self, at: Instant) -> Pause | None:
        """The pause that lasts at an instant."""
        return next((one for one in self.pauses(limit=1) if one.lasts(at)), None)

    def last_decision(self) -> dict[str, Any] | None:
        """The newest decision, by column."""
        return next(iter(self.decisions(1)), None)

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """The latest decisions, newest first."""
        return self.store.named("latest_decisions", cluster_id=self.cluster_id, limit=limit)

    def reason_since(self, reason: str) -> Instant | None:
        """Since when every decision has had this reason, the newest one included."""
        row = self.store.one("reason_since", cluster_id=self.cluster_id, reason=reason)
        return row[0] if row else None

    def history(self, limit: int) -> list[dict[str, Any]]:
        """Changes with the decisions behind them, newest first."""
        return self.store.named("history", cluster_id=self.cluster_id, limit=limit)
