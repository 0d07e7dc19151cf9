"""Three sites state their days, and a programme takes them in: in any order, twice, late, altered and lost.

The union is computed here once more, from the runs alone and without a line of the product.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from slurm_ai_factory.audit.signing import signature
from slurm_ai_factory.core.programme.day_statement import (
    DayStatement,
    SignedStatement,
    StatedRow,
    signed_message,
    sync_of,
)
from slurm_ai_factory.core.records import DAY, HOUR, Run, Size, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import PLANT, UMCG, civil, link
from tests.conftest import by_hand, new_ledger
from tests.end_to_end.running import running
from tests.saf import Saf

FIRST = 1767571200
"""2026-01-05T00:00:00Z, a Monday."""
DAYS = 4
LAST = FIRST + DAYS * DAY
WINDOW = ("--window", "2026-01")
SINCE, UNTIL = "2026-01-05", "2026-01-09"
RULES = """
[[rule]]
name = "pilot"
beneficiary = "regional"
account_subtree = "amsterdam/"
wckey = "pilot"

[[rule]]
name = "amsterdam"
beneficiary = "non_regional"
account_subtree = "amsterdam/"

[[rule]]
name = "registry"
beneficiary = "registry"
"""


class Ran(NamedTuple):
    """A run as the independent sum sees it."""

    account: str
    project: str
    start: int
    end: int | None
    cpus: int
    gpus: int


class Facts(NamedTuple):
    """One site: its cluster, its weights from a day on, and its runs."""

    site: str
    cluster: str
    weights: tuple[tuple[int, str, int, int], ...]  #: (day, as typed, of a cpu, of a gpu)
    runs: dict[int, Ran]


def runs_of(seed: int, accounts: tuple[tuple[str, str], ...]) -> dict[int, Ran]:
    """Runs of random lengths, one of them open; some begin before the first day or end after the last."""
    draw = random.Random(seed)
    runs = {}
    for number in range(1, 25):
        start = draw.randrange(FIRST - DAY, LAST - HOUR)
        end = min(start + draw.choice((600, 5000, 40_000, 120_000)), LAST + 3000)
        runs[number] = Ran(*draw.choice(accounts), start, end, draw.choice((2, 8, 64)), draw.randrange(5))
    runs[25] = Ran(*accounts[0], LAST - 30_000, None, 4, 1)
    return runs


SITES = (
    Facts("groningen", "alpha", ((FIRST, "128*gres/gpu", 0, 128),),
          runs_of(1, (("umcg", ""), ("joint", ""), ("stray", "")))),
    Facts("south", "beta", ((FIRST, "192*gres/gpu", 0, 192), (FIRST + 2 * DAY, "200*gres/gpu+1*cpu", 1, 200)),
          runs_of(2, (("plant", ""), ("umcg", "x")))),
    Facts("amsterdam", "gamma", ((FIRST, "3*cpu", 3, 0),), runs_of(3, (("uva", "pilot"), ("uva", "")))),
)  # fmt: skip
LATE = Ran("plant", "", FIRST + DAY, FIRST + DAY + 50_000, 64, 8)
"""A run of the south that accounting knew otherwise at first."""


def as_run(cluster: str, number: int, ran: Ran, at: int) -> Run:
    """The run as Slurm lists it; it waited for ten minutes."""
    held = f"cpu={ran.cpus}," + (f"gres/gpu={ran.gpus}," if ran.gpus else "") + "node=1"
    subject = Subject(cluster, ran.account, "anna", "main", "normal", ran.project, "")
    state, elapsed = ("RUNNING", at - ran.start) if ran.end is None else ("COMPLETED", ran.end - ran.start)
    begin = ran.start - 600
    dates = begin, begin, ran.start, ran.end
    return Run(number, number, str(number), subject, state, *dates, elapsed, 0, held, held)


def read(url: str, facts: Facts, at: int, **late: Ran) -> None:
    """Record one read of all the days."""
    runs = facts.runs | {int(number): ran for number, ran in late.items()}
    with open_ledger(url, facts.cluster) as ledger:
        listed = [as_run(facts.cluster, number, ran, at) for number, ran in runs.items()]
        ledger.intake.record_events([Size(FIRST - DAY, None, "cpu=5000,gres/gpu=500,node=20")], [], 1)
        ledger.intake.record(listed, FIRST - DAY, LAST + HOUR, at=at)


def keys(directory: Path) -> tuple[Path, Path]:
    """A new private key and its public half, in files."""
    key = Ed25519PrivateKey.generate()
    private, public = directory / "private.pem", directory / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


class Hubs(NamedTuple):
    """The sites by name, and the programme."""

    sites: dict[str, Saf]
    programme: Saf

    def state(self, site: str, code: int = 0) -> list[Path]:
        """The files that a site's statements are written to now."""
        saf = self.sites[site]
        done = saf.json("hub", "state", "-S", SINCE, "-E", UNTIL, "-o", "out", code=code)
        return [saf.directory / file for file in done["files"]]

    def intake(self, *files: Path, code: int = 0) -> str:
        return self.programme.run("hub", "intake", *map(str, files), code=code).stderr

    def share(self, *options: str) -> dict[str, Any]:
        """site -> its row; all together under an empty name."""
        answer = self.programme.json("hub", "share", *WINDOW, *options)
        return {row["site"]: row for row in answer["rows"]}


