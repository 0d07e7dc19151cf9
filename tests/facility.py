"""A year of a facility that does not exist: runs, decisions, organisations and expertise hours of 2027.

Rule: everything is drawn from one seed and goes through the ledger's own methods, read by read, as a daemon
would have written it; so whatever a report says of it was once known at that instant. In the third quarter
the control only observed and the region stayed below its floor while its jobs waited. Some of the first
quarter is corrected later: some runs by Slurm, and one organisation that was registered late.

Meters are read from April on. In the second quarter the meter of the IT equipment has more behind it than the
machine; in the third the connection to the grid is read too, and limited on three evenings; in the fourth it
is not read any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from slurm_ai_factory import config as configuration
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.allowed import AllowedPower, PowerKind
from slurm_ai_factory.core.energy.meters import Kind, Placement, Reading
from slurm_ai_factory.core.programme.expertise import HoursKind, NewEntry
from slurm_ai_factory.core.records import (
    FOREVER,
    HOUR,
    Association,
    Change,
    ChangeStatus,
    Decision,
    Instant,
    Outage,
    Run,
    Size,
    Subject,
)
from slurm_ai_factory.core.rules.organisations import Link, Organisation, RegistryEntry
from slurm_ai_factory.ledger import Ledger, open_ledger

CLUSTER = "noorderlicht"
SEED = 20270101
ZONE = ZoneInfo("Europe/Amsterdam")
DAY = 24 * HOUR
WEEK = 7 * DAY
GPUS, NODES = 256, 64
SIZE = f"billing=4096,cpu=4096,gres/gpu={GPUS},mem=32768000,node={NODES}"


def at(day: str) -> Instant:
    """Civil midnight of a day."""
    return windows.day(day, ZONE)


SINCE, UNTIL = at("2027-01-01"), at("2028-01-08")
QUARTERS = ("2027Q1", "2027Q2", "2027Q3", "2027Q4")
AS_OF = {"2027Q1": at("2027-04-10"), "2027Q2": at("2027-07-10"), "2027Q3": at("2027-10-09"),
         "2027Q4": at("2028-01-08")}  # fmt: skip
"""When the report of each quarter is made."""

REGIONAL = {"2027Q1": 0.27, "2027Q2": 0.29, "2027Q3": 0.205, "2027Q4": 0.285}
"""Part of the charge that is the region's, more or less."""
REGIONAL_WAIT = {"2027Q1": 1.2, "2027Q2": 0.8, "2027Q3": 11.0, "2027Q4": 1.5}
"""Hours that its runs wait, on average."""

AGREEMENT = "Samenwerkingsovereenkomst 2026 (voorbeeld)"
"""The document that the promise is in."""

LATE = "kaartlab"
"""Registered in May, with its account from January on."""

