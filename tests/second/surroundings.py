"""Energy, grid and water of a window, exact: what meters told, what is modelled, whom it was for, verdicts.

Rule: what is not recorded is None. The year has meters of nodes and none of GPUs, and Slurm counts no energy:
rows of these raise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.second.measure import HOUR, NONE, Groups, Window, count, delivered, iso, summed
from tests.second.rows import Known, newest
from tests.second.tables import Sum, of_side, parts, tables, told
from tests.second.who import OTHERS, REGIONAL, UNCLASSIFIED, WHOLE, Who

DAY = 24 * HOUR
QUARTER = 900
SIDES = (REGIONAL, OTHERS, UNCLASSIFIED)
QUALITIES = ("node_exclusive", "apportioned", "modelled")
"""Those that the year can have, best first."""
IN = {
    "kWh": Fraction(3_600_000), "Wh": Fraction(3600), "J": WHOLE, "kJ": Fraction(1000), "m3": WHOLE,
    "L": Fraction(1, 1000),
}  # fmt: skip
POWER = {"W": WHOLE, "kW": Fraction(1000)}
INDICATORS = (
    ("PUE", "E_DC", "E_IT", "1", "2"), ("WUE", "W_IN", "E_IT", "m3/MWh", "9"),
    ("ERF", "E_REUSE", "E_DC", "1", "6"), ("REF", "E_RES", "E_DC", "1", "3"),
)  # fmt: skip
"""Name, what over what, unit, and the part of ISO/IEC 30134."""
BUILDING = ("E_DC", "E_IT", "P_15MIN", "W_IN", "W_POTABLE", "W_SURFACE", "E_REUSE", "E_RES")
WATER = ("W_POTABLE", "W_SURFACE")


class Stated(NamedTuple):
    """A figure of saf.toml from an instant on: watts of a TRES, or grams of CO2 of a kWh on a basis."""

    of: str
    amount: str
    since: int
    source: str


class Settings(NamedTuple):
    """What of saf.toml counts here."""

    watts: Sequence[Stated]
    emissions: Sequence[Stated]
    exempt: Mapping[str, str]
    closure: tuple[str, str]


class Read(NamedTuple):
    """What a meter told of [since, until), in joules or cubic metres."""

    meter: str
    since: int
    until: int
    amount: Fraction

    def inside(self, since: int, until: int) -> Fraction:
        length = max(0, min(until, self.until) - max(since, self.since))
        return self.amount * length / (self.until - self.since)


Spans = list[tuple[int, int]]


def readings(known: Known, kind: str) -> list[Read]:
    """Every reading of a kind as its last correction has it."""
    rows = [row for row in known.rows("meters", "entry_id") if row.kind == kind]
    last = {row.replaces or row.entry_id: row for row in rows}
    return [
        Read(row.meter, row.since, row.until, Fraction(row.value) * _unit(row))
        for row in last.values() if row.value is not None
    ]  # fmt: skip


def _unit(row: Any) -> Fraction:
    return IN[row.unit] if row.unit in IN else POWER[row.unit] * (row.until - row.since)


def covered(rows: Iterable[Read], since: int, until: int) -> Spans:
    """Where every meter that is read in it at all has a reading: what none of them left out."""
    by_meter: dict[str, list[Read]] = defaultdict(list)
    for row in rows:
        if row.since < until and row.until > since:
            by_meter[row.meter].append(row)
    missing: Spans = []
    for of in by_meter.values():
        reached = since
        for row in sorted(of, key=lambda row: row.since):
            missing += [(reached, row.since)] if row.since > reached else []
            reached = max(reached, row.until)
        missing += [(reached, until)] if reached < until else []
    found, reached = list[tuple[int, int]](), since
    for begin, end in [*sorted(missing), (until, until)] if by_meter else []:
        found += [(reached, begin)] if begin > reached else []
        reached = max(reached, end)
    return found


def within(rows: Iterable[Read], spans: Spans) -> Fraction:
    return summed(row.inside(*span) for row in rows for span in spans)


def whole(rows: Sequence[Read], since: int, until: int) -> Fraction | None:
    """All of it, where that was read."""
    return within(rows, [(since, until)]) if covered(rows, since, until) == [(since, until)] else None


# -- energy --------------------------------------------------------------------------------------------


class Energy:
    """The energy of runs in a window."""

    def __init__(self, known: Known, who: Who, settings: Settings, window: Window) -> None:
        self.known, self.settings, self.since = known, settings, window.since
        self.until = max(window.since, min(window.until, self._reach()))
        self.meters = {kind: readings(known, kind) for kind in (*BUILDING, "E_NODE")}
        if readings(known, "E_GPU") or any(row.energy_joules is not None for row in known.rows("runs")):
            raise NotImplementedError("energy of GPUs, or as Slurm counts it")
        self.it = covered(self.meters["E_IT"], self.since, self.until)
        self.by_quality: dict[str, Groups] = {name: defaultdict(int) for name in QUALITIES}
        self.closing, self.seconds, self.unknown = NONE, NONE, NONE
        self.idle: list[Read] = []
        used = self._nodes()
        for run in known.runs:
            if run.start_at is not None:
                self._add(who, run, used.get(self._key(run), []))
        self.closing += within(self.idle, self.it)

    @property
    def groups(self) -> Groups:
        """Of all qualities together."""
        sums: Groups = defaultdict(int)
        for groups in self.by_quality.values():
            for key, joules in groups.items():
                sums[key] += joules
        return sums

    @property
    def total(self) -> Fraction:
        return summed(self.groups.values())

    def amount(self, kind: str) -> Fraction | None:
        return whole(self.meters[kind], self.since, self.until)

    def _reach(self) -> int:
        """The readings of the last day may be late."""
        read = self.known.read_until
        ends = [covered(readings(self.known, kind), read - DAY, read) for kind in ("E_IT", "E_DC")]
        return min([read, *(spans[-1][1] for spans in ends if spans)])

    def _key(self, run: Any) -> tuple[str, int]:
        return run.job_label, run.start_at

    def _nodes(self) -> dict[tuple[str, int], list[tuple[Read, str]]]:
        """Of each run, what the meters of its nodes told of it; what nobody had is idle."""
        jobs: dict[int, list[Any]] = defaultdict(list)
        for place in newest(self.known.rows("placements", "entry_id"), "job_id", "node", "since"):
            jobs[place.job_id].append(place)
        there: dict[str, list[tuple[int, int, Any]]] = defaultdict(list)
        for run in self.known.runs:
            for place in jobs.get(int(run.job_label), []) if run.job_label.isdigit() else []:
                end = place.until if run.end_at is None else min(run.end_at, place.until)
                if run.start_at is not None and max(run.start_at, place.since) < end:
                    there[place.node].append((max(run.start_at, place.since), end, run))
        found: dict[tuple[str, int], list[tuple[Read, str]]] = defaultdict(list)
        for read in self.meters["E_NODE"]:
            if read.since < self.until and read.until > self.since:
                self._divide(read, there[read.meter], found)
        return found

    def _divide(self, read: Read, there: Sequence[tuple[int, int, Any]], found: Any) -> None:
        near = [one for one in there if one[0] < read.until and one[1] > read.since]
        edges = {read.since, read.until} | {
            at for one in near for at in one[:2] if read.since < at < read.until
        }
        for begin, end in pairwise(sorted(edges)):
            here = [run for since, until, run in near if since <= begin < until]
            joules = read.inside(begin, end)
            if not here:
                self.idle.append(Read(read.meter, begin, end, joules))
            weights = [_billing(run) for run in here]
            for run, weight in zip(here, weights, strict=True):
                word = "node_exclusive" if len(here) == 1 else "apportioned"
                part = Read(read.meter, begin, end, joules * weight / summed(weights))
                found[self._key(run)].append((part, word))

    def _add(self, who: Who, run: Any, metered: Sequence[tuple[Read, str]]) -> None:
        span = delivered(run, self.known.read_until)
        nodes = count(run.alloc_tres, (("node", WHOLE),)) or WHOLE
        dates = {at for each in self.it for at in each} | {row.since for row in self.settings.watts}
        first, last = max(self.since, span.start), min(self.until, span.end)
        for piece in who.pieces(run, first, last) if first < last else ():
            key = run.account, piece.answer._replace(promises="", access="")
            edges = sorted(
                {piece.since, piece.until} | {at for at in dates if piece.since < at < piece.until}
            )
            for begin, end in pairwise(edges):
                closes = any(since <= begin < until for since, until in self.it)
                told = NONE
                for part, word in metered:
                    seconds = max(0, min(end, part.until) - max(begin, part.since))
                    told += seconds
                    if seconds:
                        self._count(word, key, part.inside(begin, end) * piece.answer.fraction, closes)
                gap, watts = max(NONE, nodes * (end - begin) - told), self._watts(run, begin)
                self.seconds += nodes * (end - begin) * piece.answer.fraction
                if watts is None:
                    self.unknown += gap * piece.answer.fraction
                elif gap:
                    even = watts * Fraction(span.seconds, max(1, span.end - span.start)) / nodes
                    self._count("modelled", key, even * gap * piece.answer.fraction, closes)

    def _count(self, word: str, key: Any, joules: Fraction, closes: bool) -> None:
        self.by_quality[word][key] += joules
        self.closing += joules if closes else 0

    def _watts(self, run: Any, at: int) -> Fraction | None:
        stated: dict[str, Fraction] = {}
        for row in sorted(self.settings.watts, key=lambda row: row.since):
            if row.since <= at and count(run.alloc_tres, ((row.of, WHOLE),)):
                stated[row.of] = Fraction(row.amount) * count(run.alloc_tres, ((row.of, WHOLE),))
        return summed(stated.values()) if stated else None


def _billing(run: Any) -> Fraction:
    nodes = count(run.alloc_tres, (("node", WHOLE),)) or WHOLE
    return count(run.alloc_tres, (("billing", WHOLE),)) / nodes


Earlier = Callable[[Window, Callable[[Known, Who], Any]], Iterable[tuple[Any, Any]]]
"""Window, and what to work out as known then -> (document, that) of each earlier report of it."""


def energy(
    known: Known, who: Who, settings: Settings, window: Window, smallest: int, shown: Any, earlier: Earlier
) -> dict[str, Any] | None:
    """What a report says of energy; ``shown`` are its tables of the charge."""
    of = Energy(known, who, settings, window)
    amounts = {kind: of.amount(kind) for kind in BUILDING}
    read = [kind for kind in (*BUILDING, "E_NODE") if kind not in (*WATER, "P_15MIN")]
    near = (row for kind in read for row in of.meters[kind])
    if not of.total and not any(row.since < of.until and row.until > of.since for row in near):
        return None
    qualities = {word: summed(groups.values()) for word, groups in of.by_quality.items()}
    used = {word: joules for word, joules in qualities.items() if joules}
    elapsed, length = of.until - of.since, sum(end - begin for begin, end in of.it)
    it, known_part = within(of.meters["E_IT"], of.it), 1 - of.unknown / of.seconds if of.seconds else WHOLE
    metered = any(row.since < of.until and row.until > of.since for row in of.meters["E_NODE"])
    kappa = of.closing / it if it and (used or metered) else None
    reason = _reason(kappa, length, elapsed, known_part, settings.closure)
    recorded = bool(used) or not of.unknown
    before = list(earlier(window, lambda then, at: parts(Energy(then, at, settings, window).groups)))
    got = parts(of.groups)
    return {
        "until": iso(of.until),
        "run_joules": of.total if recorded else None,
        "qualities": [*used],
        "quality_joules": used
        if recorded and _words_alike(of, smallest) and _unchanged(got, before)
        else None,
        "known_percent": int(100 * known_part),
        "idle_joules": summed(row.inside(of.since, of.until) for row in of.idle) if metered else None,
        "outliers": 0,
        "closure": kappa,
        "closure_reason": reason,
        "closure_covered_seconds": length,
        "closure_elapsed_seconds": elapsed,
        "closure_least": Fraction(settings.closure[0]),
        "closure_most": Fraction(settings.closure[1]),
        "building": amounts,
        "indicators": [*_indicators(of)],
        "emissions": [_emitted(of, settings, basis) for basis in ("location", "market")],
        **_by_beneficiary(of, got, smallest, shown, before, closes=reason == "within"),
    }


def _reason(
    kappa: Fraction | None, length: int, elapsed: int, known: Fraction, bounds: tuple[str, str]
) -> str:
    nine = Fraction(9, 10)
    if not length or kappa is None:
        return "runs_unmetered" if length else "unmetered"
    if length < nine * elapsed or known < nine:
        return "partly_metered" if length < nine * elapsed else "runs_unknown"
    return "within" if Fraction(bounds[0]) <= kappa <= Fraction(bounds[1]) else "outside"


def _words_alike(of: Energy, smallest: int) -> bool:
    """Whether each pair of words, in the chain that joins all of them, is shared by enough organisations."""
    words: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for word, groups in of.by_quality.items():
        for part in parts(groups):
            words[part._replace(charge=NONE)].add(word)
    every = {word for of_part in words.values() for word in of_part}
    joined = {
        (one, other)
        for one in every for other in every
        if len({part[0] for part, of_part in words.items() if {one, other} <= of_part}) >= smallest
    }  # fmt: skip
    reached = {*sorted(every)[:1]}
    for _ in every:
        reached |= {other for one, other in joined if one in reached}
    return reached == every


def _unchanged(got: Sum, before: Sequence[tuple[Any, Sum]]) -> bool:
    """Whether the reports that told amounts by word rest on the same energy."""
    return all(then == got for said, then in before if _said(said) and _said(said)["quality_joules"])


def _said(document: Any) -> Any:
    energy = ((document or {}).get("surroundings") or {}).get("energy")
    return energy if energy and energy["run_joules"] is not None else None


def _by_beneficiary(
    of: Energy, got: Sum, smallest: int, shown: Any, before: Sequence[tuple[Any, Sum]], *, closes: bool
) -> dict[str, Any]:
    if not closes:
        return {"beneficiaries": [], "tables": {}}
    disclosed: list[Sum] = []
    for document, then in before:
        if said := _said(document):
            disclosed += told(then, said["tables"]) if said["beneficiaries"] else [then]
    table = tables(got, ("category",), smallest, of.total, disclosed)["category"]
    names = {row["name"] for row in shown["category"]["rows"]}
    rows = [row for row in table["rows"] if row["name"] in names]
    left = [row for row in table["rows"] if row["name"] not in names]
    hidden = table["suppressed"]
    if left:
        hidden = {
            "rows": len(left) + (hidden["rows"] if hidden else 0), "name": "",
            **{
                key: summed(row[key] for row in (*left, *([hidden] if hidden else [])))
                for key in ("organisations", "charge", "part_of_table")
            },
        }  # fmt: skip
    return {
        "beneficiaries": [
            {"name": side, **_scaled(of, summed(part.charge for part in of_side(got, side)))}
            for side in SIDES
        ],
        "tables": {
            "category": {
                "total": table["total"],
                "rows": [_row(of, row) for row in rows],
                "suppressed": hidden and {"rows": hidden["rows"], **_row(of, hidden)},
            }
        },
    }


def _row(of: Energy, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "organisations": int(row["organisations"]),
        "part_of_table": row["part_of_table"],
        **_scaled(of, row["charge"]),
    }


def _scaled(of: Energy, joules: Fraction) -> dict[str, Any]:
    building, water = of.amount("E_DC"), of.amount("W_IN")
    return {
        "joules": joules,
        "building_joules": None if building is None else building * joules / of.total,
        "water_cubic_metres": None if water is None else water * joules / of.total,
    }


def _indicators(of: Energy) -> Iterator[dict[str, Any]]:
    for name, above, below, unit, part in INDICATORS:
        some, others = (covered(of.meters[kind], of.since, of.until) for kind in (above, below))
        both = [
            (max(one[0], other[0]), min(one[1], other[1]))
            for one in some for other in others if max(one[0], other[0]) < min(one[1], other[1])
        ]  # fmt: skip
        base = within(of.meters[below], both) / (IN["kWh"] * 1000 if above == "W_IN" else 1)
        yield {
            "indicator": name, "value": within(of.meters[above], both) / base if base else None, "unit": unit,
            "formula": f"{above} / {below}", "edition": f"(EU) 2024/1364; ISO/IEC 30134-{part}",
            "covered_seconds": sum(end - begin for begin, end in both),
        }  # fmt: skip


def _emitted(of: Energy, settings: Settings, basis: str) -> dict[str, Any]:
    rows = sorted((row for row in settings.emissions if row.of == basis), key=lambda row: row.since)
    ends = [*(row.since for row in rows[1:]), of.until]
    grams, used = NONE, []
    for row, end in zip(rows, ends, strict=False):
        if max(of.since, row.since) < min(of.until, end):
            used.append(f"{basis} {row.amount} g/kWh ({row.source})")
            inside = (max(of.since, row.since), min(of.until, end))
            grams += within(of.meters["E_DC"], [inside]) / IN["kWh"] * Fraction(row.amount)
    known = bool(rows) and rows[0].since <= of.since and of.amount("E_DC") is not None
    return {"basis": basis, "kilograms": grams / 1000 if known else None, "factors": used}


# -- grid and water ------------------------------------------------------------------------------------


def grid(known: Known, window: Window, zone: ZoneInfo) -> dict[str, Any] | None:
    """The verdict on the connection, and what it rests on."""
    over = range(-(-window.since // QUARTER) * QUARTER, min(window.until, known.then), QUARTER)
    over = over[: (min(window.until, known.then) - over.start) // QUARTER] if over else over
    rows = readings(known, "P_15MIN")
    meters: dict[str, int] = {}
    for row in known.rows("meters", "entry_id"):
        if row.kind == "P_15MIN" and row.replaces is None:
            meters[row.meter] = min(row.since, meters.get(row.meter, row.since))
    by_quarter: dict[int, dict[str, Fraction]] = defaultdict(dict)
    for row in rows:
        by_quarter[row.since][row.meter] = row.amount / QUARTER / 1000
    drawn = {
        at: summed(by_quarter[at].values())
        for at in over
        if at in by_quarter
        and {name for name, first in meters.items() if first <= at} <= by_quarter[at].keys()
    }
    limits = list(_allowed(known))
    least = {
        at: min(of)
        for at in over
        if (of := [Fraction(row.max_kw) for row in limits if row.since <= at < row.until])
    }
    if not drawn and not least:
        return None
    above = [drawn[at] - least[at] for at in over if at in drawn and at in least and drawn[at] > least[at]]
    compared = any(at in least for at in drawn)
    reason = (
        "exceeded" if above
        else "no_profile" if len(least) < len(over)
        else "unread" if len(drawn) < len(over)
        else "not_over" if window.until > known.then else "within"
    )  # fmt: skip
    year = datetime.fromtimestamp(window.until - 1, zone).year
    first, last = (int(datetime(one, 1, 1, tzinfo=zone).timestamp()) for one in (year, year + 1))
    used = [
        row.entry
        for row in limits
        if any(row.since <= at < row.until and Fraction(row.max_kw) == least[at] for at in least)
    ]
    return {
        "verdict": {"exceeded": "exceeded", "within": "kept"}.get(reason, "open"),
        "reason": reason,
        "quarters": len(over),
        "unread": len(over) - len(drawn),
        "unallowed": len(over) - len(least),
        "exceeded": len(above) if compared else None,
        "excess_kwh": summed(above) / 4 if compared else None,
        "peak_kw": max(drawn.values(), default=None),
        "limited_hours": _limited(limits, window.since, window.until),
        "limited_hours_of_year": _limited(limits, first, last),
        "limited_hours_allowed": int(Fraction(15, 100) * 8760),
        "evidence": {"quarters_read": len(drawn), "allowed_entries": sorted(used)},
    }


class Allowed(NamedTuple):
    """A row of allowed power that counts."""

    entry: int
    since: int
    until: int
    max_kw: str
    kind: str


def _allowed(known: Known) -> Iterator[Allowed]:
    last = {row.replaces or row.entry_id: row for row in known.rows("allowed_power", "entry_id")}
    for row in last.values():
        if not row.withdrawn:
            yield Allowed(row.entry_id, row.since, row.until, str(row.max_kw), row.kind)


def _limited(limits: Iterable[Allowed], since: int, until: int) -> Fraction:
    """Hours under a limit of a time-duration right; the year's do not overlap."""
    return summed(
        Fraction(max(0, min(until, row.until) - max(since, row.since)), HOUR)
        for row in limits if row.kind == "tdtr"
    )  # fmt: skip


