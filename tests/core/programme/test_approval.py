"""Proposals: who may approve one, and entries of the registry that come back from JSON as they were."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme import approval
from slurm_ai_factory.core.records import FOREVER, HOUR
from slurm_ai_factory.core.rules.organisations import Link, Organisation, Registry, RegistryEntry, effective

PROPOSAL = approval.Proposal(
    number=3, kind=approval.ProposalKind.REGISTRY, content={}, at=0, actor="alice as saf@head", reason="r"
)


@pytest.mark.parametrize(
    ("actor", "refused"),
    [
        ("alice as saf@head", True),
        ("alice as root@login", True),
        ("Alice@laptop", True),
        ("bob as saf@head", False),
        ("saf@head", True),
    ],
)
def test_nobody_approves_what_is_their_own(actor: str, refused: bool) -> None:
    assert bool(approval.own(PROPOSAL, actor)) is refused


def test_both_persons_and_both_reasons_are_kept() -> None:
    assert approval.approved_fields(PROPOSAL, at=9, actor="bob as saf@head", reason="seen the letter") == {
        "at": 9, "actor": "alice as saf@head, approved by bob as saf@head",
        "reason": "r; approved: seen the letter",
    }  # fmt: skip


def test_what_was_ruled_on_is_closed() -> None:
    assert not approval.closed(PROPOSAL)
    ruling = approval.Ruling(step=approval.ProposalStep.REJECTED, at=0, actor="bob@h", reason="")
    ruled = approval.Proposal(
        number=3, kind=approval.ProposalKind.REGISTRY, content={}, at=0, actor="a@h", reason="", ruling=ruling
    )
    assert approval.closed(ruled) == "proposal 3 was rejected by bob@h at 1970-01-01T00:00:00Z"


HOURS = st.integers(0, 9).map(lambda hours: hours * HOUR)
ENDS = st.sampled_from([12 * HOUR, FOREVER])
ORGANISATIONS = st.builds(
    Organisation, organisation=st.text(), name=st.text(), category=st.just("business"), sector=st.just("C"),
    since=HOURS, until=ENDS,
)  # fmt: skip
FRACTIONS = st.decimals("0.000001", 1, places=6)
LINKS = st.builds(
    Link, organisation=st.text(), account=st.text(), fraction=FRACTIONS, since=HOURS, until=ENDS,
    granted=st.none() | st.decimals("0.01", 10**6, places=2),
)  # fmt: skip


@given(st.lists(st.one_of(ORGANISATIONS, LINKS)))
def test_entries_come_back_as_they_were(entries: list[RegistryEntry]) -> None:
    assert approval.entries_from(json.loads(json.dumps(approval.entries_value(entries)))) == entries


KNOWN = Link(organisation="umcg", account="a", since=HOUR, until=9 * HOUR)


@pytest.mark.parametrize(
    ("entry", "since"),
    [
        (Link(organisation="umcg", account="b", since=2 * HOUR), 2 * HOUR),
        (Link(organisation="umcg", account="a", since=HOUR, until=5 * HOUR), 5 * HOUR),
        (Link(organisation="umcg", account="a", since=HOUR), 9 * HOUR),
        (Link(organisation="umcg", account="a", since=HOUR, until=HOUR), HOUR),
        (Link(organisation="umcg", account="a", fraction=Decimal("0.5"), since=HOUR), HOUR),
    ],
)
def test_an_entry_reaches_back_to_the_first_hour_that_it_changes(entry: Link, since: int) -> None:
    assert effective(Registry(links=(KNOWN,)), entry) == since