ORGANISATIONS = """
zorgmaat       Zorgmaat Noord           business              care            GM0014 groningen  9
huisartsnet    Huisartsennet            business              care            GM0106 groningen  3
kliniekdata    Kliniekdata              business              care            GM0014 groningen  4
thuisdichtbij  Thuis Dichtbij           business              care            GM1730 groningen  2
melkveld       Melkveld Data            business              agriculture     GM1966 groningen  4
pootaard       Pootaard Veredeling      business              agriculture     GM1969 groningen  5
bodemwijs      Bodemwijs                business              agriculture     GM1731 groningen  3
akkerzicht     Akkerzicht               business              agriculture     GM1895 groningen  2
windwaard      Windwaard                business              energy          GM1979 groningen  6
waterstofhuis  Waterstofhuis            business              energy          GM1979 groningen  5
netbalans      Netbalans                business              energy          GM0014 groningen  4
zonnekracht    Zonnekracht              business              energy          GM1680 groningen  2
chemiekade     Chemiekade               business              industry        GM1979 groningen  5
maakwerk       Maakwerk Oost            business              industry        GM1952 groningen  3
papierlijn     Papierlijn               business              industry        GM0047 groningen  3
scheepsvorm    Scheepsvorm              business              industry        GM1895 groningen  2
havenspoor     Havenspoor               business              logistics       GM1979 groningen  3
routekiezer    Routekiezer              business              logistics       GM0106 groningen  2
pakketlijn     Pakketlijn               business              logistics       GM0014 groningen  2
kaartlab       Kaartlab                 business              J               GM0014 groningen  3
taalwerk       Taalwerk                 business              J               GM0014 groningen  4
beeldfabriek   Beeldfabriek             business              J               GM0014 groningen  3
veenlab        Veenlab                  knowledge_institution education       GM0014 groningen  9
noordcollege   Noordcollege             knowledge_institution education       GM0106 groningen  4
praktijklab    Praktijklab              knowledge_institution education       GM0014 groningen  5
aardmeting     Instituut Aardmeting     knowledge_institution M               GM0014 groningen  6
gemeentedata   Datadienst Gemeenten     government            public_services GM0014 groningen  5
waterbeheer    Waterbeheer Noorderzijl  government            public_services GM0014 groningen  4
veiligwonen    Regio Veilig Wonen       government            public_services GM0106 groningen  3
omgeving       Omgevingsdienst          government            public_services GM0047 groningen  2
lichtlijn      Lichtlijn                business              industry        GM0772 south      9
robotmakers    Robotmakers              business              industry        GM0772 south      8
chipontwerp    Chipontwerp              business              industry        GM0772 south      8
sensorhuis     Sensorhuis               business              industry        GM0772 south      7
geldstroom     Geldstroom               business              K               GM0363 amsterdam  8
mediatuin      Mediatuin                business              J               GM0363 amsterdam  7
vrachtbord     Vrachtbord               business              logistics       GM0363 amsterdam  6
stadslab       Stadslab                 knowledge_institution education       GM0363 amsterdam  7
eu_klima       Klimamodell              knowledge_institution M               -      european   12
eu_sprog       Sprogmodel               knowledge_institution M               -      european   10
eu_proteine    Proteine                 knowledge_institution M               -      european   9
eu_materiaux   Materiaux                business              industry        -      european   8
"""

SIZES = {
    "micro": "huisartsnet thuisdichtbij bodemwijs beeldfabriek routekiezer zonnekracht scheepsvorm",
    "small": "kliniekdata melkveld akkerzicht kaartlab taalwerk pakketlijn netbalans mediatuin",
    "medium": "pootaard waterstofhuis maakwerk papierlijn havenspoor lichtlijn robotmakers",
    "large": "zorgmaat windwaard chemiekade chipontwerp sensorhuis geldstroom vrachtbord eu_materiaux",
}
"""The size of each company."""

STAGES = {
    "startup": "beeldfabriek bodemwijs thuisdichtbij taalwerk",
    "scaleup": "melkveld netbalans kliniekdata robotmakers",
}
"""The companies that are not established yet."""

ACCESS = {
    "zorgmaat": "large_scale",
    "veenlab": "large_scale",
    "windwaard": "large_scale",
    "pootaard": "large_scale",
}
"""Modes of access; others of the region have its own, or the fast lane if the company is young."""

GRANTED = {"zorgmaat": 30000, "veenlab": 30000, "windwaard": 20000, "pootaard": 18000, "melkveld": 12000,
           "netbalans": 15000, "taalwerk": 15000, "bodemwijs": 10000}  # fmt: skip
"""GPU-hours that were granted for the whole year."""

CONFIG = """
[cluster]
name = "noorderlicht"

[promise]
resource = "gres/gpu"
window = "quarter"
time_zone = "Europe/Amsterdam"

[registry]
region = "groningen-noord-drenthe"
hubs = ["groningen", "south", "amsterdam", "european"]

[ledger]
url = "{url}"

[report]
facility = "Rekencentrum Noorderlicht (voorbeeld)"
region = { nl = "Groningen en Noord-Drenthe", en = "Groningen and Noord-Drenthe" }
contact = "programmabureau@noorderlicht.example"

[expertise]
unmet_recorded = true

[privacy]
pseudonymise_after = "180d"

[water]
exempt = { toilets = "sanitary" }

[[energy.watts]]
tres = "gres/gpu"
watts = 550
since = 2027-04-01
source = "benchmark of 2027-03-12"

[[energy.emissions]]
basis = "location"
grams_per_kwh = 268
since = 2027-01-01
source = "emission factors of the grid, 2027"

[[energy.emissions]]
basis = "market"
grams_per_kwh = 12.5
since = 2027-08-01
source = "guarantees of origin, 2027"

[[rule]]
name = "register"
beneficiary = "registry"
account_subtree = "root"

[[tariff]]
beneficiary = "regional"
resource = "gres/gpu"
price = "0.02"
since = "2027-01-01"

[[tariff]]
beneficiary = "regional"
resource = "gres/gpu"
price = "0.03"
since = "2027-08-01"

[[tariff]]
beneficiary = "non_regional"
resource = "gres/gpu"
price = "1.15"
since = "2027-01-01"
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, how much of its side's charge it makes, and who submits."""

    name: str
    regional: bool
    weight: int
    users: tuple[str, ...]


