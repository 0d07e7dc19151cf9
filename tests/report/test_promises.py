"""What a report says of further promises, and what nobody can work out from it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory import config as configuration
from slurm_ai_factory.core.programme import suppression, terms
from slurm_ai_factory.core.programme.suppression import PartSum
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import Bound, Instant
from slurm_ai_factory.core.rules.classify import Beneficiary, PromisedTo
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.language import NBSP
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import LANGUAGES, Report, as_csv, report_html, value
from slurm_ai_factory.report.given import Given, known_before, sums_of_charge
from slurm_ai_factory.report.promises import REGION, ReportedPromise, promises_shown
from slurm_ai_factory.report.tables import (
    PROMISED,
    WindowPiece,
    lines,
    promised_place,
    promised_sum,
    tables,
    totals,
)
from slurm_ai_factory.report.values import report_figures
from tests import facility
from tests.conftest import by_hand, new_ledger
from tests.core.programme.test_suppression import known_of
from tests.report import year
from tests.report.year import Year
from tests.second.test_second import differences

CONTRACT = "Convenant 8 (voorbeeld)"
HOME = ("huisartsnet", "kliniekdata", "thuisdichtbij")
"""Of the care sector all but one, which is not of the region alone to tell."""
PROMISES: Mapping[str, Mapping[str, Any]] = {
    "care": {"share": 0.1, "who": {"sector": ("care",)}, "share_of": "promise:region"},
    "cores": {"share": 0.1, "who": {"hub": ("south",)}, "resource": Resource.parse("cpu")},
    "industry": {"share": 0.2, "who": {"category": ("business",)}, "bound": Bound.CAP},
    "nearby": {"share": 0.01, "who": {"organisation": HOME}},
    "veenlab": {"share": 0.01, "who": {"account": ("veenlab",)}},
    "yearly": {"share": 0.1, "who": {"hub": ("amsterdam",)}, "window": "year"},
}
Q3 = facility.AS_OF["2027Q3"]


def promise(
    made: Year, name: str, since: str = "2027-01-01", at: Instant = facility.SINCE, **other: Any
) -> None:
    """Record a term of a further promise, which differs from the present one in what is given."""
    with made.ledger() as ledger:
        known = ledger.promise_terms.further()
        base = known[name].at(facility.at(since)) if name in known else ledger.promise_terms.rows()[0]
        by: dict[str, Any] = {"source": CONTRACT, "actor": "bestuur@example", "reason": "afgesproken"}
        by |= {"promise": name, "region": (), "since": facility.at(since), "recorded_at": at}
        term: Term = replace(base, **by | other)
        assert ledger.promise_terms.record(term, terms.nothing_before(term)) == ()


@pytest.fixture(scope="module")
def promising(made: Year, postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    """The year with further promises, and none of its reports published."""
    with new_ledger(postgresql, made.url) as url:
        file = tmp_path_factory.mktemp("promising") / "saf.toml"
        file.write_text(facility.CONFIG.replace("{url}", url), encoding="utf-8")
        copy = Year(url, file, configuration.load_file(file), made.reports)
        for name, other in PROMISES.items():
            promise(copy, name, **other)
        yield copy


@pytest.fixture(scope="module")
def first(promising: Year) -> Report:
    with by_hand(promising.url) as connection:
        connection.execute("DELETE FROM reports")
    return promising.report("2027Q3", Q3)


def rows(report: Report) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in value(report)["promises"]}


def test_a_report_published_before_stays_as_it_was(promising: Year, made: Year) -> None:
    """As by a version whose reports had no further promises; the ledger knew them."""
    again = promising.report("2027Q2", facility.AS_OF["2027Q2"])
    assert report_figures(again) == report_figures(made.reports["2027Q2"])


def test_a_report_has_every_promise_with_its_term_figures_and_verdict(first: Report) -> None:
    said = rows(first)
    assert {name: (row["figures_shown"], row["verdict"]) for name, row in said.items()} == {
        "care": (True, "met"), "cores": (False, "met"), "industry": (True, "exceeded"),
        "nearby": (False, "met"), "veenlab": (False, "met"), "yearly": (False, None),
    }  # fmt: skip
    industry, whole = said["industry"], value(first)["share"]
    assert industry["total_charge"] == whole["total_charge"]
    assert industry["bound_charge"] == pytest.approx(0.2 * whole["total_charge"])
    assert said["care"]["total_charge"] == whole["regional_charge"]
    care = next(row for row in value(first)["tables"]["sector"]["rows"] if row["name"] == "care")
    assert said["care"]["regional_charge"] == care["charge"]
    hidden = {name: said["veenlab"][name] for name in ("regional_charge", "delivered_share", "bound_charge")}
    assert set(hidden.values()) == {None}
    assert (industry["since"], industry["actor"]) == ("2026-12-31T23:00:00Z", "bestuur@example")
    assert {name: row["who"] for name, row in said.items()} == {
        "care": {"sector": "care"}, "cores": {"hub": "south"}, "industry": {"category": "business"},
        "nearby": {"organisation": None}, "veenlab": {"account": None}, "yearly": {"hub": "amsterdam"},
    }  # fmt: skip


def test_every_file_has_the_promises(first: Report) -> None:
    pages = {code: report_html(first, code, {}).replace(NBSP, " ") for code in LANGUAGES}
    nl, en = (re.sub("</?data[^>]*>", "", pages[code]) for code in ("nl", "en"))
    assert "soort organisatie: bedrijven" in nl
    assert "kind of organisation: businesses" in en
    assert "ten hoogste 20%; deel van alles wat is geleverd; elk kwartaal" in nl
    assert "at most 20%; part of everything delivered; each quarter" in en
    assert "Er is meer geleverd dan de bovengrens terwijl anderen erop wachtten." in nl
    assert "It applies to: each year." in en
    assert "Ze geldt sinds 1 januari 2027; bestuur@example heeft haar vastgelegd op 1 januari 2027." in nl
    assert en.count("it could tell something about too few organisations") == 3
    assert not {"huisartsnet", "veenlab</td>"} & set(re.findall(r"[\w.<>/]+", nl))
    assert "promises,industry,verdict,exceeded\n" in as_csv(first)
    assert "promises.who,industry,category,business\n" in as_csv(first)


def test_a_new_report_says_of_which_promises_it_says_something_else(promising: Year, first: Report) -> None:
    """The fingerprint covers the section; a promise that was changed afterwards is a reason of its own."""
    with promising.ledger() as ledger:
        assert year.give_out(promising.config, ledger, first)
    promise(promising, "industry", "2027-07-01", Q3 + 1, share=0.25)
    assert value(promising.report("2027Q3", Q3)) == value(first), "as it was known"
    later = promising.report("2027Q3", Q3 + facility.DAY)
    assert differences(promising, later) == {}, "as a second program makes of the raw rows"
    assert value(later)["restatements"]["promises"] == ["industry"]
    assert rows(later)["industry"]["retroactive"] is True
    assert rows(later)["industry"]["regional_charge"] == rows(first)["industry"]["regional_charge"]
    page = report_html(later, "en", {}).replace(NBSP, " ")
    assert "What changed: other promises (industry)." in page
    assert "What this report says of other promises has also changed: industry." in page
    assert "Reason: afgesproken." in page


# -- what nobody can work out ----------------------------------------------------------------------------

CONDITIONS: Sequence[PromisedTo] = [(("qos", (name,)),) for name in "wxyz"]
NAMES = [f"r{n}" for n in range(6)] + [f"n{n}" for n in range(3)]
QUARTERS = {0: (0, 10), 1: (10, 20)}


@dataclass(frozen=True, slots=True)
class Facility:
    """Who got what in each quarter, as known at each of several instants, by the conditions that it meets."""

    known: Sequence[Mapping[int, Sequence[Reached]]]  #: by instant and quarter

    def read(self, instant: int, interval: tuple[int, int]) -> list[Reached]:
        return [
            each
            for quarter, (since, until) in QUARTERS.items()
            if interval[0] <= since and until <= interval[1]
            for each in self.known[instant][quarter]
        ]


@st.composite
def facilities(draw: st.DrawFn) -> Facility:
    """Some organisations have charge that counts for other promises than the rest of it."""
    parts = {
        (name, half): frozenset(draw(st.sets(st.sampled_from(CONDITIONS))))
        for name in NAMES
        for half in range(draw(st.integers(1, 2)) if name < "r3" else 1)
    }
    category = {name: draw(st.sampled_from("ab")) for name in NAMES}
    corrected = draw(st.sets(st.tuples(st.sampled_from(NAMES), st.integers(0, 1)), max_size=3))
    return Facility([
        {
            quarter: [
                Reached(
                    name,
                    Beneficiary.REGIONAL if name.startswith("r") else Beneficiary.NON_REGIONAL,
                    {"category": category[name]}
                    | {promised_place(who): PROMISED if who in met else "" for who in CONDITIONS},
                    100 + instant * ((name, quarter) in corrected),
                )
                for (name, _), met in parts.items()
            ]
            for quarter in QUARTERS
        }
        for instant in range(2)
    ])  # fmt: skip


REPORTS = st.lists(
    st.tuples(
        st.sampled_from([(0, 10), (10, 20), (0, 20)]),
        st.integers(0, 1),
        st.lists(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2), max_size=3),
    ),
    min_size=1,
    max_size=3,
)
"""Windows, when they were reported, and of what the figures of each further promise are sums."""


def a_promise(number: int, sums: Sequence[PromisedTo]) -> ReportedPromise:
    term = Term(
        promise=f"p{number}",
        since=0, share=0.1, margin=0.01, resource=Resource({"cpu": 1}),
        label="", window="quarter", time_zone="UTC", unclassified_limit=None, region=(), min_organisations=3,
        expertise_share=0.1, source="", reason="", actor="", recorded_at=0,
    )  # fmt: skip
    return ReportedPromise(term=term, sums=tuple(sums), judged=True, who={})


@given(facilities(), REPORTS, st.integers(2, 3))
def test_no_combination_of_all_reports_with_promises_tells_more_of_a_few_than_totals(
    made_up: Facility, reports: Sequence[Any], smallest: int
) -> None:
    """The attacker knows who counts for what, and every linear combination of all that was ever shown."""
    before: list[Given] = []
    everything, only_totals = list[PartSum](), list[PartSum]()
    names = {"category": True}
    for interval, instant, promised in sorted(reports, key=lambda report: report[1]):
        read = partial(made_up.read, instant)
        known = known_before(interval, read, before, lambda *of: sums_of_charge(names, smallest, *of))
        if suppression.telling(totals(known.pieces), smallest, known.totals, known.sums):
            continue
        promises = [a_promise(number, sums) for number, sums in enumerate(promised)]
        shown = promises_shown(promises, known, smallest)
        sums = {who for each in promises if each.term.promise in shown for who in each.sums}
        public = [*known.sums, *(promised_sum(known.pieces, who) for who in sums)]
        (table,) = tables(read(interval), names, smallest, known.pieces, public)
        document = {"tables": {"category": {"rows": [{"name": row.name} for row in table.rows]}}}
        before.append(Given(interval, document, read, sums))
        every = [WindowPiece(QUARTERS[n], made_up.read(instant, QUARTERS[n])) for n in QUARTERS]
        pieces = [piece for piece in every if interval[0] <= piece.interval[0] < interval[1]]
        everything += [*totals(pieces), *lines(pieces, names, {"category": [row.name for row in table.rows]})]
        everything += [promised_sum(pieces, who) for who in sums]
        only_totals += totals(pieces)
    for size in range(1, smallest):
        for few in itertools.combinations(NAMES, size):
            assert known_of(everything, few) == known_of(only_totals, few), few


def test_a_promise_is_hidden_that_gives_one_organisation_with_another_promise() -> None:
    """Of w are a to d, of x are a to c: shown together they give d."""
    reached = [
        Reached(
            name, Beneficiary.REGIONAL,
            {promised_place(CONDITIONS[0]): PROMISED if name in "abcd" else "",
             promised_place(CONDITIONS[1]): PROMISED if name in "abc" else ""}, 10,
        )
        for name in "abcdefgh"
    ]  # fmt: skip
    known = known_before((0, 10), lambda _: reached, [], lambda *_: pytest.fail("there is no other report"))
    wide, narrow = (a_promise(n, [CONDITIONS[n]]) for n in range(2))
    assert promises_shown([wide, narrow], known, 3) == {"p0"}
    assert promises_shown([narrow, wide], known, 3) == {"p1"}
    assert promises_shown([a_promise(2, [(*REGION, *CONDITIONS[2]), CONDITIONS[0]])], known, 3) == {"p2"}
    assert json.loads(promised_place(CONDITIONS[0])) == [["qos", ["w"]]]
    assert promises_shown([a_promise(3, [])], known, 3) == set(), "of which it cannot be said what it adds up"