def water(known: Known, window: Window, settings: Settings) -> dict[str, Any] | None:
    """The verdict on water, meter by meter."""
    until, uses, total = min(window.until, known.then), [], 0
    for kind in WATER:
        rows = readings(known, kind)
        total += sum(row.since < window.until and row.until > window.since for row in rows)
        firsts: dict[str, int] = {}
        for row in rows:
            firsts[row.meter] = min(row.since, firsts.get(row.meter, row.since))
        counting = [first for meter, first in firsts.items() if meter not in settings.exempt]
        for meter, first in sorted(firsts.items()):
            oldest = meter in settings.exempt or first == min(counting)
            begin = window.since if oldest else min(max(window.since, first), until)
            of = [row for row in rows if row.meter == meter]
            read = sum(max(0, min(until, row.until) - max(begin, row.since)) for row in of)
            inside = any(row.since < until and row.until > window.since for row in of)
            uses.append({
                "meter": meter, "kind": kind, "use": settings.exempt.get(meter, ""),
                "cubic_metres": within(of, [(window.since, until)]) if inside else None,
                "unread_seconds": max(0, until - begin) - read,
            })  # fmt: skip
    if not total:
        return None
    process = [use for use in uses if not use["use"]]
    reason = (
        "used" if any(use["cubic_metres"] for use in process)
        else "no_meter" if {use["kind"] for use in process} != set(WATER)
        else "unread" if any(use["unread_seconds"] for use in process)
        else "not_over" if window.until > known.then else "none"
    )  # fmt: skip
    sums = {
        kind: [
            use["cubic_metres"] for use in process if use["kind"] == kind and use["cubic_metres"] is not None
        ]
        for kind in WATER
    }
    return {
        "verdict": {"used": "exceeded", "none": "kept"}.get(reason, "open"),
        "reason": reason,
        **{kind.lower(): summed(of) if of else None for kind, of in sums.items()},
        "meters": uses,
        "evidence": {"readings": total},
    }


def held(known: Known, window: Window) -> dict[str, Any] | None:
    """What waited for nodes kept free, by decisions of at most an hour each."""
    until = min(window.until, known.read_until)
    decided = [one for one in known.rows("decisions", "at, decision_id", at="at") if one.promise == "region"]
    charge, seconds = NONE, 0
    for one, following in zip(decided, [*(later.at for later in decided[1:]), None], strict=True):
        end = min(one.at + HOUR, until, known.then, *([] if following is None else [following]))
        length = end - max(one.at, window.since)
        amount = one.inputs.get("regional_held_by_grid")
        if length > 0 and amount is not None:
            charge, seconds = charge + Fraction(str(amount)) * length, seconds + length
    known_for = {"known_seconds": seconds, "elapsed_seconds": until - window.since}
    return {"charge": charge, **known_for} if seconds else None
