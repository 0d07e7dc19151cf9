"""A bundle for support: no name and no secret is in it, whatever is down."""

from __future__ import annotations

import gzip
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.cli.bundle.words import shown_words
from slurm_ai_factory.core.records import (
    HOUR,
    Association,
    Change,
    ChangeStatus,
    Decision,
    Rejected,
    Run,
    Subject,
)
from slurm_ai_factory.core.rules.organisations import Codes, Organisation
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import today
from tests.saf import Saf
from tests.scratch import program

MARK = "zq"
"""In every name, text and secret that is planted."""

JOURNAL = """\
cat <<END
2027-01-04T10:00:00+0000 zqhost saf[17]: INFO account zqregio of zqjan@zqlogin.example is held, user held
2027-01-04T10:05:00+0000 zqhost saf[17]: WARNING skipped a line that cannot be read: 'zqjob|0612zq'
2027-01-04T10:05:00+0000 zqhost saf[17]: ERROR connection to postgresql://zquser:zqpass@10.1.2.3/saf failed
END
"""
"""What journalctl prints; no journal of a service runs here."""

RULES = """
[[rule]]
name = "zqrule"
beneficiary = "regional"
account_subtree = "zqregio"
user = ["zqanna", "held"]
organisation = "zqfirm"
"""
SECRET = "zqs3cret%41"


def planted(saf: Saf, ledger_url: str) -> Saf:
    """Names and secrets in every field that takes a text; a user is called "held", a word of saf's own."""
    program(saf.directory / "journalctl", JOURNAL)
    saf.env |= {"PATH": f"{saf.directory}:{saf.env['PATH']}", "PGHOST": "zqdb.example"}
    saf.env |= {"PGPASSWORD": SECRET, "SAF_API_TOKEN": "zqtoken", "LANG": f"{SECRET} of 10.9.8.7"}
    saf.sections |= {"report": {"facility": "Zq Facility", "contact": "zqmail@x.example, +31 50 363 1234"}}
    saf.sections["control"]["account"] = "zqregio"
    saf.configure("daemon", RULES, listen="127.0.0.1:1")
    at = today()
    subject = Subject("loop", "zqregio", "zqjan", "zqpart", "zqqos", "zqwckey", "zqplace", "zqcomment")
    run = Run(7, 7, "7", subject, "COMPLETED", at, at, at, at + HOUR, HOUR, 0, "cpu=1", "cpu=1")
    actor = {"actor": "zqann@zqhost", "reason": "zqreason"}
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([run, Rejected("zqline|held", "zqwhy")], at, at + HOUR, at=at + HOUR)
        tree = Association(cluster="loop", account="zqregio", parent="root", raw_shares=1)
        ledger.intake.record_accounts([tree], at)
        firm = Organisation(organisation="zqfirm", name="Zq Bakery", kvk="17000000", category="business",
                            sector="C", municipality="GM0014", since=0)  # fmt: skip
        codes = Codes(municipalities={"GM0014": "G"}, sectors=(), hubs=(), accounts=frozenset())
        assert not ledger.registry.record([firm], codes, {"at": at, **actor}).problems
        change = Change(cluster="loop", account="zqregio", raw_shares_before=1, raw_shares_after=2)
        inputs: Any = {"account": "zqregio", "usage": {"zqregio": 0.5}, "u": 0.25}
        decision = Decision(at=at, reason="raise", sentence="zqjan is held", inputs=inputs, changes=(change,))
        for step in ledger.control.record(decision, "enforce", "zqann@zqhost", ChangeStatus.PLANNED):
            ledger.control.settle(step, at=at, raw_shares=1, note="zqnote of zqjan")
    return saf