def organisations() -> list[tuple[Organisation, int]]:
    """Every organisation with its weight."""
    rows = [line.split() for line in ORGANISATIONS.strip().splitlines()]
    return [
        (
            Organisation(
                organisation=key, name=" ".join(name), kvk="" if code == "-" else f"{90000000 + n}",
                category=category, sector=sector, municipality=code.strip("-"), hub=hub, since=SINCE,
                size=_of(key, SIZES), stage=_of(key, STAGES, "established") if category == "business" else "",
            ),
            int(weight),
        )
        for n, (key, *name, category, sector, code, hub, weight) in enumerate(rows)
    ]  # fmt: skip


def _of(key: str, groups: dict[str, str], other: str = "") -> str:
    """The group that has an organisation."""
    return next((name for name, keys in groups.items() if key in keys.split()), other)


@cache
def accounts() -> list[Account]:
    """One for each organisation, a joint project, and one that nobody has registered."""
    found = [
        Account(one.organisation, one.hub == "groningen", weight, _users(one.organisation))
        for one, weight in organisations()
    ]
    return [
        *found,
        Account("waterstof_samen", False, 6, _users("samen")),
        Account("bezoekers", False, 1, _users("bezoek")),
    ]


def _users(key: str) -> tuple[str, ...]:
    return tuple(f"{key[:6]}{number}" for number in range(1, 4))


def build(url: str, file: Path, until: Instant = UNTIL) -> configuration.Config:
    """Write the year into the empty ledger at ``url``, as far as it had come at an instant.

    The configuration goes into ``file``.
    """
    file.write_text(CONFIG.replace("{url}", url), encoding="utf-8")
    config = configuration.load_file(file)
    with open_ledger(url, CLUSTER) as ledger:
        ledger.promise_terms.begin(replace(config.first_term(SINCE, "beheer@example"), source=AGREEMENT))
        ledger.registry.keep_rules(config.rules, config.registry.region, SINCE)
        tree = {"root": None, "regional": "root", "national": "root"}
        tree |= {one.name: "regional" if one.regional else "national" for one in accounts()}
        rows = [Association(cluster=CLUSTER, account=a, parent=p, raw_shares=1) for a, p in tree.items()]
        ledger.intake.record_accounts(rows, SINCE)
        _write_registry(ledger, config)
        node = "billing=64,cpu=64,gres/gpu=4,mem=512000,node=1"
        away = at("2027-02-16"), at("2027-02-18"), "DRAIN", node
        down = [Outage(f"n{n:02}", *away) for n in range(1, NODES + 1)]
        down += [Outage(f"n{n:02}", at("2027-08-03"), at("2027-08-20"), "DOWN", node) for n in range(9, 17)]
        ledger.intake.record_events([Size(SINCE, None, SIZE)], down, SINCE)
        _write_expertise(ledger, Random(SEED + 1))
        _write_control(ledger, Random(SEED + 2))
        runs = sorted(_runs(Random(SEED)), key=lambda run: run.db_index)
        _write_runs(ledger, runs, until)
        _write_meters(ledger, runs, Random(SEED + 3))
        _write_grid(ledger, Random(SEED + 4))
    return config


def _write_registry(ledger: Ledger, config: configuration.Config) -> None:
    known = [one for one, _ in organisations()]
    joint = [
        Link(
            organisation="waterstofhuis",
            account="waterstof_samen",
            fraction=Decimal("0.4"),
            since=SINCE,
            access="large_scale",
        ),
        Link(organisation="lichtlijn", account="waterstof_samen", fraction=Decimal("0.6"), since=SINCE),
    ]
    own = [_own_link(one) for one in known]
    entries: list[RegistryEntry] = [*known, *own, *joint]
    codes = config.codes(ledger.accounting.parents())
    for late, when, reason in ((False, SINCE, "aanmelding"), (True, at("2027-05-10"), "te laat aangemeld")):
        said = {"at": when, "actor": "beheer@example", "reason": reason}
        done = ledger.registry.record([e for e in entries if (e.organisation == LATE) is late], codes, said)
        assert not done.problems, done.problems