@pytest.fixture
def hubs(postgresql: str, tmp_path: Path) -> Iterator[Hubs]:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with ExitStack() as stack:

        def saf(name: str) -> Saf:
            (tmp_path / name).mkdir()
            made = Saf(tmp_path / name, env, stack.enter_context(new_ledger(postgresql)))
            made.configure("promise", RULES, window="month", resource="gres/gpu", time_zone="UTC")
            return made

        sites, programme = {facts.site: saf(facts.site) for facts in SITES}, saf("programme")
        programme.configure("cluster", name="programme")
        for facts in SITES:
            site = sites[facts.site]
            private, public = keys(site.directory)
            site.sections["hub"] = {"site": facts.site}
            site.configure(name=facts.cluster)
            site.configure("ledger", signing_key=str(private))
            read(site.sections["ledger"]["url"], facts, LAST + HOUR)  # type: ignore[arg-type]
            name = f"{facts.site}/{facts.cluster}"
            for day, typed, *_ in facts.weights:
                since = f"2026-01-0{5 + (day - FIRST) // DAY}"
                programme.run("hub", "add", name, "--key", str(public), "--weights", typed, "--since", since,
                              "--reason", "agreement")  # fmt: skip
            programme.run("hub", "end", name, "--on", UNTIL, "--reason", "end of the pilot")
        yield Hubs(sites, programme)


def register(programme: Saf) -> None:
    """Who the accounts of sites belong to: the programme alone knows."""
    for command in (UMCG, PLANT, link("umcg", "groningen/umcg"), link("umcg", "groningen/joint", "0.4"),
                    link("plant", "groningen/joint", "0.6"), link("plant", "south/plant"),
                    link("umcg", "south/umcg")):  # fmt: skip
        programme.run(*command)


REGIONAL = {
    ("groningen", "umcg", ""): Fraction(1), ("groningen", "joint", ""): Fraction(2, 5),
    ("south", "umcg", "x"): Fraction(1), ("amsterdam", "uva", "pilot"): Fraction(1),
}  # fmt: skip
"""The regional fraction of each account and project; of all others none."""


def union(**late: Ran) -> dict[str, tuple[Fraction, Fraction, Fraction, Fraction]]:
    """site -> raw regional, raw total, weighted regional, weighted total; second by second of each run."""
    sums = {name: [Fraction(0)] * 4 for name in ("", *(facts.site for facts in SITES))}
    for facts in SITES:
        runs = facts.runs | (
            {int(number): ran for number, ran in late.items()} if facts.site == "south" else {}
        )
        for ran in runs.values():
            part = REGIONAL.get((facts.site, ran.account, ran.project), Fraction(0))
            for day in range(FIRST, LAST, DAY):
                end = LAST if ran.end is None else ran.end
                seconds = max(0, min(end, day + DAY) - max(ran.start, day))
                of_cpu, of_gpu = next(row[2:] for row in reversed(facts.weights) if row[0] <= day)
                raw, weighted = seconds * ran.gpus, seconds * (of_cpu * ran.cpus + of_gpu * ran.gpus)
                amounts = part * raw, Fraction(raw), part * weighted, Fraction(weighted)
                for name in ("", facts.site):
                    for place, amount in enumerate(amounts):
                        sums[name][place] += amount
    return {name: (row[0], row[1], row[2], row[3]) for name, row in sums.items()}


