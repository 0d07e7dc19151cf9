"""Decisions that changed nothing expire, those alone, and one row more that went is found."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import DAY, Change, ChangeStatus, ControlState, Decision, Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Ledger, open_ledger
from slurm_ai_factory.ledger.publishing import Published
from tests.cli.conftest import today
from tests.cli.ledger.test_verify import change, differing
from tests.conftest import by_hand
from tests.ledger.generated import in_one_ledger
from tests.saf import Saf

OLD = today() - 400 * DAY
CHANGE = Change(cluster="loop", account="regional", raw_shares_before=1, raw_shares_after=2)


def decide(ledger: Ledger, at: Instant, reason: str = "hold", *changes: Change, **more: object) -> None:
    more = {"state": None, "promise": "region", **more}
    decision = Decision(at=at, reason=reason, sentence="s", inputs={"u": 0.25}, changes=changes, **more)  # type: ignore[arg-type]
    ledger.control.record(decision, "observe", "saf@host", ChangeStatus.OBSERVED)


@pytest.fixture
def decided(books: Saf, ledger_url: str) -> Saf:
    """Ten decisions of 400 days ago, the fourth with a change, and three of today for another reason."""
    with open_ledger(ledger_url, "loop") as ledger:
        for number in range(10):
            decide(ledger, OLD + number * 300, "hold", *((CHANGE,) if number == 3 else ()))
        for number in range(3):
            decide(ledger, today() + number, "at_set_point")
    return books


def ids(ledger_url: str) -> list[int]:
    with by_hand(ledger_url) as connection:
        return [row[0] for row in connection.execute("SELECT decision_id FROM decisions ORDER BY 1")]


def test_nothing_goes_unless_it_is_asked_for(decided: Saf, ledger_url: str) -> None:
    answer = decided.json("ledger", "expire")
    assert answer["expiring"] == {"rows": 0, "bytes": 0, "oldest": None}
    assert {table["name"]: table["rows"] for table in answer["tables"]}["decisions"] == 13
    assert "expire_decisions_after is not set" in decided.run("ledger", "expire", "--delete", code=1).stderr
    decided.configure("ledger", expire_decisions_after="365d")
    shown = decided.json("ledger", "expire")
    assert (shown["expiring"]["rows"], shown["expiring"]["oldest"]) == (8, windows.iso(OLD))
    assert shown["expiring"]["bytes"] > 8 * 50
    assert "at least 30 days ago" in decided.run("ledger", "expire", "--before", "now-7days", code=2).stderr
    assert ids(ledger_url) == [*range(1, 14)]


def test_what_changed_nothing_goes_and_the_ledger_is_still_whole(decided: Saf, ledger_url: str) -> None:
    """The last decision of another reason than the newest stays: it dates the newest."""
    decided.configure("ledger", expire_decisions_after="365d")
    assert decided.json("ledger", "expire", "--delete")["deleted"] is True
    assert ids(ledger_url) == [4, 10, 11, 12, 13]
    assert differing(decided, code=0) == {}
    assert decided.json("ledger", "expire", "--delete")["expiring"]["rows"] == 0
    month = windows.iso(OLD)[:7]
    refused = decided.run("report", "--window", month, "-o", "reports", code=1).stderr
    assert f"decisions of {month} expired at" in refused
    decided.run("report", "--window", "rolling:7d", "-o", "reports")


@pytest.mark.usefixtures("decided")
def test_what_was_decided_lately_stays_whoever_asks(ledger_url: str) -> None:
    with open_ledger(ledger_url, "loop") as ledger, pytest.raises(LedgerError, match="check constraint"):
        ledger.expiries.expire(today() - 29 * DAY, at=today(), actor="saf@host")
    assert len(ids(ledger_url)) == 13


FORGED = {
    "one row more": ("DELETE FROM decisions WHERE decision_id = 11", "records"),
    "one row more, and listed": (
        "DELETE FROM decisions WHERE decision_id = 11; "
        "UPDATE expiries SET decisions = decisions + '{[11,12)}', rows = rows + 1",
        "expiries",
    ),
    "one row more, and listed in another expiry": (
        "DELETE FROM decisions WHERE decision_id = 11; "
        "INSERT INTO expiries (cluster_id, recorded_at, before, decisions, rows, first_at, last_at, digest, "
        "actor) SELECT 1, recorded_at, before, '{[11,12)}', 1, first_at, last_at, "
        "expired_digest('{[11,12)}'), '' FROM expiries",
        "records",
    ),
    "the expiry itself": ("DELETE FROM expiries", "records"),
    "one row less": ("UPDATE expiries SET decisions = decisions - '{[1,2)}', rows = rows - 1", "expiries"),
    "a row that expired is back": (
        "INSERT INTO decisions (decision_id, cluster_id, at, mode, reason, sentence, inputs, actor) "
        "OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 'observe', 'hold', 's', '{}', '')",
        "records",
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_verify_finds(decided: Saf, ledger_url: str, what: str) -> None:
    """Done by an owner whom no guard stops."""
    with open_ledger(ledger_url, "loop") as ledger:
        assert ledger.expiries.expire(OLD + DAY, at=today(), actor="saf@host") == 8
    statements, check = FORGED[what]
    change(ledger_url, *statements.split("; "))
    assert check in differing(decided)


SOME = st.tuples(
    st.sampled_from(["region", "eu"]), st.sampled_from(["hold", "raise"]), st.booleans(), st.booleans()
)
"""promise, reason, whether it has a state, whether it has a change"""
DAYS = st.integers(0, 12)
clusters = (f"c{number}" for number in count())


@settings(in_one_ledger, max_examples=25)
@given(decisions=st.lists(SOME, max_size=12), due=DAYS, span=st.tuples(DAYS, DAYS))
def test_exactly_what_nothing_needs_expires(
    ledger_url: str, decisions: list[tuple[str, str, bool, bool]], due: int, span: tuple[int, int]
) -> None:
    """Beside a plain model: the n-th decision is made on day n; a published report rests on days of span."""
    first, until = min(span), max(span)
    with open_ledger(ledger_url, next(clusters)) as ledger:
        for day, (promise, reason, state, changed) in enumerate(decisions):
            more = {"promise": promise, "state": ControlState(at=0, u_ref=0.5) if state else None}
            decide(ledger, OLD + day * DAY, reason, *((CHANGE,) if changed else ()), **more)
        document = json.dumps({"fingerprint": {"since": windows.iso(OLD + first * DAY)}})
        report = Published("w", OLD + until * DAY, "f", {}, "{}", document)
        ledger.publishing.publish(report, at=today(), actor="a")
        kept = set()
        for name in ("region", "eu"):
            own = [day for day, decision in enumerate(decisions) if decision[0] == name]
            turned = [day for day in own if decisions[day][1] != decisions[own[-1]][1]]
            kept |= {day for day in own if not turned or day >= turned[-1]}
            kept |= {*[day for day in own if decisions[day][2]][-1:]}
        kept |= {day for day, decision in enumerate(decisions) if decision[3] or first <= day <= until}
        goes = len({day for day in range(len(decisions)) if day < due} - kept)
        assert ledger.expiries.expirable(OLD + due * DAY).rows == goes
        assert ledger.expiries.expire(OLD + due * DAY, at=today(), actor="a") == goes
        rows, differing, _ = ledger.expiries.compared()
        assert (rows, differing) == (int(goes > 0), 0)
        assert ledger.chain.records().differing == 0
