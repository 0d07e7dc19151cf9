"""A report says by which promise it judges, when that changed, and which report it replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.language import NBSP
from slurm_ai_factory.report import LANGUAGES, as_csv, report_html, value
from tests import facility
from tests.conftest import by_hand, new_ledger
from tests.report import year
from tests.report.year import Year

PROTOCOL = "Wijzigingsprotocol 1 (voorbeeld)"


@pytest.fixture
def changing(made: Year, postgresql: str, tmp_path: Path) -> Iterator[Year]:
    """The year in a ledger of the test's own."""
    with new_ledger(postgresql, made.url) as url:
        file = tmp_path / "saf.toml"
        file.write_text(facility.CONFIG.replace("{url}", url), encoding="utf-8")
        yield Year(url, file, configuration.load_file(file), made.reports)


def change(made: Year, since: str, at: Instant, **said: Any) -> Term:
    """Record a term that differs from the one in force then in what is said."""
    with made.ledger() as ledger:
        begins = facility.at(since)
        present = question.terms_of(made.config, ledger).at(begins)
        by = {"source": PROTOCOL, "actor": "bestuur@example", "reason": "minder vraag", "recorded_at": at}
        new = replace(present, since=begins, **said | by)
        assert ledger.promise_terms.record(new) == ()
    return new


def pages(made: Year, window: str, then: Instant) -> dict[str, str]:
    report = made.report(window, then)
    texts = {code: report_html(report, code, {}).replace(NBSP, " ") for code in LANGUAGES}
    return {code: re.sub("</?data[^>]*>", "", text) for code, text in texts.items()} | {"csv": as_csv(report)}


def test_a_file_that_is_changed_relabels_nothing_and_is_told(made: Year) -> None:
    """A verdict, a trend and every byte of a report are those of the terms in the ledger."""
    text = facility.CONFIG.replace("{url}", made.url).replace("[promise]", "[promise]\ntarget_share = 0.22")
    then, changed = facility.AS_OF["2027Q3"], configuration.parse_config(text, str(made.file))
    with made.ledger() as ledger:
        report = year.made(changed, ledger, "2027Q3", then)
        term = question.terms_of(changed, ledger).at(then)
    assert value(report) == value(made.reports["2027Q3"])
    assert [one["verdict"] for one in value(report)["trend"]] == ["met", "met", "missed_starved"]
    assert changed.contradicting(term) == (
        f"{made.file} contradicts the promise's current term (since the beginning): promise.target_share is "
        "0.22 in the file and 0.25 in the term; the term applies: remove these keys from the file, or change "
        "the promise with `saf promise set`"
    )
    assert made.config.contradicting(term) == ""


def test_a_lower_promise_judges_later_windows_only_and_is_printed(changing: Year) -> None:
    before = {code: changing.report(code, facility.AS_OF[code]) for code in facility.QUARTERS[:3]}
    change(changing, "2027-10-01", facility.at("2027-09-15"), share=0.22)
    for name in before:
        trend = value(changing.report(name, facility.AS_OF["2027Q4"]))["trend"]
        assert {one["target_share"] for one in trend} == {0.25}
    said = value(changing.report("2027Q4", facility.AS_OF["2027Q4"]))
    assert [one["target_share"] for one in said["trend"]] == [0.25, 0.25, 0.25, 0.22]
    assert [one["verdict"] for one in said["trend"]] == ["met", "met", "missed_starved", "met"]
    assert (said["promise"]["share"], said["promise"]["source"]) == (0.22, PROTOCOL)
    (told,) = said["promise"]["changes"]
    assert told["changed"] == {"share": {"was": 0.25, "now": 0.22}}
    assert said["promise"]["retroactive"] == []
    found = pages(changing, "2027Q4", facility.AS_OF["2027Q4"])
    assert f"Toezegging gewijzigd per 1 oktober 2027: was 25%, is nu 22%. Bron: {PROTOCOL}." in found["nl"]
    assert f"Promise changed on 1 October 2027: was 25%, is now 22%. Source: {PROTOCOL}." in found["en"]
    assert "promise.changes.changed.share,2027-09-30T22:00:00Z,was,0.25" in found["csv"]
    assert "ondergrens per periode" in found["nl"], "the chart has a floor for each window"


def test_a_promise_that_is_lowered_afterwards_is_printed_as_such(changing: Year) -> None:
    late = facility.at("2027-11-15")
    before = changing.report("2027Q3", facility.AS_OF["2027Q3"])
    change(changing, "2027-07-01", late, share=0.2)
    assert value(changing.report("2027Q3", facility.AS_OF["2027Q3"])) == value(before), "as it was known"
    said = value(changing.report("2027Q3", facility.at("2027-12-01")))
    assert said["share"]["verdict"] == "met"
    assert [one["target_share"] for one in said["trend"]] == [0.25, 0.25, 0.2]
    row = next(one for one in said["restatements"]["rows"] if one["window"] == "2027Q3")
    assert (row["target_share_before"], row["target_share"]) == (0.25, 0.2)
    assert row["terms_changed"] == ["share"]
    assert row["regional_charge_difference"] == 0
    found = pages(changing, "2027Q3", facility.at("2027-12-01"))
    assert (
        "De toezegging die sinds 1 juli 2027 geldt, is achteraf vastgelegd: op 15 november 2027 door "
        "bestuur@example. Reden: minder vraag." in found["nl"]
    )
    assert (
        "The promise that has applied since 1 July 2027 was recorded afterwards: on 15 November 2027 by "
        "bestuur@example. Reason: minder vraag." in found["en"]
    )
    assert "Wat er is veranderd: de toezegging is gewijzigd." in found["nl"]
    assert "What changed: the promise was changed." in found["en"]


