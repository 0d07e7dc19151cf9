"""Three sites state their days, and a programme takes them in: in any order, twice, late, altered and lost.

The union is computed here once more, from the runs alone and without a line of the product.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from slurm_ai_factory.core.records import DAY, HOUR, Run, Size, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import PLANT, UMCG, link
from tests.conftest import new_ledger
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
