"""Months as Parquet: whole or not at all, equal to the ledger, and every damage to them is a sentence."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory import config as configuration
from slurm_ai_factory.audit import archived, archiving, parquet
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import DAY, HOUR, Association, Run, Size, Subject
from slurm_ai_factory.core.rules.organisations import Codes, Link, Organisation, RegistryEntry
from slurm_ai_factory.errors import LedgerError, SafError
from slurm_ai_factory.ledger import Ledger, Store, open_ledger, sql
from slurm_ai_factory.ledger.archives import TABLES
from tests.cli.conftest import PLANT, TREE, saf_of
from tests.conftest import by_hand, new_ledger
from tests.ledger.generated import in_one_ledger
from tests.saf import Saf

MONTH = "2026-01"
HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "archive.md"


def block(engine: str) -> str:
    """The query of the documentation for an engine."""
    return HOWTO.read_text(encoding="utf-8").split(f'```sql title="{engine}"\n')[1].split("\n```")[0]


def documented(engine: str) -> str:
    """The same, with the name of each table in braces instead of its files."""
    return re.sub(r"read_parquet\('/archive/(\w+)/[^)]*\)", r"{\1}", block(engine))


def at(month: int, day: int, hour: int = 0) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=UTC).timestamp())


READ = at(3, 5)
"""Accounting was read up to here, from 3 January on."""


def run(index: int, account: str, start: int, seconds: int, **more: Any) -> Run:
    subject = Subject("loop", account, more.pop("user", "jan"), "main", more.pop("qos", "normal"), "", "")
    tres = more.pop("tres", "billing=2.5,cpu=4,mem=16384,node=1")
    made = Run(index, index, str(index), subject, "COMPLETED", start - 900, start - 600, start,
               start + seconds, seconds, 0, tres, tres)  # fmt: skip
    return made._replace(**more)


def fill(ledger: Ledger) -> None:
    """Two months of runs, and an account that is partly a hospital's."""
    hospital = Organisation(organisation="umcg", name="UMCG", kvk="01234567", category="business", sector="C",
                            municipality="GM0014", since=0)  # fmt: skip
    links = [Link(organisation="umcg", account=name, fraction=Decimal(part), since=0)
             for name, part in (("umcg", "1"), ("joint", "0.4"))]  # fmt: skip
    terms = Codes(municipalities={"GM0014": "G"}, sectors=(), hubs=(), accounts=frozenset(TREE))
    entries: list[RegistryEntry] = [hospital, *links]
    assert not ledger.registry.record(entries, terms, {"at": at(1, 2), "actor": "a", "reason": "r"}).problems
    tree = [Association(cluster="loop", account=name, parent=up, raw_shares=1) for name, up in TREE.items()]
    ledger.intake.record_accounts(tree, at(1, 2))
    ledger.intake.record_events([Size(at(1, 1), None, "cpu=400,node=10")], [], 1)
    runs = [
        run(10 * day + number, account, at(1, day, number), 5000 + 7 * day, user=f"user{day % 3}")
        for day in range(4, 30)
        for number, account in enumerate(("genomes", "joint", "astro", "visitors"))
    ]
    runs += [
        run(501, "joint", at(1, 31, 20), 8 * HOUR),  # ends in February
        run(502, "astro", at(1, 30), 0, state="RUNNING", end_at=None, elapsed_seconds=READ - at(1, 30)),
        run(
            503,
            "genomes",
            at(1, 29),
            0,
            state="SUSPENDED",
            end_at=None,
            elapsed_seconds=7200,
            suspended_seconds=99,
        ),
        run(504, "genomes", at(1, 8), 0, state="CANCELLED", start_at=None, end_at=at(1, 9), alloc_tres=""),
        run(505, "astro", at(1, 20), 3 * HOUR, suspended_seconds=HOUR, elapsed_seconds=2 * HOUR),
    ]
    early = run(40, "genomes", at(1, 4), 0, state="RUNNING", end_at=None, elapsed_seconds=60, user="user1")
    gone = run(506, "joint", at(1, 12), 0, state="RUNNING", end_at=None, elapsed_seconds=60)
    ledger.intake.record([early, gone], at(1, 1) - DAY, at(1, 13), at=at(1, 13))
    ledger.intake.record(runs, at(1, 13), READ, at=READ)


