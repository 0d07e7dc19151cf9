"""`saf joint`: promises over several clusters, and the weights that put their charges on one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.clusters import NO_ANSWER, JointRow
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.promise import REASON, SOURCE, checked_name, parsed_option, stated
from slurm_ai_factory.cli.wiring import clusters_of_file, current_actor, now, opened_ledger
from slurm_ai_factory.config import Clusters, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.programme.joint import JointPromise, JointWeight, joint_term, joint_term_value
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import FIRST, Instant
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import LedgerError, RefusedError, SafError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.report.joint import MEMBER_KEYS, JointAnswer, JointNow, joint_answer, joint_value


def _joint_name(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """The name of a joint promise. Raises UsageError."""
    if name == FIRST:
        raise click.UsageError(f"{FIRST} is the promise of each cluster; give the joint promise another name")
    return checked_name(name)


NAME = click.argument("name", callback=_joint_name)


@click.group("joint", cls=SafGroup)
def joint_group() -> None:
    """Manage joint promises: floors of what several clusters of the file deliver together.

    A joint promise is made to the region, as the rules of each cluster have it. `saf joint weigh` says which
    resource of a cluster counts, with which weight and from which day on. Nothing is overwritten. Joint
    promises are measured, not steered: each cluster steers its own promise.
    """


@joint_group.command("set")
@NAME
@click.option("--since", metavar="DATE", required=True, help="The first day of the term.")
@click.option("--share", metavar="N", help="The share: 0.25.")
@click.option("--margin", metavar="N", help="How far above the floor the share is to end.")
@click.option("--label", metavar="TEXT", help="What people call one unit.")
@click.option("--window", metavar="KIND", help="month, quarter, half, year or rolling:30d.")
@click.option("--time-zone", metavar="ZONE", help="The time zone of the windows.")
@click.option("--unclassified-limit", metavar="N", help="As promise.unclassified_limit; `none` for no limit.")
@SOURCE
@REASON
def joint_set(name: str, since: str, source: str, reason: str, **given: Any) -> None:
    """Record what is promised from a day on. Writes to the ledger.

    A new NAME needs --share, and takes margin, window and time zone of the region's promise on the first
    cluster of the file. Options left out stay as in the term of that day. The day must start a window, of the
    present kind and of the new one.
    """
    fields = {key: parsed_option(key, text) for key, text in given.items() if text is not None}
    _record_term(name, since, "--since", fields | stated(source, reason))


@joint_group.command("end")
@NAME
@click.option("--on", "since", metavar="DATE", required=True, help="The first day without the promise.")
@SOURCE
@REASON
def joint_end(name: str, since: str, source: str, reason: str) -> None:
    """End a joint promise from a day on. Writes to the ledger."""
    _record_term(name, since, "--on", {"ended": True, **stated(source, reason)})


@joint_group.command("weigh")
@NAME
@click.argument("member", metavar="CLUSTER")
@click.argument("resource")
@click.option("--since", metavar="DATE", required=True, help="The first day of the weight.")
@SOURCE
@REASON
def joint_weigh(name: str, member: str, resource: str, since: str, source: str, reason: str) -> None:
    """Record what a cluster counts in a joint promise, from a day on. Writes to the ledger.

    RESOURCE is cpu, 40*node or 0.25*cpu+16*gres/gpu: with 40*node, an hour of a node is 40 units. With `none`
    the cluster no longer counts. The day may be past, not future.
    """
    why = stated(source, reason)
    with arguments.usage_errors("RESOURCE"):
        counted = None if resource == "none" else Resource.parse(resource)
    with opened_clusters() as (clusters, ledger):
        known = _known(ledger, name)
        zone = known.terms.at(now()).zone
        at = arguments.asked_day(zone, "--since", since)
        row = JointWeight(name, member, at, counted, **why, actor=current_actor(), recorded_at=now())
        if member not in clusters:
            raise RefusedError(
                f"the file has no cluster {member}, only {', '.join(clusters)}; nothing was changed"
            )
        arguments.warn_of_names(ledger, *why.values())
        if _to_approve(clusters):
            return _propose(ledger, {"weight": row.plain()}, why["reason"])
        if problems := ledger.joint.weigh(row):
            raise RefusedError(f"{'; '.join(problems)}; nothing was changed")
    late = "; this is retroactive" if at < now() else ""
    sentence = (
        f"since {since} cluster {member} counts {row.unit} in joint promise {name} ({row.source}){late}"
    )
    return output.reply(_weight_value(row), sentence)


@joint_group.command("list")
@arguments.as_of_option()
def joint_list(then: str | None) -> None:
    """List every recorded term and weight of every joint promise, in the order of recording."""
    with opened_clusters() as (clusters, ledger):
        at = _then(clusters, ledger, then)
        terms = [_term_value(term) for term in ledger.joint.terms() if at is None or term.recorded_at <= at]
        weights = [
            _weight_value(row) for row in ledger.joint.weights() if at is None or row.recorded_at <= at
        ]
    if chosen.json:
        return output.emit({"terms": terms, "weights": weights})
    rows = [{**row, "cluster": "", "says": _says(row)} for row in terms]
    rows += [{**row, "says": row["resource"]} for row in weights]
    columns = ("promise", "cluster", "since", "says", "source", "reason", "actor", "recorded_at")
    return output.listing(
        [{name: row[name] for name in columns} for row in rows],
        "no joint promise is recorded; see `saf joint set`",
    )


def _says(term: Mapping[str, Any]) -> str:
    """What a term promises, for people."""
    promised = f"a floor of {output.percent(term['share'])} in each {term['window']}"
    return "no promise" if term["ended"] else promised


@joint_group.command("share")
@NAME
@arguments.WINDOW
@arguments.as_of_option()
def joint_share(name: str, window: str | None, then: str | None) -> None:
    """Show the share of a joint promise in a window, and what each cluster adds to it.

    Charges are in the promise's own unit. All clusters are measured up to the same instant. If a part of the
    window was never read on one of them, the verdict is open.
    """
    with opened_clusters() as (clusters, ledger):
        at = _then(clusters, ledger, then)
        answer = _asked(clusters, ledger, _known(ledger, name, at), window, at)
    if chosen.json:
        return output.emit(joint_value(answer))
    return _print(answer)


def joint_shares(window: str | None, then: str | None) -> list[JointRow]:
    """Print the share of each joint promise that holds; a row for each.

    Raises SafError where the file or the ledger cannot be used.
    """
    rows: list[JointRow] = []
    with opened_clusters() as (clusters, ledger):
        at = _then(clusters, ledger, then)
        for name, known in ledger.joint.holding(now() if at is None else at, at).items():
            if not (chosen.json or chosen.quiet):
                output.say(f"# joint promise {name}")
            try:
                answer = _asked(clusters, ledger, known, window, at)
            except (SafError, click.UsageError) as error:
                rows.append(joint_row(JointNow(name, None, str(error))))
                continue
            rows.append(joint_row(JointNow(name, answer)))
            if not chosen.json:
                _print(answer)
    return rows


def joint_row(measured: JointNow, code: int = 0) -> JointRow:
    """The row of a joint promise, with this exit code; say what kept it from an answer."""
    name, answer, error = measured
    if answer is None:
        output.say(f"saf: joint promise {name}: {error}", err=True)
        return JointRow({"promise": name, "answer": None, "error": error}, NO_ANSWER)
    return JointRow({"promise": name, "answer": joint_value(answer), "error": None}, code)


def _asked(
    clusters: Clusters, ledger: Ledger, known: JointPromise, window: str | None, at: Instant | None
) -> JointAnswer:
    """The share in the window that the options mean, as known now or at an instant.

    Raises UsageError, SafError.
    """
    moment = now() if at is None else at
    where = None
    if window not in (None, "current"):
        config = _first(clusters).under(known.terms.at(moment))
        where = arguments.asked_window(config, window, None, None, at)
    return joint_answer(clusters, ledger, known, moment, where, at)


MEMBERS = ("cluster", "counts", "regional", "total", "share", "of capacity", "waited", "unread hours")


def _print(answer: JointAnswer) -> None:
    """Print it as text, charges in unit-hours; as CSV, what each cluster adds."""
    if chosen.csv:
        columns = ("cluster", *MEMBER_KEYS)
        rows = [[member[name] for name in columns] for member in joint_value(answer)["members"]]
        return output.table(columns, rows)
    output.pairs(output.share_text(answer.together, answer.margin))
    click.echo()
    cells = [
        [
            m.cluster,
            ", ".join(dict.fromkeys(part.resource.name for part in parts)),
            *map(output.hours, (m.regional_charge, m.total_charge)),
            *map(output.percent, (m.delivered_share, m.capacity_share)),
            *map(output.hours, (m.waiting_charge, m.unread_seconds)),
        ]
        for m, parts in answer.members
    ]
    return output.table(MEMBERS, cells)


@contextmanager
def opened_clusters() -> Iterator[tuple[Clusters, Ledger]]:
    """Every cluster of the file, and the ledger."""
    clusters = clusters_of_file()
    with opened_ledger(_first(clusters)) as ledger:
        yield clusters, ledger


def _first(clusters: Clusters) -> configuration.Config:
    """The configuration of the first cluster that has a sound one. Raises ConfigError."""
    return (
        next((config for config in clusters.values() if isinstance(config, configuration.Config)), None)
        or configuration.sound(clusters)[0]
    )


def _known(ledger: Ledger, name: str, then: Instant | None = None) -> JointPromise:
    promises = ledger.joint.promises(then)
    if name not in promises:
        there = ", ".join(promises) or "none yet"
        raise LedgerError(f"there is no joint promise {name}; the ledger has {there}: see `saf joint set`")
    return promises[name]


def _then(clusters: Clusters, ledger: Ledger, then: str | None) -> Instant | None:
    at = arguments.asked_instant(_first(clusters), then) if then else None
    arguments.check_known(ledger, at)
    return at


def _to_approve(clusters: Clusters) -> bool:
    return any(config.approval.promise for config in configuration.sound(clusters))


def _propose(ledger: Ledger, content: Mapping[str, object], reason: str) -> None:
    proposed(ledger, ProposalKind.JOINT, content, {"at": now(), "actor": current_actor(), "reason": reason})


def _record_term(name: str, since: str, option: str, fields: Mapping[str, Any]) -> None:
    """Record a term with the given fields; the others stay as on that day. Raises RefusedError."""
    with opened_clusters() as (clusters, ledger):
        term = _term(clusters, ledger, name, since, option, fields)
        arguments.warn_of_names(ledger, term.source, term.reason)
        if _to_approve(clusters):
            return _propose(ledger, {"term": joint_term_value(term)}, term.reason)
        if problems := ledger.joint.record(term):
            raise RefusedError(f"{'; '.join(problems)}; nothing was changed")
    promised = "has ended" if term.ended else f"is a floor of {output.percent(term.share)}"
    late = "; this is retroactive" if term.retroactive else ""
    return output.reply(
        _term_value(term), f"since {since} joint promise {name} {promised} ({term.source}){late}"
    )


def _term(
    clusters: Clusters, ledger: Ledger, name: str, since: str, option: str, fields: Mapping[str, Any]
) -> Term:
    known = ledger.joint.promises().get(name)
    if known is None and ("share" not in fields or fields.get("ended")):
        raise click.UsageError(
            f"there is no joint promise {name} yet; make it with `saf joint set` and --share"
        )
    first = _first(clusters)
    terms = known.terms if known else question.terms_of(first, ledger)
    zone = values.as_zone(fields.get("time_zone", terms.at(now()).time_zone))
    at = arguments.asked_day(zone, option, since)
    new = {} if known else {"label": "", "unclassified_limit": None}
    own = {"promise": name, "since": at, "ended": False, "actor": current_actor(), "recorded_at": now()}
    return joint_term({**joint_term_value(terms.at(at)), **new, **own, **fields})


def _term_value(term: Term) -> dict[str, Any]:
    """A term as JSON: dates as users type them."""
    return {
        **joint_term_value(term),
        "since": windows.civil_day(term.since, term.zone),
        "recorded_at": output.when(term.recorded_at),
        "retroactive": term.retroactive,
    }


def _weight_value(row: JointWeight) -> dict[str, Any]:
    """A weight as JSON."""
    return {
        "promise": row.promise, "cluster": row.cluster, "since": output.when(row.since),
        "resource": row.unit, "source": row.source, "reason": row.reason, "actor": row.actor,
        "recorded_at": output.when(row.recorded_at),
    }  # fmt: skip
