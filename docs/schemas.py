"""The shape of every JSON answer, by command: what docs/reference/schemas is made of.

The rule: a key that is listed is always there, unless it is a ``Maybe``; others may come with any release.
Every answer that a test gets is checked against these, and must have no key that is not listed
(tests/schemas.py). `docs/reference/json.md` says what may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from slurm_ai_factory.cli import cli
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.core.measure.figures import FIGURES, PROMISE_KEYS, SCHEMA, Unit
from slurm_ai_factory.core.programme import registry_sheet
from slurm_ai_factory.report.hubs import KEYS as HUB_KEYS
from slurm_ai_factory.report.joint import MEMBER_KEYS
from slurm_ai_factory.report.values import OF_TERM

Shape = Mapping[str, Any]

TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "number"}
WHOLE: Shape = {"type": "integer"}
YES_NO: Shape = {"type": "boolean"}
AT: Shape = {"type": "string", "format": "date-time"}
DATE: Shape = {"type": "string", "format": "date"}
ANY: Shape = {}
OBJECT: Shape = {"type": "object"}
"""An object whose keys are names, or that has a description of its own elsewhere."""


class Maybe(dict[str, Any]):
    """The shape of a key that may be missing."""


def keys(**shapes: Shape) -> Shape:
    """An object with these keys."""
    required = [name for name, shape in shapes.items() if not isinstance(shape, Maybe)]
    properties = {name: dict(shape) for name, shape in shapes.items()}
    return {"type": "object", "properties": properties, "required": required}


def each(shape: Shape) -> Shape:
    """A list."""
    return {"type": "array", "items": dict(shape)}


def null(shape: Shape) -> Shape:
    """The same, or null where it is not known or there is none."""
    return {"anyOf": [dict(shape), {"type": "null"}]}


def rows(**shapes: Shape) -> Shape:
    """An answer of rows."""
    return keys(rows=each(keys(**shapes)))


def named(shape: Shape) -> Shape:
    """An object whose keys are names."""
    return {"type": "object", "additionalProperties": dict(shape)}


def either(*shapes: Shape) -> Shape:
    """An answer that has one of these shapes, by its options."""
    return {"anyOf": [dict(shape) for shape in shapes]}


OF_UNIT: Mapping[Unit, Shape] = {
    Unit.RATIO: NUMBER, Unit.CHARGE: NUMBER, Unit.RESOURCE: NUMBER, Unit.SECONDS: NUMBER, Unit.INSTANT: AT,
    Unit.YES_NO: YES_NO, Unit.WORD: TEXT,
}  # fmt: skip
FORECAST = keys(
    remaining_seconds=WHOLE, expected_share=null(NUMBER), highest_share=null(NUMBER),
    attainable_share=null(NUMBER), expected_rate=NUMBER, demand_rate=null(NUMBER), assumptions=each(TEXT),
)  # fmt: skip


def figures(*names: str) -> dict[str, Shape]:
    """These figures of a measurement."""
    return {
        name: {"description": FIGURES[name].meaning}
        | (FORECAST if FIGURES[name].unit is Unit.TABLE else null(OF_UNIT[FIGURES[name].unit]))
        for name in names
    }


GROUP = keys(name=TEXT, beneficiary=TEXT, charge=NUMBER, share=null(NUMBER))
OF_SHARE = {
    **figures(*(key for key, figure in FIGURES.items() if figure.in_json)), "groups": each(GROUP),
}  # fmt: skip
SHARE = keys(**OF_SHARE)
OF_REPORT = {key: shape for key, shape in OF_SHARE.items() if key not in OF_TERM}
MEMBER = keys(
    cluster=TEXT, **figures(*MEMBER_KEYS), weights=each(keys(since=AT, until=AT, resource=TEXT)),
)  # fmt: skip
JOINT_SHARE = keys(
    **figures(*(key for key, figure in FIGURES.items() if figure.in_json)), members=each(MEMBER)
)
JOINT_TERM = {
    "promise": TEXT, "since": TEXT, "ended": YES_NO, "share": NUMBER, "margin": NUMBER, "label": TEXT,
    "window": TEXT, "time_zone": TEXT, "unclassified_limit": null(NUMBER), "source": TEXT, "reason": TEXT,
    "actor": TEXT, "recorded_at": AT, "retroactive": YES_NO,
}  # fmt: skip
JOINT_WEIGHT = {
    "promise": TEXT, "cluster": TEXT, "since": AT, "resource": TEXT, "source": TEXT, "reason": TEXT,
    "actor": TEXT, "recorded_at": AT,
}  # fmt: skip
PROMISES = each(keys(**figures(*PROMISE_KEYS)))
CHANGE = keys(
    cluster=TEXT, object=TEXT, attribute=TEXT, account=TEXT, raw_shares_before=WHOLE, raw_shares_after=WHOLE,
    command=each(TEXT),
)  # fmt: skip
DECISION = keys(promise=TEXT, at=AT, reason=TEXT, sentence=TEXT, inputs=OBJECT, changes=each(CHANGE))
RECORDED_DECISION = {
    "promise": TEXT,
    "at": AT,
    "mode": TEXT,
    "reason": TEXT,
    "sentence": TEXT,
    "actor": TEXT,
    "inputs": OBJECT,
}
DONE = RECORDED_DECISION | {
    "object": TEXT, "attribute": TEXT, "account": TEXT, "raw_shares_before": WHOLE, "raw_shares_after": WHOLE,
    "status": TEXT,
    "settled_at": null(AT), "raw_shares_read": null(WHOLE), "note": null(TEXT),
}  # fmt: skip
FOREIGN_CHANGE: Shape = keys(
    seen_at=AT, object=TEXT, account=TEXT, to=WHOLE, actor=null(TEXT), at=null(AT), sentence=TEXT,
    **{"from": WHOLE},
)  # fmt: skip
DETAIL = {"category": TEXT, "organisation": TEXT, "sector": TEXT, "municipality": TEXT, "hub": TEXT}
SIDE = {"beneficiary": TEXT, "rule": TEXT, **DETAIL, "promises": TEXT}
PART = {"since": null(AT), "until": null(AT), "fraction": NUMBER, **SIDE}
SUBJECT = dict.fromkeys(("account", "user", "partition", "qos", "wckey", "reservation", "comment"), TEXT)
PROPOSAL = keys(proposal=WHOLE)
PROPOSED = {
    "proposal": WHOLE, "kind": TEXT, "what": TEXT, "at": AT, "actor": TEXT, "reason": TEXT, "step": TEXT,
    "ruled_at": null(AT), "ruled_by": null(TEXT), "ruled_reason": null(TEXT),
}  # fmt: skip
FAULT = keys(line=Maybe(WHOLE), column=TEXT, reason=TEXT)
IMPORTED = keys(new=WHOLE, known=WHOLE, problems=each(FAULT))
PAUSE = {"at": AT, "until": AT, "actor": TEXT, "reason": TEXT}
TERM = {
    "promise": TEXT, "bound": TEXT, "who": OBJECT, "since": null(TEXT), "until": null(TEXT), "ended": YES_NO,
    "share": NUMBER, "margin": NUMBER, "resource": TEXT, "label": TEXT, "window": TEXT, "time_zone": TEXT,
    "share_of": TEXT, "unclassified_limit": null(NUMBER), "region": each(TEXT),
    "min_organisations": null(WHOLE), "expertise_share": null(NUMBER), "source": TEXT, "reason": TEXT,
    "actor": TEXT, "recorded_at": null(AT),
    "retroactive": YES_NO,
}  # fmt: skip
ORGANISATION = dict.fromkeys(sum(registry_sheet.ORGANISATION, ()), TEXT)
LINK = dict.fromkeys(sum(registry_sheet.LINK, ()), TEXT)
HELD = keys(table=TEXT, column=TEXT, rows=WHOLE, first=null(AT), last=null(AT), fate=TEXT)
PROBLEM = keys(rule=TEXT, key=TEXT, name=TEXT, reason=TEXT)
SIDES = keys(regional=NUMBER, non_regional=NUMBER)
ASSOCIATION = keys(
    account=TEXT, parent=null(TEXT), raw_shares=WHOLE, norm_shares=null(NUMBER), raw_usage=null(WHOLE),
    effectv_usage=null(NUMBER), level_fs=null(NUMBER),
)  # fmt: skip
RUN = {
    "run": TEXT, "state": TEXT, "cluster": TEXT, **SUBJECT, "override": TEXT, "start_at": null(AT),
    "end_at": null(AT), **SIDE, "why": each(TEXT), "alloc_tres": TEXT,
    "elapsed_seconds": WHOLE, "suspended_seconds": WHOLE, "waits_for": Maybe(TEXT), "charge": TEXT,
    "parts": each(keys(**PART, charge=NUMBER)),
}  # fmt: skip
EXPORTED = {
    "job_label": TEXT, "db_index": WHOLE, "account": TEXT, "user": Maybe(TEXT), "partition": TEXT,
    "qos": TEXT, "wckey": TEXT, "reservation": TEXT, "state": TEXT, "submit_at": null(AT),
    "eligible_at": null(AT),
    "start_at": null(AT), "end_at": null(AT), "elapsed_seconds": WHOLE, "suspended_seconds": WHOLE,
    "alloc_tres": TEXT, "beneficiary": TEXT, "fraction": NUMBER, "rule": TEXT, **DETAIL,
    "size": TEXT, "stage": TEXT, "access": TEXT, "grant": TEXT, "promise": TEXT, "charge": NUMBER,
}  # fmt: skip
FOR_WALDUR = keys(
    cluster=TEXT, month=TEXT, since=AT, until=AT, as_of=AT, final=YES_NO, components=named(TEXT),
    resources=each(
        keys(
            backend_id=TEXT, open_runs=WHOLE, charges=named(NUMBER),
            set_usage=keys(date=AT, usages=each(keys(type=TEXT, amount=TEXT))),
        )
    ),
    without_account=named(NUMBER),
)  # fmt: skip
EXPERTISE = {
    "entry": WHOLE, "date": DATE, "organisation": TEXT, "role": TEXT, "hours": TEXT, "kind": TEXT,
    "activity": TEXT, "corrects": null(WHOLE), "reason": null(TEXT), "actor": TEXT, "recorded_at": AT,
}  # fmt: skip
METER = {
    "entry": WHOLE, "meter": TEXT, "kind": TEXT, "since": AT, "until": AT, "value": null(TEXT), "unit": TEXT,
    "replaces": null(WHOLE), "reason": TEXT, "actor": TEXT, "source": TEXT, "recorded_at": AT,
}  # fmt: skip
RULED = keys(**PROPOSED)
UNREAD_DAY = keys(site=TEXT, cluster=TEXT, day=DATE, reason=TEXT)
HUB_FIGURES = keys(**figures(*HUB_KEYS))
HUB_TERM = {"site": TEXT, "cluster": TEXT, "since": DATE, "ended": YES_NO, "weights": TEXT}
COMPARED = {
    "account": TEXT, "tres": TEXT, "ledger": NUMBER, "difference": NUMBER, "cause": null(TEXT),
    "causes": named(NUMBER), "unexplained": NUMBER,
}  # fmt: skip
REFUSED = keys(file=TEXT, reason=TEXT)
OVERRIDE = {
    "override": TEXT, "job": TEXT, "beneficiary": TEXT, "organisation": TEXT, "at": AT, "actor": TEXT,
    "reason": TEXT,
}  # fmt: skip
POLICY = keys(
    policy=TEXT, delivered_share=NUMBER, min_window_share=null(NUMBER), violation_ratio=null(NUMBER),
    starved_ratio=null(NUMBER), shortfall_charge=null(NUMBER), attributable_shortfall_charge=null(NUMBER),
    inversion_charge=NUMBER, utilisation=NUMBER,
    wait_mean_seconds=SIDES, wait_p95_seconds=SIDES, bounded_slowdown_mean=SIDES,
    wait_of_own_machine=keys(regional=null(NUMBER), non_regional=null(NUMBER)), slowdown_of_own_machine=SIDES,
    writes_per_day=NUMBER,
)  # fmt: skip
RESTORED = {"object": TEXT, "account": TEXT, "raw_shares": WHOLE, "status": TEXT, "note": TEXT}
MOVED = {
    "account": TEXT, "beneficiary": TEXT, "rule": TEXT, **DETAIL, "before": NUMBER, "after": NUMBER,
    "difference": NUMBER,
}  # fmt: skip

KEEPING = {
    "at": AT, "reason": TEXT, "sentence": TEXT, "expected_kw": null(NUMBER), "limit_kw": null(NUMBER),
    "since": null(AT), "until": null(AT), "nodes_needed": WHOLE, "nodes_busy": each(TEXT),
    "nodes_lacking": WHOLE, "act": null(TEXT), "nodes": each(TEXT),
}  # fmt: skip

ANSWERS: Mapping[str, Shape] = {
    "approval approve": RULED,
    "approval list": rows(**PROPOSED),
    "approval reject": RULED,
    "approval show": keys(**PROPOSED, content=ANY),
    "backfill": keys(
        intervals=each(keys(since=AT, until=AT)), runs=WHOLE, changed=WHOLE, rejected=WHOLE
    ),
    "bundle": keys(
        file=TEXT, files=each(keys(name=TEXT, bytes=WHOLE, holds=TEXT)), with_names=YES_NO,
        pseudonyms=WHOLE, secrets=WHOLE, missing=each(TEXT),
    ),
    "config check": keys(file=TEXT, rules=WHOLE, mode=TEXT),
    "config show": keys(
        values=each(keys(section=TEXT, key=TEXT, value=ANY, origin=TEXT)), rules=each(OBJECT)
    ),
    "cycle": either(
        keys(
            at=AT, mode=TEXT, runs=WHOLE, changed=WHOLE, rejected=each(keys(line=TEXT, reason=TEXT)),
            unknown_states=each(TEXT), unknown_accounts=each(TEXT), delivered_share=null(NUMBER),
            decision=DECISION, beside=each(DECISION),
            outcomes=each(keys(object=TEXT, account=TEXT, raw_shares_after=WHOLE, status=TEXT, note=TEXT)),
            seconds=NUMBER,
        ),
        keys(decision=DECISION, beside=each(DECISION)),
    ),
    "demo": keys(before=each(ASSOCIATION), after=each(ASSOCIATION), share=SHARE, history=each(keys(**DONE))),
    "doctor": either(
        keys(findings=each(keys(
            check=TEXT, level=TEXT, found=TEXT, wanted=TEXT, fix=TEXT, acknowledged_by=null(TEXT),
            acknowledged_until=null(AT), acknowledged_reason=null(TEXT),
        ))),
        keys(check=TEXT, level=TEXT, **PAUSE),
    ),
    "energy": keys(
        window=TEXT, since=AT, until=AT, run_joules=null(NUMBER), quality_joules=named(NUMBER),
        run_node_seconds=NUMBER, unknown_node_seconds=NUMBER, idle_joules=null(NUMBER), coarse_runs=WHOLE,
        outliers=each(TEXT),
        closure=null(NUMBER), closure_covered_seconds=WHOLE, closure_least=NUMBER, closure_most=NUMBER,
        by_beneficiary=YES_NO, why=TEXT, building=named(null(NUMBER)),
        indicators=each(keys(
            indicator=TEXT, value=null(NUMBER), unit=TEXT, formula=TEXT, edition=TEXT, covered_seconds=WHOLE
        )),
        emissions=each(keys(basis=TEXT, kilograms=null(NUMBER), factors=each(TEXT))),
        groups=each(keys(
            name=TEXT, beneficiary=TEXT, joules=NUMBER, building_joules=null(NUMBER),
            water_cubic_metres=null(NUMBER), measured_ratio=NUMBER,
        )),
    ),
    "expertise add": keys(entry=WHOLE),
    "expertise correct": keys(entry=WHOLE, corrects=WHOLE),
    "expertise import": either(keys(entries=WHOLE, hours=TEXT), IMPORTED),
    "expertise list": rows(**EXPERTISE),
    "explain": either(
        keys(job=TEXT, as_of=AT, runs=each(keys(**RUN))),
        keys(
            account=TEXT, lineage=each(TEXT), **SIDE, why=each(TEXT), limits=each(TEXT),
            parts=each(keys(**PART)),
        ),
    ),
    "grid correct": keys(entry=WHOLE, replaces=WHOLE),
    "grid import": IMPORTED,
    "grid list": rows(
        entry=WHOLE, since=AT, until=AT, max_kw=NUMBER, kind=TEXT, reference=TEXT, told_at=AT,
        replaces=null(WHOLE), withdrawn=YES_NO, counts=YES_NO, reason=TEXT, actor=TEXT, recorded_at=AT,
    ),
    "grid history": rows(
        at=AT, act=TEXT, name=TEXT, since=AT, until=AT, nodes=each(TEXT), outcome=TEXT, sentence=TEXT,
        actor=TEXT,
    ),
    "grid plan": keys(**KEEPING, mode=TEXT, command=each(TEXT)),
    "grid status": keys(
        window=TEXT, since=AT, until=AT, as_of=AT,
        grid=keys(
            verdict=TEXT, reason=TEXT, quarters=WHOLE, unread=WHOLE, unallowed=WHOLE,
            exceeded=null(WHOLE), excess_kwh=null(NUMBER), peak_kw=null(NUMBER),
            limited_hours=NUMBER, limited_hours_of_year=NUMBER, limited_hours_allowed=WHOLE,
            evidence=keys(quarters_read=WHOLE, allowed_entries=each(WHOLE), digest=TEXT),
        ),
        water=keys(
            verdict=TEXT, reason=TEXT, w_potable=null(NUMBER), w_surface=null(NUMBER),
            meters=each(
                keys(meter=TEXT, kind=TEXT, cubic_metres=null(NUMBER), unread_seconds=WHOLE, use=TEXT)
            ),
            evidence=keys(readings=WHOLE, digest=TEXT),
        ),
    ),
    "history": either(rows(**DONE), rows(**RECORDED_DECISION)),
    "hub add": keys(**HUB_TERM),
    "hub end": keys(**HUB_TERM),
    "hub intake": keys(new=WHOLE, known=WHOLE, refused=each(REFUSED), unread=each(REFUSED)),
    "hub list": rows(**HUB_TERM, recorded_at=AT, actor=TEXT, reason=TEXT),
    "hub report": keys(files=each(TEXT)),
    "hub share": keys(
        window=TEXT, since=AT, until=AT, as_of=AT, resource=TEXT, target_share=NUMBER,
        rows=each(
            keys(site=TEXT, cluster=TEXT, raw=HUB_FIGURES, weighted=HUB_FIGURES, unread=each(UNREAD_DAY))
        ),
    ),
    "hub state": keys(files=each(TEXT), unread=each(DATE)),
    "hub status": rows(
        site=TEXT, cluster=TEXT, last_day=null(DATE), revision=null(WHOLE), missing=each(UNREAD_DAY)
    ),
    "joint end": either(keys(**JOINT_TERM), PROPOSAL),
    "joint list": keys(terms=each(keys(**JOINT_TERM)), weights=each(keys(**JOINT_WEIGHT))),
    "joint set": either(keys(**JOINT_TERM), PROPOSAL),
    "joint share": JOINT_SHARE,
    "joint weigh": either(keys(**JOINT_WEIGHT), PROPOSAL),
    "ledger archive": either(
        rows(month=TEXT, status=TEXT, as_of=AT, runs=WHOLE, bytes=WHOLE),
        keys(checks=each(keys(check=TEXT, compared=WHOLE, differing=WHOLE, first=TEXT))),
    ),
    "ledger expire": keys(
        before=null(AT), deleted=YES_NO, expiring=keys(rows=WHOLE, bytes=WHOLE, oldest=null(AT)),
        tables=each(keys(name=TEXT, rows=WHOLE, bytes=WHOLE, oldest=null(AT), kept_for=TEXT)),
    ),
    "ledger export": either(rows(**EXPORTED), FOR_WALDUR),
    "ledger fingerprint": rows(name=TEXT, rows=WHOLE, digest=TEXT),
    "ledger head": keys(entry=WHOLE, head=TEXT, recorded=AT, signature=Maybe(TEXT)),
    "ledger migrate": keys(migrated=each(TEXT)),
    "ledger backup": keys(
        file=TEXT, entry=WHOLE, head=TEXT, recorded=AT, roles=YES_NO, signature=Maybe(TEXT)
    ),
    "ledger restore": keys(entry=WHOLE, head=TEXT, recorded=AT, compared=YES_NO),
    "ledger move": rows(name=TEXT, rows=WHOLE, sha256=TEXT),
    "ledger pseudonymise": keys(
        before=null(AT), runs=WHOLE, users=WHOLE, lines=WHOLE, staff=WHOLE, texts=WHOLE
    ),
    "ledger roles": keys(sql=TEXT),
    "ledger status": keys(
        cluster=TEXT, runs=WHOLE, superseded=WHOLE, subjects=WHOLE, rejected_lines=WHOLE,
        last_read_at=null(AT), decisions=WHOLE, leader=null(TEXT),
    ),
    "ledger verify": keys(checks=each(keys(check=TEXT, compared=WHOLE, differing=WHOLE, first=TEXT))),
    "ledger withdraw": keys(withdrawn_reads=WHOLE, since=AT, runs=WHOLE),
    "meter correct": keys(entry=WHOLE, replaces=WHOLE),
    "meter end": keys(entry=WHOLE, meter=TEXT, kind=TEXT, ended_at=null(AT)),
    "meter retired": rows(
        entry=WHOLE, kind=TEXT, meter=TEXT, ended_at=null(AT), reason=TEXT, actor=TEXT, recorded_at=AT
    ),
    "meter import": either(
        keys(new=WHOLE, known=WHOLE, skipped=each(keys(where=TEXT, reason=TEXT))), IMPORTED
    ),
    "meter list": rows(**METER),
    "meter place": either(keys(new=WHOLE, known=WHOLE), IMPORTED),
    "organisation add": either(IMPORTED, PROPOSAL),
    "organisation end": either(IMPORTED, PROPOSAL),
    "organisation export": either(rows(**ORGANISATION), rows(**LINK)),
    "organisation import": either(IMPORTED, PROPOSAL),
    "organisation link": either(IMPORTED, PROPOSAL),
    "organisation list": rows(**ORGANISATION, in_force=YES_NO, regional=YES_NO, accounts=each(TEXT)),
    "organisation show": keys(
        organisation=TEXT, entries=each(keys(**ORGANISATION)), links=each(keys(**LINK)),
        history=each(
            keys(
                recorded_at=AT, since=TEXT, until=null(TEXT), taken_back=YES_NO, actor=TEXT, reason=TEXT,
                organisation=TEXT, name=Maybe(TEXT), category=Maybe(TEXT), sector=Maybe(TEXT),
                municipality=Maybe(TEXT), hub=Maybe(TEXT), size=Maybe(TEXT), stage=Maybe(TEXT),
                kvk=Maybe(TEXT), account=Maybe(TEXT), fraction=Maybe(NUMBER), access=Maybe(TEXT),
                granted=Maybe(null(NUMBER)),
            )
        ),
    ),
    "override": either(keys(override=TEXT, job=TEXT, runs=WHOLE), rows(**OVERRIDE), PROPOSAL),
    "pause": either(keys(**PAUSE), rows(**PAUSE, in_force=YES_NO)),
    "person export": rows(table=TEXT, row=OBJECT),
    "person forget": keys(runs=WHOLE, texts=WHOLE, lines=WHOLE, left=each(HELD)),
    "person hold": either(
        keys(until=AT), rows(user=TEXT, until=AT, at=AT, actor=TEXT, reason=TEXT, in_force=YES_NO)
    ),
    "person show": keys(
        user=TEXT, pseudonym=null(TEXT), found=each(HELD),
        acts=each(
            keys(act=TEXT, until=null(AT), pseudonym=null(TEXT), at=AT, actor=TEXT, reason=TEXT)
        ),
    ),
    "plan": keys(decision=DECISION, beside=each(DECISION)),
    "promise end": either(keys(**TERM), PROPOSAL),
    "promise list": rows(**TERM, in_force=YES_NO),
    "promise set": either(keys(**TERM), PROPOSAL),
    "promise show": keys(**TERM, history=each(keys(**TERM))),
    "reconcile": either(
        keys(
            since=AT, until=AT, rows=each(keys(**COMPARED, sacct=NUMBER, sreport=NUMBER)), unexplained=NUMBER,
            rejected=WHOLE,
        ),
        keys(since=AT, until=AT, like=TEXT, rows=each(keys(**COMPARED, theirs=NUMBER)), unexplained=NUMBER),
    ),
    "report": keys(files=each(TEXT), fingerprint=TEXT, proposal=Maybe(null(WHOLE))),
    "release": rows(**RESTORED),
    "restore-baseline": rows(**RESTORED),
    "resume": keys(**PAUSE),
    "rules check": keys(
        file=TEXT, rules=WHOLE, problems=each(PROBLEM), gone=each(PROBLEM), hidden=each(TEXT),
        steered=null(TEXT),
    ),
    "rules test": keys(window=TEXT, resource=TEXT, before=OBJECT, after=OBJECT, moved=each(keys(**MOVED))),
    "share": keys(
        **OF_SHARE,
        promises=PROMISES,
        held_by_grid=null(keys(charge=NUMBER, known_seconds=WHOLE, elapsed_seconds=WHOLE)),
    ),
    "simulate": either(
        keys(
            workload=keys(jobs=WHOLE, span_days=NUMBER, offered_load=NUMBER, regional_demand_share=NUMBER),
            left_out=each(keys(cause=TEXT, jobs=WHOLE, charge=null(NUMBER))), resource=TEXT, capacity=NUMBER,
            target_share=NUMBER, window=TEXT, partial_windows=WHOLE, policies=each(POLICY),
            replay_seconds=named(NUMBER), wall_seconds=NUMBER,
        ),
        keys(
            workloads=each(
                keys(
                    workload=TEXT,
                    policies=each(
                        keys(policy=TEXT, mean=named(null(NUMBER)), standard_deviation=named(null(NUMBER)))
                    ),
                )
            ),
            draws=each(keys(workload=TEXT, seed=WHOLE, policies=each(POLICY))), wall_seconds=NUMBER,
        ),
        keys(
            workload=keys(jobs=WHOLE, span_days=NUMBER, offered_load=NUMBER),
            left_out=each(keys(cause=TEXT, jobs=WHOLE, charge=null(NUMBER))), resource=TEXT, capacity=NUMBER,
            window=TEXT,
            promises=each(
                keys(
                    promise=TEXT, bound=TEXT, share=NUMBER, share_of=TEXT, demand_share=NUMBER,
                    steered=each(TEXT),
                )
            ),
            policies=each(
                keys(
                    policy=TEXT, utilisation=NUMBER,
                    promises=each(
                        keys(
                            promise=TEXT, delivered_share=null(NUMBER), worst_window_share=null(NUMBER),
                            windows=WHOLE, verdicts=named(WHOLE), writes_per_day=null(NUMBER),
                        )
                    ),
                )
            ),
            replay_seconds=named(NUMBER), wall_seconds=NUMBER,
        ),
    ),
    "statement": keys(
        organisation=TEXT, name=TEXT, window=TEXT, since=AT, until=AT, as_of=AT, unread_seconds=WHOLE,
        resource=TEXT, charge=NUMBER, part_of_regional=null(NUMBER), part_of_promise=null(NUMBER),
        expertise_hours=TEXT, currency=TEXT,
        lines=each(
            keys(since=AT, until=AT, beneficiary=TEXT, resource=TEXT, charge=NUMBER, price=TEXT, amount=TEXT)
        ),
        total=TEXT,
    ),
    "status": keys(
        cluster=TEXT, mode=TEXT, share=SHARE, promises=PROMISES,
        holds=each(keys(reason=TEXT, since=null(AT), until=Maybe(AT), why=Maybe(TEXT))),
        lever=keys(
            object=TEXT, names=each(TEXT), value=null(NUMBER), raised=null(NUMBER),
            outside_share=null(NUMBER), other_share=null(NUMBER), says=each(TEXT),
        ),
        last_read_at=AT, read_overdue=YES_NO, last_decision=null(keys(**RECORDED_DECISION)),
        last_change=null(keys(**DONE)), held_by_grid=null(NUMBER), held_by_limit=null(NUMBER),
        leader=null(TEXT), daemons=each(keys(name=TEXT, mode=TEXT)),
        last_foreign_change=null(FOREIGN_CHANGE),
    ),
    "unclassified": rows(**SUBJECT, charge=NUMBER) ,
}  # fmt: skip
"""By command. Those that are missing print no JSON: init, run."""

REPORTED_PROMISE = keys(
    name=TEXT, bound=TEXT, share=NUMBER, share_of=TEXT, window=TEXT, resource=TEXT, who=named(null(TEXT)),
    since=null(AT), source=TEXT, recorded_at=null(AT), ended=YES_NO, actor=TEXT, reason=null(TEXT),
    retroactive=YES_NO, figures_shown=YES_NO, delivered_share=null(NUMBER), regional_charge=null(NUMBER),
    total_charge=null(NUMBER), bound_charge=null(NUMBER), verdict=null(TEXT), verdict_reason=null(TEXT),
)  # fmt: skip
REPORT = "report file"
"""The JSON file that `saf report` writes; its inner objects are those of docs/howto/report.md."""
FILES: Mapping[str, Shape] = {
    REPORT: keys(
        report=OBJECT, promise=OBJECT, answer=OBJECT, share=keys(**OF_REPORT), programme=OBJECT,
        resources=each(OBJECT), promises=Maybe(each(REPORTED_PROMISE)), trend=each(OBJECT),
        weeks=each(OBJECT), tables=OBJECT, organisations=OBJECT,
        control=OBJECT, expertise=OBJECT, restatements=OBJECT, audits=each(OBJECT), fingerprint=OBJECT,
    ),
}  # fmt: skip


ONE: Shape = {"$ref": "#/$defs/answer"}
JOINT: Shape = null(each(keys(promise=TEXT, answer=null(JOINT_SHARE), error=null(TEXT))))
"""The joint promises, each with its share, or with what kept it from one; null where not asked for."""


def of_clusters(beside: Mapping[str, Shape]) -> Shape:
    """The answer for one cluster; or for several, each with its answer, or with what kept it from one.

    ``beside``: further keys of the answer for several.
    """
    row = keys(cluster=TEXT, answer=null(ONE), error=null(TEXT))
    return {
        "if": {"required": ["clusters"]}, "then": keys(clusters=each(row), **beside), "else": ONE
    }  # fmt: skip


def for_several(group: click.Group, before: str = "") -> Iterator[str]:
    """The commands that answer for several clusters."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from for_several(command, f"{before}{name} ")
        elif isinstance(command, EachCommand):
            yield f"{before}{name}"


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, JSON Schema) of every answer and file."""
    several = set(for_several(cli.with_all()))
    for name, shape in {**ANSWERS, **FILES}.items():
        defined = {"$defs": {"answer": dict(shape)}} if name in several else {}
        what = "A file of `saf report`" if name == REPORT else f"`saf {name} --json`"
        yield (
            name,
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": what,
                "type": "object",
                "required": ["schema"],
                **defined,
                "allOf": [
                    {"properties": {"schema": {"const": SCHEMA}}},
                    dict(
                        of_clusters({"joint": JOINT} if name in ("share", "status") else {})
                        if defined
                        else shape
                    ),
                ],
            },
        )


def file_name(name: str) -> str:
    """The file of a schema.

    >>> file_name("ledger export")
    'ledger-export.json'
    """
    return f"{name.replace(' ', '-')}.json"