def _own_link(one: Organisation) -> Link:
    """The account of an organisation; hours are granted for a year."""
    usual = ("fast_lane" if one.stage in STAGES else "regional") if one.hub == "groningen" else ""
    granted = GRANTED.get(one.organisation)
    return Link(
        organisation=one.organisation, account=one.organisation, since=SINCE,
        access=ACCESS.get(one.organisation, usual), granted=Decimal(granted) if granted else None,
        until=UNTIL if granted else FOREVER,
    )  # fmt: skip


def quarter(instant: Instant) -> str:
    """The quarter an instant lies in; what comes after the year counts as its last."""
    month = datetime.fromtimestamp(min(instant, UNTIL - 10 * DAY), ZONE).month
    return QUARTERS[(month - 1) // 3]


def _write_runs(ledger: Ledger, made: list[Run], last: Instant) -> None:
    """Week by week: what had ended by then, and what was open."""
    told: set[int] = set()
    for until in range(SINCE + WEEK, last + 1, WEEK):
        since = until - WEEK
        new = [run for run in made if run.db_index not in told and (run.submit_at or 0) < until]
        seen = [_seen(run, until) for run in new]
        told |= {run.db_index for run in seen if run.end_at is not None}
        if since <= at("2027-04-28") < until:
            seen += [_corrected(run) for run in made if at("2027-03-08") <= (run.start_at or 0) < CORRECTED]
        ledger.intake.record(seen, since, until, at=until)


CORRECTED = at("2027-03-08") + 6 * HOUR
"""Slurm corrects the end of the runs that began in the six hours before this, but only in April."""


def _corrected(run: Run) -> Run:
    """It had ended sooner than was told at first."""
    half = run.elapsed_seconds // 2
    return run._replace(end_at=(run.start_at or 0) + half, elapsed_seconds=half, state="NODE_FAIL")


def _seen(run: Run, instant: Instant) -> Run:
    """The run as Slurm told of it at an instant."""
    if run.end_at is not None and run.end_at <= instant:
        return run
    if run.start_at is not None and run.start_at <= instant:
        return run._replace(state="RUNNING", end_at=None, elapsed_seconds=instant - run.start_at)
    return run._replace(state="PENDING", start_at=None, end_at=None, elapsed_seconds=0, alloc_tres="")


def _runs(random: Random) -> Iterator[Run]:
    number, left = 0, {True: 0.0, False: 0.0}
    for hour in range(SINCE, UNTIL - 2 * DAY, 6 * HOUR):
        name = quarter(hour)
        wanted = GPUS * 6 * HOUR * random.gauss(0.8, 0.06)
        for regional in (True, False):
            part = REGIONAL[name] * random.gauss(1, 0.07)
            side = [one for one in accounts() if one.regional is regional]
            left[regional] += wanted * (part if regional else 1 - part)
            while left[regional] > 0:
                number += 1
                run = _run(random, number, side, hour, REGIONAL_WAIT[name] if regional else 1.0)
                left[regional] -= run.elapsed_seconds * _gpus(run)
                yield run


def _gpus(run: Run) -> int:
    return int(run.alloc_tres.partition("gres/gpu=")[2].partition(",")[0])


def _run(random: Random, number: int, side: list[Account], hour: Instant, wait_hours: float) -> Run:
    account = random.choices(side, [one.weight for one in side])[0]
    gpus = random.choice((1, 2, 4, 4, 8, 8, 16, 32))
    nodes, start = max(1, gpus // 4), hour + random.randrange(6 * HOUR)
    seconds = 60 + int(min(3 * DAY, random.lognormvariate(0, 0.8) * 11 * HOUR))
    eligible = max(SINCE, start - int(random.expovariate(1 / (wait_hours * HOUR))))
    asked = f"billing={gpus * 16},cpu={gpus * 16},gres/gpu={gpus},mem={gpus * 128000},node={nodes}"
    subject = Subject(CLUSTER, account.name, random.choice(account.users), "gpu", "normal", "", "")
    return Run(
        number, 100_000 + number, str(100_000 + number), subject, "COMPLETED", eligible, eligible, start,
        start + seconds, seconds, 0, asked, asked,
    )  # fmt: skip


def _write_control(ledger: Ledger, random: Random) -> None:
    """A decision every three hours, from July on every hour; in July and August the control only observes."""
    shares = 25
    for instant in range(SINCE, UNTIL, HOUR):
        noted = (
            {"regional_held_by_grid": 12.0 if limited(instant) else 0.0} if instant >= METERED_GRID else {}
        )
        if (instant - SINCE) % (3 * HOUR):
            if noted:
                mode = "observe" if instant < at("2027-08-30") else "enforce"
                decision = Decision(at=instant, reason="at_set_point", sentence="at_set_point", inputs=noted)
                ledger.control.record(decision, mode, "saf@noorderlicht", ChangeStatus.PLANNED)
            continue
        watching = at("2027-07-01") <= instant < at("2027-08-30")
        wanted = shares + random.choice((-1, 1, 2 if instant > at("2027-08-30") else -1))
        change = not watching and random.random() < 0.02 and 22 <= wanted <= 40
        held = random.random() < 0.004
        moved = "raise" if wanted > shares else "lower"
        reason = "read_failed" if held else moved if change else "at_set_point"
        changes = (_change(shares, wanted),) if change and not held else ()
        decision = Decision(at=instant, reason=reason, sentence=reason, inputs=noted, changes=changes)
        mode = "observe" if watching else "enforce"
        for planned in ledger.control.record(decision, mode, "saf@noorderlicht", ChangeStatus.PLANNED):
            ledger.control.settle(planned, at=instant + 2, raw_shares=wanted)
            shares = wanted


METERED = at("2027-04-01")
"""From then on meters of the building are read."""
METERED_GRID = at("2027-07-01")
"""From then on the connection to the grid is read, for a quarter of a year, and nodes may be kept free."""
UNREAD_GRID = at("2027-10-01")
METERED_NODES = ("n01", "n02", "n03", "n04")
LIMITED_DAYS = ("2027-07-08", "2027-08-24", "2027-09-16")


def limited(instant: Instant) -> bool:
    """Whether the grid operator allows less: from 17:00 to 20:00."""
    return any(17 * HOUR <= instant - at(day) < 20 * HOUR for day in LIMITED_DAYS)


def _write_meters(ledger: Ledger, runs: list[Run], random: Random) -> None:
    """Every day of the building and of four nodes, and every month of water; entered some days later."""
    days = [at(str(date(2027, 4, 1) + timedelta(days=number))) for number in range(283)]
    used = _gpu_seconds(runs, days)
    rows: list[Reading] = []
    for since, until in pairwise(days):
        nodes = [round(random.uniform(34, 42), 1) for _ in METERED_NODES]
        behind = 0.82 if since < METERED_GRID else 0.97
        it = (used[since] * 550 / 3_600_000 + sum(nodes) / 2) / behind * random.uniform(0.99, 1.01)
        dc = it * random.uniform(1.2, 1.23)
        of_day = {"E_IT": it, "E_DC": dc, "E_REUSE": dc * 0.08, "E_RES": dc * random.uniform(0.4, 0.7)}
        rows += [_reading("site", kind, since, until, kwh, "kWh") for kind, kwh in of_day.items()]
        rows.append(_reading("well", "W_IN", since, until, it * 0.0003, "m3"))
        if since >= METERED_GRID:
            named = zip(METERED_NODES, nodes, strict=True)
            rows += [_reading(node, "E_NODE", since, until, kwh, "kWh") for node, kwh in named]
    months = [at(f"2027-{month:02}-01") for month in range(4, 13)] + [at("2028-01-01")]
    for since, until in pairwise(months):
        for meter, kind, volume in (("mains", "W_POTABLE", 0), ("canal", "W_SURFACE", 0),
                                    ("toilets", "W_POTABLE", 11)):  # fmt: skip
            rows.append(_reading(meter, kind, since, until, volume, "m3"))
    for before, month in pairwise((METERED, *months[1:], UNTIL)):
        new = [row for row in rows if before < row.until <= month]
        ledger.meters.append([("", row) for row in new], at=month + 3 * HOUR, actor="beheer@example")
        placed = [place for run in runs if before < (run.end_at or 0) <= month for place in _placed(run)]
        ledger.meters.place(placed, source="epilog", at=month + 3 * HOUR, actor="beheer@example")


def _reading(meter: str, kind: str, since: Instant, until: Instant, value: float, unit: str) -> Reading:
    return Reading(meter, Kind(kind), since, until, Decimal(str(round(value, 3))), unit, "bms.csv")


def _gpu_seconds(runs: list[Run], days: list[Instant]) -> dict[Instant, int]:
    """GPU-seconds of every day."""
    sums = dict.fromkeys(days, 0)
    for run in runs:
        start, end = run.start_at or 0, run.end_at or 0
        for since, until in pairwise(days[max(0, bisect_right(days, start) - 1) :]):
            if since >= end:
                break
            sums[since] += max(0, min(end, until) - max(start, since)) * _gpus(run)
    return sums


def _placed(run: Run) -> list[Placement]:
    """Some of the runs on one node have one with a meter."""
    start, end = run.start_at or 0, run.end_at or 0
    if start < METERED_GRID or run.db_index % 11 or _gpus(run) > 4:
        return []
    return [Placement(run.job_id, METERED_NODES[run.db_index // 11 % len(METERED_NODES)], (), start, end)]


def _write_grid(ledger: Ledger, random: Random) -> None:
    """A contract, three evenings with less, and the power of one quarter of a year."""
    zero = at("2027-01-01")
    contract = AllowedPower(
        since=zero, until=at("2028-01-01"), max_kw=Decimal(220), kind=PowerKind.CONTRACT,
        reference="contract 2027-4 (voorbeeld)", told_at=zero - 60 * DAY,
    )  # fmt: skip
    ledger.allowed.append([contract], at=zero, actor="beheer@example")
    for number, day in enumerate(LIMITED_DAYS, start=1):
        told = at(day) - 16 * HOUR
        limit = AllowedPower(
            since=at(day) + 17 * HOUR, until=at(day) + 20 * HOUR, max_kw=Decimal(120), kind=PowerKind.TDTR,
            reference=f"melding {number}", told_at=told,
        )  # fmt: skip
        ledger.allowed.append([limit], at=told + HOUR, actor="beheer@example")
    quarters = range(METERED_GRID, UNREAD_GRID, 900)
    drawn = [random.uniform(95, 118) if limited(since) else random.uniform(120, 175) for since in quarters]
    power = [
        _reading("grid", "P_15MIN", since, since + 900, kw, "kW")
        for since, kw in zip(quarters, drawn, strict=True)
    ]
    ledger.meters.append([("", row) for row in power], at=UNREAD_GRID + 3 * HOUR, actor="beheer@example")


def _change(before: int, after: int) -> Change:
    return Change(cluster=CLUSTER, account="regional", raw_shares_before=before, raw_shares_after=after)


def _write_expertise(ledger: Ledger, random: Random) -> None:
    """A few entries on every working day, entered at the end of the week."""
    regional = [one for one, _ in organisations() if one.hub == "groningen" and one.organisation != LATE]
    others = [one for one, _ in organisations() if one.hub != "groningen"]
    for monday in range(52):
        days = [date(2027, 1, 4) + timedelta(days=7 * monday + n) for n in range(5)]
        entries = [_entry(random, random.choice(regional if random.random() < 0.34 else others), day)
                   for day in days for _ in range(3)]  # fmt: skip
        if random.random() < 0.25:
            entries.append(replace(_entry(random, random.choice(regional), days[4]), kind=HoursKind.UNMET))
        ledger.expertise.add(entries, at=at(str(days[4] + timedelta(days=3))), actor="beheer@example")
    ledger.expertise.correct(
        1, Decimal("2.00"), "verkeerd overgenomen", at=at("2027-03-01"), actor="beheer@example"
    )


def _entry(random: Random, whom: Organisation, day: date) -> NewEntry:
    return NewEntry(
        day=day,
        organisation=whom.organisation,
        role=random.choice(("data scientist", "AI engineer", "jurist", "adviseur")),
        hours=Decimal(random.randrange(2, 17)) / 2,
        activity=random.choice(("intake", "advies", "training", "begeleiding")),
    )


def moment(instant: Instant) -> str:
    """An instant as an option takes it."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