def test_a_report_that_is_issued_again_says_which_it_replaces_and_why(made: Year) -> None:
    then = facility.at("2027-12-01")
    found = pages(made, "2027Q1", then)
    assert "Dit verslag vervangt dat van 10 april 2027 (27,9%)." in found["nl"]
    assert "This report replaces that of 10 April 2027 (27.9%)." in found["en"]
    assert (
        "Wat er is veranderd: correcties in de gegevens van het systeem, of organisaties zijn anders "
        "ingedeeld." in found["nl"]
    ), "one organisation was registered late: too few to tell its figure apart"
    assert (
        "What changed: corrections in the system's records, or organisations were classified differently."
        in found["en"]
    )
    said = value(made.report("2027Q1", then))["restatements"]
    assert said["replaces"]["as_of"] == windows.iso(facility.AS_OF["2027Q1"])
    (row,) = said["rows"]
    assert (row["window"], row["terms_changed"]) == ("2027Q1", [])
    assert round(row["delivered_share_before"], 3) == 0.279
    assert round(row["delivered_share"], 3) == 0.286


def test_a_report_that_says_the_same_again_says_that(made: Year) -> None:
    found = pages(made, "2027Q2", facility.at("2027-12-01"))
    assert "Geen enkel cijfer over deze periode is veranderd." in found["nl"]
    assert "No figure for this period has changed." in found["en"]


def test_a_report_of_an_open_window_has_no_figure_to_replace(changing: Year) -> None:
    early = changing.report("2027Q3", facility.at("2027-08-01"))
    with changing.ledger() as ledger, by_hand(changing.url) as connection:
        connection.execute("DELETE FROM reports")
        year.give_out(changing.config, ledger, early)
    said = value(changing.report("2027Q3", facility.AS_OF["2027Q3"]))["restatements"]
    assert said["replaces"]["delivered_share"] is None
    assert said["rows"] == []
    found = pages(changing, "2027Q3", facility.AS_OF["2027Q3"])
    assert (
        "Dit verslag vervangt dat van 1 augustus 2027. Toen was de periode nog niet voorbij." in found["nl"]
    )


def test_only_a_report_that_a_later_one_compares_itself_with_is_refused(changing: Year) -> None:
    """A month, or a later quarter, is in no published report; an earlier quarter is."""
    with changing.ledger() as ledger:
        month = year.made(changing.config, ledger, "2027-02", facility.at("2027-03-10"))
        assert year.give_out(changing.config, ledger, month) is True
        second = year.made(changing.config, ledger, "2027Q2", facility.at("2027-12-01"))
        with pytest.raises(LedgerError, match="report of 2027Q4 as of 2028-01-07T23:00:00Z was published"):
            year.give_out(changing.config, ledger, second)
        with by_hand(changing.url) as connection:
            connection.execute("DELETE FROM reports WHERE window_name = '2027Q4'")
        assert year.give_out(changing.config, ledger, second) is True
        fourth = year.made(changing.config, ledger, "2027Q4", facility.at("2027-11-01"))
        assert year.give_out(changing.config, ledger, fourth) is True, (
            "the later report of the second quarter has no fourth"
        )


def test_a_promise_that_ended_has_no_verdict(changing: Year) -> None:
    change(changing, "2027-10-01", facility.at("2027-09-15"), ended=True)
    said = value(changing.report("2027Q4", facility.AS_OF["2027Q4"]))
    assert (said["share"]["verdict"], said["share"]["verdict_reason"]) == ("open", "ended")
    found = pages(changing, "2027Q4", facility.AS_OF["2027Q4"])
    assert "Er is geen oordeel: in deze periode gold geen toezegging." in found["nl"]
    assert "Promise changed on 1 October 2027: the promise ended." in found["en"]
    assert "geen toezegging" in found["nl"]


def test_a_smaller_region_counts_from_its_day_on(changing: Year) -> None:
    def regional(window: str) -> Any:
        return value(changing.report(window, facility.AS_OF["2027Q4"]))["share"]["regional_charge"]

    before = {name: regional(name) for name in facility.QUARTERS}
    region = tuple(code for code in changing.config.first_term().region if code != "GM1979")
    change(changing, "2027-10-01", facility.at("2027-09-15"), region=region)
    after = {name: regional(name) for name in facility.QUARTERS}
    assert {name: after[name] for name in facility.QUARTERS[:3]} == {
        name: before[name] for name in facility.QUARTERS[:3]
    }
    assert after["2027Q4"] < before["2027Q4"]
    said = pages(changing, "2027Q4", facility.AS_OF["2027Q4"])["nl"]
    assert "bij de regio zijn gekomen: geen; gemeenten die eraf zijn gegaan: GM1979." in said


def test_too_much_unclassified_holds_the_verdict_back(changing: Year) -> None:
    change(changing, "2027-04-01", facility.at("2027-03-15"), unclassified_limit=0.001)
    page = pages(changing, "2027Q2", facility.AS_OF["2027Q2"])["nl"]
    assert "van te veel rekenkracht weten we niet voor wie die was" in page
    assert "de grens voor rekenkracht waarvan niet bekend is voor wie die was: was geen, is nu 0,1%" in page
