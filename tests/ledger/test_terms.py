"""The promise's terms in the ledger: whole rows, never changed, and checked where they are written."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.rules.organisations import Regional
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests.conftest import by_hand
from tests.core.programme.test_terms import FIRST, MIDNIGHTS, day, later_terms
from tests.ledger.generated import histories_in_one_ledger

CONFIG = configuration.parse_config('[cluster]\nname = "c"\n', "saf.toml")


def test_the_first_term_is_recorded_once(ledger: Ledger) -> None:
    assert ledger.promise_terms.known() is None
    assert ledger.promise_terms.begin(FIRST) is True
    assert ledger.promise_terms.begin(replace(FIRST, share=0.5)) is False
    assert ledger.promise_terms.rows() == [FIRST]


def test_a_term_wants_a_first_one(ledger: Ledger) -> None:
    assert ledger.promise_terms.record(replace(FIRST, since=MIDNIGHTS[3], share=0.2)) == (
        "the promise has no first term yet",
    )
    assert ledger.promise_terms.rows() == []


@histories_in_one_ledger
@given(later_terms)
def test_a_term_comes_back_as_it_was_recorded(ledger: Ledger, term: Term) -> None:
    with ledger.store.connection.transaction(force_rollback=True):
        first = replace(term, since=0)
        ledger.promise_terms.begin(first)
        found = ledger.promise_terms.rows()
    assert found == [first]


def test_what_is_refused_is_not_there_and_no_first_term_either(ledger: Ledger) -> None:
    inside = replace(FIRST, since=day("2027-05-15"), share=0.2)
    (wrong,) = ledger.promise_terms.record(inside, FIRST)
    assert "is inside 2027Q2" in wrong
    assert ledger.promise_terms.rows() == []
    fits = replace(inside, since=day("2027-04-01"))
    assert ledger.promise_terms.record(fits, FIRST) == ()
    assert ledger.promise_terms.record(inside, replace(FIRST, share=0.5)) != ()
    assert ledger.promise_terms.rows() == [FIRST, fits]


def test_the_newest_of_the_same_beginning_holds_and_the_earlier_stays_known(ledger: Ledger) -> None:
    mistyped = replace(FIRST, since=MIDNIGHTS[3], share=0.52, recorded_at=FIRST.recorded_at + 10)
    meant = replace(mistyped, share=0.22, recorded_at=FIRST.recorded_at + 20)
    ledger.promise_terms.begin(FIRST)
    assert ledger.promise_terms.record(mistyped) == ledger.promise_terms.record(meant) == ()
    assert question.terms_of(CONFIG, ledger).at(MIDNIGHTS[4]) == meant
    assert question.terms_of(CONFIG, ledger, FIRST.recorded_at + 15).at(MIDNIGHTS[4]) == mistyped
    assert question.terms_of(CONFIG, ledger, FIRST.recorded_at + 5).at(MIDNIGHTS[4]) == FIRST
    assert len(ledger.promise_terms.rows()) == 3


def test_before_anything_was_recorded_the_first_term_held_and_without_one_the_configuration(
    ledger: Ledger,
) -> None:
    assert question.terms_of(CONFIG, ledger).terms == (CONFIG.first_term(),)
    ledger.promise_terms.begin(FIRST)
    assert question.terms_of(CONFIG, ledger, 5).terms == (FIRST,)


def test_terms_are_of_one_cluster(ledger_url: str, ledger: Ledger) -> None:
    ledger.promise_terms.begin(FIRST)
    with open_ledger(ledger_url, "other") as other:
        assert other.promise_terms.known() is None


def test_the_region_is_that_of_the_terms_and_of_the_past_the_one_worked_by(ledger: Ledger) -> None:
    ledger.registry.keep_rules((), {"GM0772"}, 10)
    assert question.rules_at(CONFIG, ledger).region == {Regional(code) for code in CONFIG.registry.region}, (
        "no term yet"
    )
    ledger.promise_terms.begin(FIRST)
    smaller = replace(FIRST, since=MIDNIGHTS[3], region=("GM0014",), recorded_at=FIRST.recorded_at + 10)
    assert ledger.promise_terms.record(smaller) == ()
    dated = {Regional("GM0014"), Regional("GM1979", 0, MIDNIGHTS[3])}
    assert question.rules_at(CONFIG, ledger).region == dated
    assert question.rules_at(CONFIG, ledger, FIRST.recorded_at + 10).region == dated
    assert question.rules_at(CONFIG, ledger, FIRST.recorded_at + 5).region == {
        Regional("GM0014"), Regional("GM1979")
    }  # fmt: skip
    assert question.rules_at(CONFIG, ledger, 11).region == {Regional("GM0772")}


def test_the_ledger_refuses_what_is_no_term(ledger: Ledger) -> None:
    ledger.promise_terms.begin(FIRST)
    for column, value in (("share", "1.5"), ("since", "-3600"), ("since", "5"), ("source", "''")):
        statement = f"UPDATE promise_terms SET {column} = {value}"
        with by_hand(ledger.store.url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(statement.encode())


def test_weights_keep_their_digits(ledger: Ledger) -> None:
    weighed = replace(FIRST, resource=Resource({"cpu": Decimal("0.2500"), "gres/gpu": 16}))
    ledger.promise_terms.begin(weighed)
    (found,) = ledger.promise_terms.rows()
    assert str(found.resource.weights["cpu"]) == "0.2500"