def shown(row: dict[str, Any]) -> tuple[Fraction, ...]:
    """The same four figures of a row of `saf hub share`."""
    charges = "regional_charge", "total_charge"
    return tuple(Fraction(str(row[unit][charge])) for unit in ("raw", "weighted") for charge in charges)


def test_files_in_any_order_give_the_union_of_the_sites(hubs: Hubs, tmp_path: Path) -> None:
    """With duplicates, losses, one altered statement and one late revision."""
    files = [file for site in hubs.sites for file in hubs.state(site)]
    assert len(files) == DAYS * len(SITES)
    assert not any("anna" in file.read_text() for file in files), "user names never leave a site"
    south = next(facts for facts in SITES if facts.site == "south")
    read(str(hubs.sites["south"].sections["ledger"]["url"]), south, LAST + 2 * HOUR, **{"3": LATE})
    late = hubs.state("south")
    assert {file.name.rpartition("+")[2] for file in late} == {"2.json"}
    altered = tmp_path / files[5].name
    text = json.loads(files[5].read_text())
    text["statement"]["rows"][0][5] += 1
    altered.write_text(json.dumps(text, sort_keys=True, separators=(",", ":")) + "\n")
    order = random.Random(7)
    everything = [*files, *late, *order.choices([*files, *late], k=9)]
    order.shuffle(everything)
    lost = [file for file in everything if file.name == files[2].name]
    kept = [file for file in everything if file not in lost]
    assert f"{altered} was changed: its digest is not that of its content" in hubs.intake(altered, code=1)
    for start in range(0, len(kept), 5):
        hubs.intake(*kept[start : start + 5])
    open_share = hubs.share()
    assert open_share[""]["raw"]["verdict"] == "open"
    assert hubs.programme.json("hub", "status", code=5)[1]["missing"] == [
        {"site": "groningen", "cluster": "alpha", "day": "2026-01-07", "reason": "no statement"}
    ]
    before = hubs.programme.run("hub", "share", *WINDOW, "--as-of", "now").stdout
    hubs.intake(lost[0])
    register(hubs.programme)
    final, wanted = hubs.share(), union(**{"3": LATE})
    assert {name: shown(row) for name, row in final.items()} == wanted
    table = list(csv.DictReader(io.StringIO(hubs.programme.run("hub", "share", *WINDOW, "--csv").stdout)))
    assert {row["site"].replace("all", ""): (row["regional"], row["weighted share"]) for row in table} == {
        name: (str(row["raw"]["regional_charge"]), str(row["weighted"]["delivered_share"]))
        for name, row in final.items()
    }
    assert final[""]["raw"]["verdict"] != "open"
    assert "open" in before
    assert [row["missing"] for row in hubs.programme.json("hub", "status")] == [[], [], []]
    assert not [row for row in hubs.programme.json("ledger", "verify")["checks"] if row["differing"]]
    reported(hubs.programme, final[""]["raw"]["delivered_share"])
    assert [hubs.state(site) for site in hubs.sites] == [[], [], []], "an unchanged day gets no revision"


def reported(programme: Saf, share: float) -> None:
    """The report over the sites, in both languages, with the share that the programme has."""
    files = programme.json("hub", "report", *WINDOW, "-o", "report")["files"]
    nl, en = (Path(programme.directory / file).read_text() for file in files)
    for page, words in (
        (nl, ("locaties", "januari 2026", "samen")),
        (en, ("all sites", "January 2026", "together")),
    ):
        assert [word for word in words if word not in page] == []
        assert f'<data value="{share!r}">' in page
        assert "groningen/alpha" in page
        assert "UMCG" not in page
        assert "plant" not in page


def test_a_site_with_few_organisations_is_not_shown_by_itself(hubs: Hubs) -> None:
    """Nor is the share with weights, from which it could be computed."""
    for site in hubs.sites:
        hubs.intake(*hubs.state(site))
    register(hubs.programme)
    (file, _) = hubs.programme.json("hub", "report", *WINDOW, "-o", "report")["files"]
    page = (hubs.programme.directory / file).read_text()
    assert "3 andere, samen" in page
    assert "gewichten van de locaties laten we niet zien" in page
    hubs.programme.sections["report"] = {"min_organisations": 1}
    hubs.programme.configure()
    hubs.programme.json("hub", "report", *WINDOW, "-o", "report")
    page = (hubs.programme.directory / file).read_text()
    assert "gewichten die de locaties hebben afgesproken" in page
    assert '<th scope="row">amsterdam</th>' in page


