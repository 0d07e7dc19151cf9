"""A ledger that was changed behind saf's back is found out, and one that was not is left in peace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, saf_of, today
from tests.conftest import by_hand, new_ledger
from tests.saf import Saf

Checks = dict[str, tuple[int, str]]
"""check -> (differing, first)"""

FIRST = windows.iso(today() - DAYS * 24 * HOUR)


def verified(saf: Saf, code: int = 0) -> Checks:
    return {
        one["check"]: (one["differing"], one["first"])
        for one in saf.json("ledger", "verify", code=code)["checks"]
    }


def change(ledger_url: str, *statements: str) -> None:
    with by_hand(ledger_url) as connection:
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount > 0


@pytest.fixture(scope="module")
def published_days(postgresql: str, days: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ledger in which sums are kept and from which a report was given out, to be copied."""
    directory = tmp_path_factory.mktemp("published")
    with new_ledger(postgresql, days) as url:
        saf_of(url, directory).run("report", "--window", "rolling:7d", "-o", "report", "--publish")
        yield url


@pytest.fixture
def ledger_url(postgresql: str, published_days: str) -> Iterator[str]:
    """Such a ledger of the test's own."""
    with new_ledger(postgresql, published_days) as url:
        yield url


@pytest.fixture
def given_out(books: Saf) -> Saf:
    """Sums are kept, and a report was given out."""
    return books


CHECKS = (
    "chain", "records", "reads", "versions", "expiries", "day statements", "TRES sets", "overrides",
    "classification", "hourly usage", "sums of usage", "reports",
)  # fmt: skip


def differing(saf: Saf, code: int = 5) -> Checks:
    """The checks that found something."""
    return {check: found for check, found in verified(saf, code).items() if found[0]}


def test_books_that_nobody_touched_agree(given_out: Saf, ledger_url: str) -> None:
    with open_ledger(ledger_url, "another"):
        pass
    found = given_out.json("ledger", "verify")["checks"]
    assert [(one["check"], one["differing"], one["first"]) for one in found] == [
        (check, 0, "") for check in CHECKS
    ]
    compared = {one["check"]: one["compared"] for one in found}
    assert compared["hourly usage"] == DAYS * len(CPUS)
    assert compared["sums of usage"] > 0
    assert compared["classification"] > 0
    assert compared["TRES sets"] > 0
    assert compared["reports"] == 1
    given_out.configure("cluster", name="another")
    assert nothing_compared(given_out)


OF_ALL_CLUSTERS = {"chain", "records", "TRES sets"}


def nothing_compared(saf: Saf) -> bool:
    """Whether there is nothing of the cluster to compare, and nothing else differs."""
    found = saf.json("ledger", "verify")["checks"]
    return not any(one["compared"] for one in found if one["check"] not in OF_ALL_CLUSTERS)