@pytest.fixture(scope="module")
def months(postgresql: str) -> Iterator[str]:
    with new_ledger(postgresql) as url:
        with open_ledger(url, "loop") as ledger:
            fill(ledger)
        yield url


@pytest.fixture
def ledger_url(postgresql: str, months: str) -> Iterator[str]:
    with new_ledger(postgresql, months) as url:
        yield url


@pytest.fixture
def saf(ledger_url: str, tmp_path: Path) -> Saf:
    """The product on these months."""
    return saf_of(ledger_url, tmp_path)


def archive(saf: Saf, *more: str, code: int = 0) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = saf.json(
        "ledger", "archive", "--to", "archive", *(more or ("--month", MONTH)), code=code
    )
    return rows


def verified(saf: Saf, *more: str, code: int = 0) -> dict[str, str]:
    """check -> the first difference, of every check that found one."""
    checks = saf.json("ledger", "archive", "--verify", "archive", *more, code=code)["checks"]
    assert all(check["compared"] for check in checks)
    return {check["check"]: check["first"] for check in checks if check["differing"]}


def path(saf: Saf, table: str, month: str = MONTH) -> Path:
    return saf.directory / "archive" / table / "cluster=loop" / f"month={month}" / f"{table}.parquet"


def asked(saf: Saf, query: str) -> list[tuple[Any, ...]]:
    """A query to the files; a table's name in braces is all of its months."""
    every = {name: f"read_parquet('{saf.directory}/archive/{name}/*/*/*.parquet', hive_partitioning = true)"
             for name in TABLES}  # fmt: skip
    with duckdb.connect() as connection:
        return connection.execute(query.format(**every)).fetchall()


def entries(ledger_url: str) -> list[tuple[Any, ...]]:
    with by_hand(ledger_url) as connection:
        return connection.execute("SELECT month, as_of, files FROM archives ORDER BY archive_id").fetchall()


def test_delivered_by_account_and_month_is_that_of_saf_share(saf: Saf) -> None:
    """By the query of docs/howto/archive.md, and with fractions of a joint account."""
    archive(saf, "--before", "2026-03-01T00:00Z")
    found = {row[:3]: Fraction(row[3]) / 3600 for row in asked(saf, documented("duckdb"))}
    assert {month for month, *_ in found} == {MONTH, "2026-02"}
    for month in (MONTH, "2026-02"):
        groups = saf.json("share", "--window", month, "--by", "account", "--resource", "cpu")["groups"]
        expected = {
            (month, group["name"], group["beneficiary"]): Fraction(str(group["charge"])) / 3600
            for group in groups
        }
        assert {key: charge for key, charge in found.items() if key[0] == month} == expected
    assert (MONTH, "joint", "regional") in found
    assert (MONTH, "joint", "non_regional") in found


def test_another_engine_gets_the_same_figures(saf: Saf) -> None:
    """ClickHouse in process, which `make test-archive-engines` installs."""
    chdb = pytest.importorskip("chdb")
    archive(saf, "--before", "2026-03-01T00:00Z")
    query = block("clickhouse").replace("/archive/", f"{saf.directory}/archive/")
    rows = [tuple(row) for row in csv.reader(io.StringIO(str(chdb.query(query, "CSV"))))]
    expected = asked(saf, documented("duckdb"))
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    assert [Fraction(row[3]) for row in rows] == [Fraction(row[3]) for row in expected]