@pytest.fixture
def programme(postgresql: str, tmp_path: Path) -> Iterator[tuple[Saf, Path]]:
    """A programme that takes in days of one cluster, and the key of its site."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with new_ledger(postgresql) as url:
        saf = Saf(tmp_path, env, url)
        saf.configure("promise", RULES, window="month", resource="cpu", time_zone="UTC")
        private, public = keys(tmp_path)
        add = ("hub", "add", "south/beta", "--key", str(public), "--weights", "cpu", "--since", SINCE)
        saf.run(*add, "--reason", "agreement")
        saf.run("hub", "end", "south/beta", "--on", UNTIL, "--reason", "end of the pilot")
        yield saf, private


def test_a_programme_is_not_sent_to_a_slurm_that_it_does_not_have(programme: tuple[Saf, Path]) -> None:
    sentence = "reads no Slurm; see `saf hub status`, `saf hub share` and `saf hub report`"
    for command in (("share",), ("unclassified",), ("report", "--window", "2026-01", "-o", "."),
                    ("cycle",), ("plan",), ("doctor",), ("reconcile",), ("backfill", "-S", SINCE),
                    ("ledger", "withdraw", "--since", SINCE, "--reason", "wrong")):  # fmt: skip
        said = programme[0].run(*command, code=1).stderr
        assert sentence in said
        assert "scontrol" not in said
    with running(programme[0]) as daemon:
        assert "no cycle" in daemon.says(sentence)


def test_the_rules_of_a_programme_are_checked_against_its_ledger(programme: tuple[Saf, Path]) -> None:
    said = programme[0].run("rules", "check", code=1).stderr
    assert "rule 'pilot': account_subtree 'amsterdam/'" in said


def given(
    directory: Path, key: Path, revision: int = 1, before: str = "", **changes: Any
) -> tuple[Path, str]:
    """The file and the digest of a statement of the first day, signed by a site."""
    rows = [StatedRow(0, "plant", "", "local", "cpu=4", 100 * revision, 0, 1)]
    made = DayStatement(format=1, site="south", cluster="beta", day=FIRST, revision=revision, previous=before,
                        capacity={}, rows=rows, sync=sync_of(rows, LAST))  # fmt: skip
    made = msgspec.structs.replace(made, **changes)
    file = directory / f"{made.site}-{made.revision}-{len(list(directory.iterdir()))}.json"
    file.write_text(SignedStatement(made, made.digest, signature(key, signed_message(made.digest))).text())
    return file, made.digest


def test_what_contradicts_the_books_is_refused_and_a_gap_leaves_the_day_open(
    programme: tuple[Saf, Path], tmp_path: Path
) -> None:
    saf, key = programme
    first, digest = given(tmp_path, key)
    second, second_digest = given(tmp_path, key, 2, digest)
    third, _ = given(tmp_path, key, 3, second_digest)
    other_second, _ = given(tmp_path, key, 2, "0" * 64)
    saf.run("hub", "intake", str(third), str(first))
    assert saf.json("hub", "status", code=5)[0]["missing"][0]["reason"] == "revision 2 is missing"
    done = saf.run("hub", "intake", str(other_second), str(second), code=1)
    assert f"{other_second} does not follow the revision 1 that was taken in" in done.stderr
    assert "took in 1 statement, 0 known already, 1 refused" in done.stderr
    assert saf.json("hub", "share", *WINDOW)["rows"][0]["raw"]["total_charge"] == 4 * 300
    assert len(saf.json("hub", "status", code=5)[0]["missing"]) == DAYS - 1
    altered, _ = given(tmp_path, key, 3, second_digest, rows=[], sync=sync_of([], LAST))
    assert (
        "is another revision 3 than the one taken in" in saf.run("hub", "intake", str(altered), code=1).stderr
    )


def test_a_signed_statement_whose_sync_line_disagrees_leaves_its_day_unread(
    programme: tuple[Saf, Path], tmp_path: Path
) -> None:
    saf, key = programme
    first, digest = given(tmp_path, key)
    wrong, wrong_digest = given(tmp_path, key, 2, digest, sync=sync_of([], LAST))
    done = saf.json("hub", "intake", str(first), str(wrong))
    assert (done["new"], [row["reason"] for row in done["unread"]]) == (
        2,
        ["its sync line has 0 runs, its rows have 1"],
    )
    before = saf.json("hub", "share", *WINDOW)
    assert len(before["rows"][-1]["unread"]) == DAYS
    third, _ = given(tmp_path, key, 3, wrong_digest)
    saf.run("hub", "intake", str(third))
    assert len(saf.json("hub", "share", *WINDOW)["rows"][-1]["unread"]) == DAYS - 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another site": ({"site": "north"}, "is of north/beta, which is not registered; see `saf hub add`"),
    "another cluster": (
        {"cluster": "omega"},
        "is of south/omega, which is not registered; see `saf hub add`",
    ),
    "a day before": (
        {"day": FIRST - DAY},
        "is of 2026-01-04, a day that south/beta does not state; see `saf hub list`",
    ),
    "a day after the end": (
        {"day": LAST},
        "is of 2026-01-09, a day that south/beta does not state; see `saf hub list`",
    ),
}


def test_an_account_of_a_site_is_known_once_a_statement_names_it(
    programme: tuple[Saf, Path], tmp_path: Path
) -> None:
    saf, key = programme
    saf.run(*PLANT)
    linked = link("plant", "south/plant")
    refused = saf.run(*linked, code=1).stderr
    assert "the cluster has no account 'south/plant'; take in a statement of its site first" in refused
    saf.run("hub", "intake", str(given(tmp_path, key)[0]))
    saf.run(*linked)


def test_what_no_site_sent_is_refused(programme: tuple[Saf, Path], tmp_path: Path) -> None:
    """By the reason of each, and everything else in the same command goes in."""
    saf, key = programme
    (tmp_path / "other").mkdir()
    stranger, _ = keys(tmp_path / "other")
    box = tmp_path / "box"
    box.mkdir()
    wanted = {str(given(box, key, **changes)[0]): why for changes, why in REFUSED.values()}
    foreign = "is not signed with the key of south/beta; let the site write it again"
    wanted[str(given(box, stranger)[0])] = foreign
    os.mkfifo(box / "pipe.json")
    (box / "link.json").symlink_to("/etc/passwd")
    (box / "folder.json").mkdir()
    wanted |= {
        str(box / "pipe.json"): "is not a regular file",
        str(box / "link.json"): "cannot be read: Too many levels of symbolic links",
        str(box / "folder.json"): "cannot be read: Is a directory",
    }
    good, _ = given(box, key)
    (box / f".4711.{good.name}").write_bytes(good.read_bytes()[:100])  # as while it is being written
    done = saf.run("hub", "intake", str(box), "--json", code=1)
    answer = json.loads(done.stdout)
    assert {row["file"]: row["reason"] for row in answer["refused"]} == wanted
    assert (answer["new"], answer["known"]) == (1, 0)
    assert saf.json("hub", "intake", str(good))["known"] == 1


def test_a_changed_row_of_a_statement_is_found(programme: tuple[Saf, Path], tmp_path: Path) -> None:
    saf, key = programme
    saf.run("hub", "intake", str(given(tmp_path, key)[0]))
    with by_hand(str(saf.sections["ledger"]["url"])) as connection:
        connection.execute("UPDATE day_statement_rows SET delivered = delivered + 1")
    checks = {row["check"]: row for row in saf.json("ledger", "verify", code=5)["checks"]}
    assert checks["day statements"]["first"] == "south/beta 2026-01-05T00:00:00Z revision 1"
    assert [name for name, row in checks.items() if row["differing"]] == ["day statements"]


def test_a_new_key_counts_from_when_its_term_begins(programme: tuple[Saf, Path], tmp_path: Path) -> None:
    saf, key = programme
    (tmp_path / "new").mkdir()
    private, public = keys(tmp_path / "new")
    add = ("hub", "add", "south/beta", "--key", str(public), "--weights", "cpu", "--reason", "new key")
    saf.run(*add, "--since", "2026-01-07")
    saf.run("hub", "end", "south/beta", "--on", UNTIL, "--reason", "end of the pilot, with the new key")
    assert (
        "is not signed with the key" in saf.run("hub", "intake", str(given(tmp_path, key)[0]), code=1).stderr
    )
    saf.run("hub", "intake", str(given(tmp_path, private)[0]))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("hub", "add", "south", "--weights", "cpu", "--since", SINCE), "such as groningen/alpha"),
        (("hub", "add", "../x/beta", "--weights", "cpu", "--since", SINCE), "wants up to 64 letters"),
        (("hub", "add", "south/beta", "--weights", "-1*cpu", "--since", SINCE), "is not a resource"),
        (("hub", "add", "south/beta", "--weights", "cpu", "--since", "soon"), "is not a date"),
    ],
)
def test_what_cannot_be_registered(books: Saf, tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    _, public = keys(tmp_path)
    assert why in books.run(*arguments, "--key", str(public), "--reason", "r", code=2).stderr


def test_a_key_that_is_none_is_refused(books: Saf, tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    add = ("hub", "add", "south/beta", "--weights", "cpu", "--since", SINCE, "--reason", "r", "--key")
    refused = "is not a public key in PEM format; make one of the private key: openssl pkey -pubout"
    assert refused in books.run(*add, str(private), code=1).stderr
    assert "lacks hub.site or ledger.signing_key" in books.run("hub", "state", "-o", "x", code=1).stderr
    assert "takes in days of no site" in books.run("hub", "share", code=1).stderr


def test_only_the_public_key_of_a_file_is_kept(books: Saf, tmp_path: Path) -> None:
    """Neither a comment nor a private key that stands in the same file."""
    private, public = keys(tmp_path)
    file = tmp_path / "sent.pem"
    file.write_bytes("# clé\n".encode() + public.read_bytes() + private.read_bytes())
    books.run("hub", "add", "south/beta", "--weights", "cpu", "--since", SINCE, "--reason", "r",
              "--key", str(file))  # fmt: skip
    with by_hand(str(books.sections["ledger"]["url"])) as connection:
        kept = connection.execute("SELECT public_key FROM hubs").fetchone()
    assert kept == (public.read_text(),)


def test_an_end_after_the_end_is_refused(programme: tuple[Saf, Path]) -> None:
    """It would be recorded, and change nothing."""
    saf, _ = programme
    end = ("hub", "end", "south/beta", "--reason", "r", "--on")
    assert f"has ended on {UNTIL} already" in saf.run(*end, "2026-01-12", code=1).stderr
    saf.run(*end, "2026-01-08")


def test_days_are_unread_where_nothing_was_read_at_all(postgresql: str, tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with new_ledger(postgresql) as url:
        saf = Saf(tmp_path, env, url)
        saf.sections["hub"] = {"site": "groningen"}
        saf.configure("ledger", signing_key=str(private))
        given = ("-S", civil(31), "-E", civil(0))
        assert saf.json("hub", "state", *given, "-o", "out", code=5)["unread"] == [
            civil(days) for days in range(31, 0, -1)
        ]
        assert len(saf.json("hub", "state", "-o", "other", code=5)["unread"]) == 31


def test_days_that_are_none_are_refused(books: Saf, tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    books.sections["hub"] = {"site": "groningen"}
    books.configure("ledger", signing_key=str(private))
    state = ("hub", "state", "-o", "out", "-S", "2026-01-09", "-E")
    assert "no whole day is between" in books.run(*state, "2026-01-05", code=2).stderr
    assert f"--until {civil(-2)} is in the future" in books.run(*state, civil(-2), code=2).stderr
    assert not (books.directory / "out").exists()


def test_a_statement_that_cannot_be_written_leaves_no_part_of_it(books: Saf, tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    books.sections["hub"] = {"site": "groningen"}
    books.configure("ledger", signing_key=str(private))
    inside = books.directory / "out" / f"groningen+loop+{civil(2)}+1.json" / "inside"
    inside.mkdir(parents=True)
    done = books.run("hub", "state", "-S", civil(2), "-o", "out", code=1)
    assert done.stderr == f"saf: out/{inside.parent.name} is a directory; name a file\n"
    assert list((books.directory / "out").iterdir()) == [inside.parent]


def test_a_day_that_was_not_read_whole_is_not_stated(books: Saf, tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    books.sections["hub"] = {"site": "groningen"}
    books.configure("ledger", signing_key=str(private))
    done = books.json("hub", "state", "-S", civil(10), "-E", civil(7), "-o", "out", code=5)
    assert ([file.partition("+loop+")[2] for file in done["files"]], done["unread"]) == (
        [f"{civil(9)}+1.json", f"{civil(8)}+1.json"], [civil(10)],
    )  # fmt: skip
    assert books.json("hub", "state", "-o", "out")["unread"] == []
    lost = books.directory / done["files"][0]
    kept = lost.read_bytes()
    lost.unlink()
    assert books.json("hub", "state", "-o", "out")["files"] == [done["files"][0]]
    assert lost.read_bytes() == kept, "the same revision is the same file, byte for byte"