ONE_HOUR = "(hour, subject_id) = (SELECT hour, subject_id FROM hourly_usage ORDER BY 1, 2 LIMIT 1)"
OF_CPU = "sum_id = (SELECT min(sum_id) FROM sums WHERE resource = '1*cpu')"
ONE_SUM = f"{OF_CPU} AND hour = {today() - DAYS * 24 * HOUR} AND beneficiary = 'non_regional'"
DERIVED = {  # sums of billing and of cpu, which the report shows, were kept
    "usage changed": (
        f"UPDATE hourly_usage SET delivered = delivered + 1 WHERE {ONE_HOUR}",
        {"hourly usage": (1, FIRST), "sums of usage": (4, FIRST)},
    ),
    "usage deleted": (
        f"DELETE FROM hourly_usage WHERE {ONE_HOUR}",
        {"hourly usage": (1, FIRST), "sums of usage": (4, FIRST)},
    ),
    "a sum changed": (
        f"UPDATE hourly_sums SET delivered = 0 WHERE {ONE_SUM}", {"sums of usage": (1, FIRST)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DERIVED)
def test_what_is_derived_and_was_changed_is_told_and_made_again(
    given_out: Saf, ledger_url: str, case: str
) -> None:
    """The report that was published is worked out from facts, and still says what it said."""
    statement, found = DERIVED[case]
    change(ledger_url, statement)
    assert differing(given_out) == found
    assert next(iter(found)) in given_out.run("ledger", "verify", code=5).stdout
    assert differing(given_out, code=5) == found, "to verify repairs nothing"
    given_out.run("ledger", "verify", "--repair")
    assert differing(given_out, code=0) == {}


FORGED = {
    "classification": (
        "UPDATE classifications SET beneficiary = 'regional' WHERE beneficiary = 'non_regional'",
        "DELETE FROM sums",
    ),
    "TRES sets": ("UPDATE allocation_tres SET count = count * 2", "DELETE FROM sums"),
    "sums of usage": (
        "UPDATE hourly_sums SET delivered = delivered * 0.5 WHERE beneficiary = 'non_regional'",
    ),
}
"""A better share, by tables that no fingerprint of rows is over."""


def charges(saf: Saf) -> tuple[float, float]:
    """Of the region and of all, as `saf share` tells them."""
    found = saf.json("share", "--window", "rolling:7d")
    return found["regional_charge"], found["total_charge"]


@pytest.mark.parametrize("check", FORGED)
def test_a_share_forged_in_derived_tables_is_found_and_cannot_be_published(
    given_out: Saf, ledger_url: str, tmp_path: Path, check: str
) -> None:
    before = charges(given_out)
    change(ledger_url, *FORGED[check])
    assert charges(given_out) != before
    found = differing(given_out)
    assert check in found
    assert "reports" not in found, "what was published is worked out from facts"
    publish = ("report", "--window", "rolling:5d", "-o", str(tmp_path / "new"), "--publish")
    said = given_out.run(*publish, code=1).stderr
    assert "cannot be published" in said
    assert "saf ledger verify --repair" in said
    assert not (tmp_path / "new").exists(), "nor are files written"
    given_out.run("ledger", "verify", "--repair")
    assert charges(given_out) == before
    given_out.run(*publish)


@pytest.mark.parametrize(
    "statement", ["UPDATE runs SET elapsed_seconds = elapsed_seconds + 60", "DELETE FROM runs"]
)
def test_a_run_that_was_changed_is_missed_in_usage_and_in_the_report(
    given_out: Saf, ledger_url: str, statement: str
) -> None:
    change(ledger_url, f"{statement} WHERE db_index = {DAYS * 10}")
    found = differing(given_out)
    assert found["reads"][0] == 1
    assert found["hourly usage"] == (1, FIRST)
    assert found["reports"][0] == 1
    assert found["reports"][1].startswith("rolling:7d as of ")
    given_out.run("ledger", "verify", "--repair", code=5)
    assert set(differing(given_out)) == {"reads", "reports"}, "what is derived follows the changed facts"


REPORT = {
    "fingerprint": "translate(fingerprint, '0123456789abcdef', '123456789abcdef0')",
    "figures": """'{"rolling:7d": {"total": "1", "regional": "1"}}'""",
    "settings": "replace(settings, '\"margin\":0.01', '\"margin\":0.02')",
    "document": "replace(document, '\"total_charge\":', '\"total_charge\":1')",
    "window_name": "'rolling:6d'",
    "as_of": "as_of - 1",
}


@pytest.mark.parametrize("column", REPORT)
def test_a_published_report_whose_row_was_changed_is_told(
    given_out: Saf, ledger_url: str, column: str
) -> None:
    change(ledger_url, f"UPDATE reports SET {column} = {REPORT[column]}")
    assert set(differing(given_out)) == {"records", "reports"}


def head_of(saf: Saf) -> dict[str, str]:
    told: dict[str, str] = saf.json("ledger", "head")
    return told


def test_a_copy_of_the_head_tells_whether_anything_was_cut_off(given_out: Saf, ledger_url: str) -> None:
    copy = head_of(given_out)
    assert copy["head"] in given_out.run("ledger", "head").stdout
    assert given_out.json("ledger", "verify", "--head", copy["head"])["checks"][0] == {
        "check": "head", "compared": 1, "differing": 0, "first": "",
    }  # fmt: skip
    assert head_of(given_out)["entry"] > copy["entry"], "that the books were verified is recorded too"
    change(ledger_url, f"DELETE FROM chain WHERE entry >= {copy['entry']}")
    checks = given_out.json("ledger", "verify", "--head", copy["head"], code=5)["checks"]
    assert checks[0]["first"] == f"no entry of the chain has {copy['head']}"


def test_a_published_report_has_the_head_and_keeps_it(given_out: Saf, tmp_path: Path) -> None:
    as_of = windows.iso(int(time.time()))
    command = ("report", "--window", "rolling:6d", "--as-of", as_of, "-o", str(tmp_path / "out"))
    before = [Path(one).read_bytes() for one in given_out.json(*command)["files"]]
    head = head_of(given_out)
    files = [Path(one) for one in given_out.json(*command, "--publish")["files"]]
    published = [one.read_bytes() for one in files]
    said = json.loads(next(one for one in files if one.suffix == ".json").read_text())
    assert (said["fingerprint"]["entry"], said["fingerprint"]["head"]) == (head["entry"], head["head"])
    assert all(head["head"].encode() in text for text in published)
    assert not any(head["head"].encode() in text for text in before)
    given_out.json(*command)
    assert [one.read_bytes() for one in files] == published, "also when it is only made again"


def test_a_signed_head_is_checked_with_the_public_key(given_out: Saf, tmp_path: Path) -> None:
    private, public, other = (tmp_path / name for name in ("private.pem", "public.pem", "other.pem"))
    for file in (private, other):
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(file))
    openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    given_out.configure("ledger", signing_key=str(private))
    head = head_of(given_out)
    asked = ("ledger", "verify", "--head", head["head"], "--signature", head["signature"], "--public-key")
    given_out.run(*asked, str(public))
    openssl("pkey", "-in", str(other), "-pubout", "-out", str(public))
    assert "did not sign this head" in given_out.run(*asked, str(public), code=1).stderr
    assert "is not a public key in PEM" in given_out.run(*asked, str(private), code=1).stderr
    assert "give all of --head, --signature" in given_out.run(*asked[:-1], code=2).stderr
    given_out.configure("ledger", signing_key=str(public))
    assert "is not a private key" in given_out.run("ledger", "head", code=1).stderr


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def test_that_the_books_were_verified_is_kept_and_told(given_out: Saf, tmp_path: Path) -> None:
    given_out.run("ledger", "verify")
    command = ("report", "--window", "rolling:6d", "-o", str(tmp_path / "out"), "--format", "json")
    (file,) = given_out.json(*command)["files"]
    (one,) = json.loads(Path(file).read_text())["audits"]
    assert (one["command"], one["checks"], one["findings"]) == ("verify", 1, 0)


def test_a_change_of_settings_changes_no_published_report(given_out: Saf) -> None:
    given_out.configure("promise", target_share=0.2)
    given_out.sections["report"] = {"min_organisations": 2, "windows": 3, "contact": "somebody"}
    given_out.configure()
    assert differing(given_out, code=0) == {}


def test_an_empty_ledger_agrees_with_itself(ledger_url: str, books: Saf) -> None:
    with open_ledger(ledger_url, "empty"):
        pass
    books.configure("cluster", name="empty")
    assert nothing_compared(books)