def test_every_version_of_every_ended_run_is_in_one_month(saf: Saf, ledger_url: str) -> None:
    archive(saf, "--before", "2026-03-01T00:00Z")
    with by_hand(ledger_url) as connection:
        versions = connection.execute(
            "SELECT db_index, recorded_at, NULL FROM runs WHERE end_at IS NOT NULL UNION ALL "
            "SELECT v.db_index, v.recorded_at, v.superseded_at FROM run_versions v ORDER BY 1, 2"
        ).fetchall()
    assert asked(saf, "SELECT db_index, recorded_at, superseded_at FROM {runs} ORDER BY 1, 2") == versions
    assert asked(saf, "SELECT count(*) FROM {runs} WHERE superseded_at IS NOT NULL") == [(1,)]
    assert asked(saf, "SELECT DISTINCT month FROM {runs} WHERE db_index = 501") == [("2026-02",)]
    assert asked(saf, "SELECT count(*) FROM {runs} WHERE db_index IN (502, 503)") == [(0,)], "have not ended"


def test_runs_that_a_withdrawal_removed_are_evidence_too(saf: Saf, ledger_url: str) -> None:
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([run(900, "astro", at(2, 1), HOUR)], READ, READ + DAY, at=READ + DAY)
        ledger.intake.withdraw(READ + DAY, at=at(4, 2), actor="a", reason="wrong clock")
        ledger.intake.record([], READ, at(5, 1), at=at(5, 1))
    archive(saf, "--before", "2026-05-01T00:00Z")
    assert asked(saf, "SELECT month, superseded_at FROM {runs} WHERE db_index = 900") == [
        ("2026-04", at(4, 2))
    ]
    assert asked(saf, "SELECT count(*) FROM {usage} WHERE month = '2026-02' AND delivered > 3600 * 5") == [
        (0,)
    ]
    assert verified(saf) == {}


def test_no_file_has_a_user(saf: Saf) -> None:
    archive(saf)
    for table in TABLES:
        rows = asked(saf, f"SELECT * FROM {{{table}}}")
        assert rows
        assert not [row for row in rows if any(name in str(row) for name in ("user0", "user1", "jan"))]


def test_what_did_not_change_is_left_alone(saf: Saf, ledger_url: str) -> None:
    assert archive(saf)[0]["status"] == "archived"
    before, at_first = entries(ledger_url), path(saf, "runs").stat().st_mtime_ns
    assert archive(saf)[0]["status"] == "unchanged"
    saf.run(*PLANT)
    assert archive(saf)[0]["status"] == "unchanged", "an organisation without an account changes no row"
    assert entries(ledger_url) == before
    assert path(saf, "runs").stat().st_mtime_ns == at_first
    assert not [file for file in (saf.directory / "archive").rglob("*") if file.name.startswith(".")]


def test_a_correction_makes_another_archive_and_the_newest_holds(saf: Saf, ledger_url: str) -> None:
    archive(saf)
    with open_ledger(ledger_url, "loop") as ledger:
        known = ledger.archives.known_up_to() or 0
        late = run(41, "joint", at(1, 4, 1), 9999)
        ledger.intake.record([late], at(1, 3), READ + HOUR, at=known + 1)
    assert verified(saf) == {}, "the ledger as known when it was archived"
    assert archive(saf)[0]["status"] == "archived"
    assert [row[0] for row in entries(ledger_url)] == [MONTH, MONTH]
    assert asked(saf, "SELECT count(*) FROM {runs} WHERE db_index = 41") == [(2,)]
    assert verified(saf) == {}


def _alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _link(file: Path) -> None:
    file.rename(file.with_suffix(".moved"))
    file.symlink_to(file.with_suffix(".moved"))


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _text(file: Path) -> None:
    file.write_bytes(b"x" * file.stat().st_size)