def unpacked(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        return {entry.name: archive.extractfile(entry).read().decode() for entry in archive}  # type: ignore[union-attr]


@pytest.fixture
def site(books: Saf, ledger_url: str) -> Saf:
    return planted(books, ledger_url)


def test_no_name_and_no_secret_that_was_planted_is_in_a_bundle(site: Saf) -> None:
    answer = site.json("bundle", "b.tar.gz")
    file = site.directory / "b.tar.gz"
    raw, texts = file.read_bytes(), unpacked(file)
    told = "\n".join([*texts, *texts.values()])
    assert re.findall(r".*(?:zq|bakery|363 1234|10\.1\.2\.3|10\.9\.8\.7).*", told.lower()) == []
    assert "held, user held" not in told
    assert MARK.encode() not in gzip.decompress(raw)  # compressed bytes spell anything by chance
    assert raw[3] == 0, "the header of gzip has neither a name nor a comment"
    assert "b.tar" not in told
    assert file.stat().st_mode & 0o777 == 0o600
    assert {f"saf-bundle/{row['name']}" for row in answer["files"]} == texts.keys() - {
        "saf-bundle/contents.json"
    }
    assert answer["missing"] == ["doctor", "durations", "slurm"]
    assert answer["pseudonyms"] > 10
    assert answer["secrets"] >= 4


def test_a_bundle_is_of_use(site: Saf) -> None:
    """The same name is the same pseudonym everywhere in it, and in no other bundle."""
    site.run("bundle", "b.tar.gz", "--limit", "1")
    site.run("bundle", "c.tar.gz", "--limit", "1")
    first, second = (unpacked(site.directory / name) for name in ("b.tar.gz", "c.tar.gz"))
    cycles = json.loads(first["saf-bundle/cycles.json"])
    (decision,), (change,), (read,) = cycles["decisions"], cycles["changes"], cycles["reads"]
    assert (decision["reason"], decision["inputs"]["u"], change["status"]) == ("raise", 0.25, "failed")
    assert [*decision["inputs"]["usage"]] == [decision["inputs"]["account"]] == [change["account"]]
    assert read["runs"] == 1
    assert read["rejected"] == 1
    ledger = json.loads(first["saf-bundle/ledger.json"])
    assert {row["name"] for row in ledger["tables"]} >= {"runs", "decisions", "chain"}
    assert "INFO account" in first["saf-bundle/log.txt"]
    assert "2027-01-04T10:05:00+0000" in first["saf-bundle/log.txt"]
    other = json.loads(second["saf-bundle/cycles.json"])["changes"][0]["account"]
    assert other != change["account"]


def test_names_are_shown_when_they_are_wanted_and_secrets_are_not(site: Saf) -> None:
    done = site.run("bundle", "b.tar.gz", "--with-names")
    told = "".join(unpacked(site.directory / "b.tar.gz").values())
    assert {"zqjan", "zqregio", "zqhost", "Zq Facility"} <= set(re.findall(r"Zq Facility|zq\w+", told))
    assert not {SECRET, "zqtoken", "zqpass", "zqmail"} & set(re.findall(r"zqs3cret%41|zq\w+", told))
    assert "names are in it" in done.stderr


def test_a_bundle_comes_whatever_is_down(tmp_path: Path) -> None:
    """No ledger, no Slurm, no journal; then no configuration that can be read."""
    env = {"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/")}
    saf = Saf(tmp_path, env, "postgresql://zquser:zqpass@127.0.0.1:1/zqdb")
    done = saf.run("bundle", "b.tar.gz")
    missing = {"slurm", "doctor", "ledger", "cycles", "durations", "log"}
    assert set(re.findall(r"warning: (\w+) could not be read", done.stderr)) == missing
    told = unpacked(tmp_path / "b.tar.gz")
    assert "check ledger.url and PostgreSQL" in told["saf-bundle/cycles.json"]
    assert MARK not in "".join(told.values())
    saf.file.write_text("[cluster]\nname = 'zqname\n")
    saf.run("bundle", "c.tar.gz")
    assert "not TOML" in unpacked(tmp_path / "c.tar.gz")["saf-bundle/configuration.json"]


def test_a_bundle_overwrites_nothing(site: Saf) -> None:
    (site.directory / "b.tar.gz").write_text("mine")
    assert "b.tar.gz exists" in site.run("bundle", "b.tar.gz", code=1).stderr
    assert (site.directory / "b.tar.gz").read_text() == "mine"


def test_examples_in_docstrings_are_no_words_of_saf() -> None:
    words = shown_words()
    assert {"account", "ledger.url", "region", "cannot", "refused"} <= words
    assert not {"jan", "umcg", "alice", "astro"} & words