def _other(file: Path) -> None:
    file.unlink()
    duckdb.sql("SELECT 1 AS hour").write_parquet(str(file))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered": (_alter, "was altered: its SHA-256 is not the recorded one"),
    "missing": (lambda file: file.unlink(), "is missing"),
    "cut": (lambda file: os.truncate(file, file.stat().st_size - 1), "bytes instead of"),
    "huge": (lambda file: os.truncate(file, 2**42), "has 4398046511104 bytes instead of"),
    "a link": (_link, "cannot be read: Too many levels of symbolic links"),
    "a pipe": (_pipe, "is not a regular file"),
    "not Parquet": (_text, "was altered"),
    "another table": (_other, "bytes instead of"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_is_named_and_archiving_restores_it(saf: Saf, ledger_url: str, what: str) -> None:
    archive(saf)
    table, (damage, sentence) = TABLES[sorted(DAMAGES).index(what) % len(TABLES)], DAMAGES[what]
    damage(path(saf, table))
    first = verified(saf, code=5)[f"{MONTH} files"]
    assert first.startswith(f"archive/{table}/cluster=loop/month={MONTH}/{table}.parquet ")
    assert sentence in first
    assert "copy it back from a backup, or archive the month again" in first
    before = entries(ledger_url)
    assert archive(saf)[0]["status"] == "repaired"
    (copied,) = archive(saf, "--month", MONTH, "--to", "second")
    assert copied["status"] == "copied"
    assert entries(ledger_url) == before
    assert verified(saf) == {}


def test_a_record_that_was_forged_is_found_before_any_file_is_opened(saf: Saf, ledger_url: str) -> None:
    """By an owner whom no guard stops, for a file that is not Parquet."""
    archive(saf)
    _text(path(saf, "usage"))
    forged = parquet.described(path(saf, "usage"), 1)._asdict()
    with by_hand(ledger_url) as connection:
        connection.execute(
            "UPDATE archives SET files = jsonb_set(files, '{usage}', %s)", [json.dumps(forged)]
        )
    assert verified(saf, code=5) == {
        "records": "record [1] was changed, so no file was opened; run saf ledger verify"
    }


@pytest.mark.parametrize(("damage", "sentence"), [
    (_text, "a file cannot be read as one of an archive: "), (_other, "usage.parquet has 1 rows instead of "),
])  # fmt: skip
def test_what_is_no_archive_is_a_sentence_for_duckdb_too(
    saf: Saf, ledger_url: str, damage: Callable[[Path], object], sentence: str
) -> None:
    archive(saf)
    with open_ledger(ledger_url, "loop") as ledger:
        month = ledger.archives.months()[MONTH]
    files = {table: path(saf, table) for table in TABLES}
    assert archived.difference(month, files) == ""
    damage(files["usage"])
    assert sentence in archived.difference(month, files)
    one_row = {**month.files, "usage": month.files["usage"]._replace(rows=1)}
    assert "cannot be read as one of an archive" in archived.difference(replace(month, files=one_row), files)


def test_a_ledger_that_changed_behind_the_archive_is_found(saf: Saf, ledger_url: str) -> None:
    archive(saf)
    with by_hand(ledger_url) as connection:
        connection.execute("UPDATE hourly_usage SET delivered = delivered + 1 WHERE hour = %s", [at(1, 20)])
    assert "run saf ledger verify" in verified(saf, code=5)[f"{MONTH} ledger"]


def test_a_record_that_was_changed_is_found(saf: Saf, ledger_url: str) -> None:
    archive(saf)
    with by_hand(ledger_url) as connection:
        connection.execute("UPDATE archives SET charges = jsonb_set(charges, '{cpu,regional}', '\"1\"')")
    assert verified(saf, code=5).keys() == {"records"}
    with open_ledger(ledger_url, "loop") as ledger:
        month = ledger.archives.months()[MONTH]
    files = {table: path(saf, table) for table in TABLES}
    assert archived.difference(month, files).startswith("cpu adds up to ")


def test_a_file_that_was_never_archived_is_found(saf: Saf) -> None:
    archive(saf)
    strange = path(saf, "usage", "2026-02")
    strange.parent.mkdir()
    strange.write_bytes(path(saf, "usage").read_bytes())
    first = verified(saf, code=5)["other files"]
    assert first == f"{strange.relative_to(saf.directory)} was never archived from this ledger; move it away"
    assert verified(saf, "--month", MONTH) == {}


def test_a_month_is_archived_once_it_is_over_and_read(saf: Saf, ledger_url: str) -> None:
    refused = saf.run("ledger", "archive", "--to", "archive", "--month", "2026-03", code=1).stderr
    assert "2026-03 is not over, or not read to its end" in refused
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([], READ + DAY, at(4, 2), at=at(4, 2))
    refused = saf.run("ledger", "archive", "--to", "archive", "--month", "2026-03", code=1).stderr
    assert "2026-03 was not read completely" in refused
    assert "saf backfill -S 2026-03-05T00:00:00Z" in refused
    assert not (saf.directory / "archive").exists()


def test_the_month_in_which_reading_began_is_not_archived_as_if_it_were_whole(saf: Saf) -> None:
    refused = saf.run("ledger", "archive", "--to", "archive", "--month", "2025-12", code=1).stderr
    assert "2025-12 was not read completely; read the rest first: saf backfill -S 2025-11-30T23:00" in refused
    assert [row["month"] for row in archive(saf, "--before", "2026-03-01T00:00Z")] == [MONTH, "2026-02"]


def test_what_fails_on_the_way_leaves_nothing(
    saf: Saf, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    config, directory = configuration.load_file(saf.file), saf.directory / "archive"
    month = windows.window(MONTH, 0, config.promise.time_zone)
    monkeypatch.setattr(parquet, "durable", full)
    with open_ledger(ledger_url, "loop") as ledger, pytest.raises(SafError, match="No space left on device"):
        archiving.archive_month(config, ledger, month, directory, at=READ, actor="a")
    assert [file for file in directory.rglob("*") if not file.is_dir()] == []
    assert entries(ledger_url) == []


def test_a_block_is_all_that_is_in_memory(tmp_path: Path) -> None:
    """It is one row group. CSV tells an empty text from no value."""
    columns = {"number": parquet.WHOLE, "name": parquet.TEXT}
    blocks = [b"".join(b'%d,"a ""quoted""\nline"\n' % number for number in range(at, at + 50))
              for at in range(0, 500, 50)]  # fmt: skip
    assert parquet.write_csv_blocks(tmp_path / "x.parquet", columns, [*blocks, b',""\n7,\n']) == 502
    with duckdb.connect() as connection:
        file = f"'{tmp_path}/x.parquet'"
        groups = f"SELECT count(DISTINCT row_group_id) FROM parquet_metadata({file})"
        assert connection.execute(groups).fetchall() == [(len(blocks) + 1,)]
        rows = connection.execute(f"SELECT * FROM {file}").fetchall()
    assert rows == [*((number, 'a "quoted"\nline') for number in range(500)), (None, ""), (7, None)]


NASTY = ["", " ", "NULL", "null", "\\N", "\\.", '"', '""', ",", "\n", "\r\n", "\r", "\ufeff", "\U0001d518",
         "nan", "1e3"]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
COLUMNS = {"whole": parquet.WHOLE, "text": parquet.TEXT, "other": parquet.TEXT, "index": parquet.INDEX,
           "count": parquet.COUNT}  # fmt: skip
ALL = """
SELECT * FROM unnest(%(whole)s::bigint[], %(text)s::text[], %(other)s::text[], %(index)s::numeric(20, 0)[],
    %(count)s::numeric(29, 10)[])
"""


@in_one_ledger
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1), st.none() | texts, st.none() | texts,
            st.none() | st.integers(0, 2**64 - 1).map(Decimal),
            st.none() | st.decimals(-(10**18), 10**18, places=10),
        ),
        min_size=1,
    ),
    size=st.integers(0, 200),
)  # fmt: skip
def test_every_value_of_the_ledger_is_in_the_file_as_it_is(
    ledger_url: str, tmp_path: Path, rows: list[tuple[Any, ...]], size: int
) -> None:
    """Byte for byte and digit for digit, wherever a block ends."""
    file = tmp_path / "x.parquet"
    file.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patched, Store(ledger_url) as store:
        patched.setattr(sql, "queries", (sql.queries() | {"all": ALL}).copy)
        patched.setattr("slurm_ai_factory.ledger.store.BLOCK", size)
        values = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
        blocks = store.copy_out("all", values, "(FORMAT csv)")
        assert parquet.write_csv_blocks(file, COLUMNS, blocks) == len(rows)
    found = parquet._pyarrow("parquet").read_table(file).to_pylist()
    assert [tuple(row.values()) for row in found] == rows


def test_a_count_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    columns = {"count": parquet.COUNT}
    with pytest.raises(SafError, match=r"cannot be written to x\.parquet"):
        parquet.write_csv_blocks(tmp_path / "x.parquet", columns, [b"0.00000000001\n"])


def test_where_no_directory_can_be_is_a_sentence(saf: Saf) -> None:
    (saf.directory / "archive").write_text("")
    refused = saf.run("ledger", "archive", "--to", "archive/below", "--month", MONTH, code=1).stderr
    assert "cannot write the archive in archive/below: Not a directory" in refused


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".."])
def test_a_cluster_that_is_no_directory_is_not_archived(name: str) -> None:
    with pytest.raises(LedgerError, match="cannot be archived"):
        archived.files_of(Path("archive"), name, MONTH)


@pytest.mark.parametrize("module", ["pyarrow", "duckdb"])
def test_without_the_extra_there_is_a_sentence(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SafError, match=r"in the checkout: pip install '\.\[archive\]'"):
        parquet._pyarrow() if module == "pyarrow" else archived._duckdb()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give either --to or --verify"),
        (("--to", "x"), "give either --month or --before"),
        (("--to", "x", "--month", MONTH, "--before", "now"), "give either --month or --before"),
        (("--verify", "x", "--before", "now"), "with --verify, --month or nothing"),
        (("--to", "x", "--verify", "x"), "give either --to or --verify"),
        (("--to", "x", "--month", "2026Q1"), "is not a month such as 2027-01"),
    ],
)
def test_options_that_do_not_fit(saf: Saf, options: tuple[str, ...], sentence: str) -> None:
    assert sentence in saf.run("ledger", "archive", *options, code=2).stderr


def test_a_month_that_was_never_archived_cannot_be_verified(saf: Saf) -> None:
    refused = saf.run("ledger", "archive", "--verify", "archive", "--month", MONTH, code=1).stderr
    assert "2026-01 was never archived" in refused
    assert "saf ledger archive --month 2026-01 --to DIRECTORY" in refused


def test_a_hostile_name_comes_out_as_it_is(saf: Saf, ledger_url: str) -> None:
    accounts = ['two\nlines, "quoted" \\N', *filter(None, NASTY)]
    with open_ledger(ledger_url, "loop") as ledger:
        known = ledger.archives.known_up_to() or 0
        runs = [run(700 + number, account, at(1, 5), 60) for number, account in enumerate(accounts)]
        ledger.intake.record(runs, READ, READ + HOUR, at=known + 1)
    archive(saf)
    for table in ("runs", "classifications"):
        found = {account for (account,) in asked(saf, f"SELECT account FROM {{{table}}}")}
        assert set(accounts) <= found
    assert asked(saf, "SELECT account FROM {runs} WHERE db_index >= 700 ORDER BY db_index") == [
        (account,) for account in accounts
    ]
    assert verified(saf) == {}
