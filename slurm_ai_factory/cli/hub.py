"""`saf hub`: signed statements of days, between sites and the programme that reports over all of them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import question
from slurm_ai_factory.audit import signing
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.new_file import checked_directory, writable_directory, write_text
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.charge import day_of
from slurm_ai_factory.core.programme import day_statement
from slurm_ai_factory.core.programme.hubs import Hub, HubKey, HubTerm, day_states, unread_days
from slurm_ai_factory.core.records import DAY, Instant
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError, LedgerError, RefusedError
from slurm_ai_factory.language import LANGUAGES
from slurm_ai_factory.ledger import Ledger, unasked
from slurm_ai_factory.report.hub_page import hub_page
from slurm_ai_factory.report.hubs import HubAnswer, hub_answer, hub_value, unread_value

DAYS = ZoneInfo("UTC")
STATED = 31 * DAY
"""How long a day is stated again unless -S is given: later corrections are rare."""
LATE = DAY
"""A site has a day to send its statement, before `saf hub status` calls it missing."""
SHOWN = 20
"""Unread days that are printed."""

COLUMNS = (
    "site", "cluster", "regional", "total", "share", "verdict", "weighted share", "weighted verdict",
    "unread days",
)  # fmt: skip

HUB = click.argument("hub", metavar="SITE/CLUSTER")
REASON = arguments.reason_option(required=True)


@click.group("hub", cls=SafGroup)
def hub_group() -> None:
    """Exchange signed statements of days between sites and the programme that reports over all of them.

    A site states its days: `saf hub state`. A programme registers the clusters of sites and takes in their
    statements, which are files; any means may carry them. Days are UTC days.
    """


@hub_group.command("add")
@HUB
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The site's public key: Ed25519, in PEM.",
)
@click.option(
    "--weights",
    metavar="R",
    required=True,
    help="The resource that is one unit of the programme on this cluster, such as 128*gres/gpu.",
)
@click.option("--since", metavar="DATE", required=True, help="The first day that the site states.")
@REASON
def hub_add(hub: str, key_file: Path, weights: str, since: str, reason: str) -> None:
    """Register a cluster of a site, or its key and weights from a day on. Writes to the ledger.

    Statements taken in from now on must be signed with the key of the newest term that has begun.
    """
    config, reason = load_config(), arguments.asked_reason(reason)
    with arguments.usage_errors():
        names = _names(hub)
        units = Resource.parse(weights).name
    key = signing.public_key_text(key_file)
    term = HubTerm(*names, arguments.asked_day(DAYS, "--since", since), False, key, units)
    _record(config, term, reason)
    output.reply(_term_value(term), f"recorded {hub} from {since} on")


@hub_group.command("end")
@HUB
@click.option("--on", metavar="DATE", required=True, help="The first day that the site no longer states.")
@REASON
def hub_end(hub: str, on: str, reason: str) -> None:
    """Stop expecting statements of a cluster from a day on. Writes to the ledger."""
    config, reason = load_config(), arguments.asked_reason(reason)
    day = arguments.asked_day(DAYS, "--on", on)
    with arguments.usage_errors():
        names = _names(hub)
    with opened_ledger(config) as ledger:
        registered = ledger.hubs.hubs().get(names)
    last = registered.term_at(day - 1) if registered else None
    if last is None:
        raise LedgerError(f"{hub} is not registered before {on}; see `saf hub list`")
    if last.ended:
        raise LedgerError(
            f"{hub} has ended on {_date(last.since)} already; to end it later, register it from then on with "
            "`saf hub add` first"
        )
    term = last._replace(since=day, ended=True)
    _record(config, term, reason)
    output.reply(_term_value(term), f"recorded the end of {hub} on {on}")


@hub_group.command("list")
def hub_list() -> None:
    """List every recorded term of the clusters of sites, oldest first."""
    with opened_ledger(load_config()) as ledger:
        rows = [
            {
                "site": row["site"],
                "cluster": row["site_cluster"],
                "since": _date(row["since"]),
                "ended": output.cell(row["ended"]) if not chosen.json else row["ended"],
                "weights": row["weights"],
                "recorded_at": output.when(row["recorded_at"]),
                "actor": row["actor"],
                "reason": row["reason"],
            }
            for row in ledger.hubs.history()
        ]
    output.listing(rows, "no cluster of a site is registered; see `saf hub add`")


@hub_group.command("state")
@click.option("-S", "--since", metavar="DATE", help="The first day. Default: 31 days ago, once read.")
@click.option("-E", "--until", metavar="DATE", help="The day after the last. Default: today.")
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Write the files here.")
def hub_state(since: str | None, until: str | None, directory: str) -> None:
    """State whole days of this cluster, signed, in one file for each revision. Writes to the ledger.

    A day whose figures changed gets a further revision; an unchanged day gets none. Every revision of these
    days that is not in DIR is written again. A day that was not read whole is not stated: exit code 5.
    """
    config = load_config()
    site, key = config.hub.site, config.ledger.signing_key
    if site is None or key is None:
        raise ConfigError(f"{config.file} lacks hub.site or ledger.signing_key; set both to state days")
    with arguments.usage_errors("cluster.name"):
        values.as_code(config.cluster.name)
    files, unread = list[str](), list[str]()
    with opened_ledger(config) as ledger:
        first = arguments.asked_day(DAYS, "--since", since) if since else _first(ledger)
        last = arguments.asked_day(DAYS, "--until", until) if until else day_of(now())
        if last > day_of(now()):
            raise click.UsageError(f"--until {until} is in the future; a day is stated when it is over")
        if (since or until) and last <= first:
            raise click.UsageError(f"no whole day is between {_date(first)} and {_date(last)}")
        for day in range(first, last, DAY):
            if day + DAY > (ledger.accounting.watermark() or 0) or ledger.accounting.gaps(day, day + DAY):
                unread.append(_date(day))
                continue
            revisions = ledger.given.state(site, config.hub.infrastructure, day, at=now())
            written = (_written(Path(directory), key, each) for each in revisions)
            files += [str(file) for file in written if file]
    output.reply(
        {"files": files, "unread": unread},
        *(f"wrote {file}" for file in files),
        *(f"{day} was not read whole, and is not stated: saf backfill -S {day}" for day in unread),
        f"wrote {count(len(files), 'statement')}",
    )
    if unread:
        sys.exit(output.FINDINGS)


@hub_group.command("intake")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def hub_intake(paths: tuple[Path, ...]) -> None:
    """Take in statements of sites: files, or directories of *.json files. Writes to the ledger.

    Hidden files of a directory are left out: they are still being written. Each file goes in whole or is
    refused with the reason; the same files in any order, and more than once, give the same figures. Exit code
    1: files were refused.
    """
    config, refused, faults, new, known = load_config(), list[dict[str, str]](), list[dict[str, str]](), 0, 0
    with opened_ledger(config) as ledger:
        for file in _files(paths):
            try:
                signed = _checked(file, ledger.hubs.hubs())
                taken = ledger.hubs.take_in(signed, at=now())
            except (ValueError, RefusedError) as error:
                refused.append({"file": str(file), "reason": str(error)})
                continue
            new, known = new + taken, known + (not taken)
            if taken and (fault := day_statement.sync_fault(signed.statement)):
                faults.append({"file": str(file), "reason": fault})
    output.reply(
        {"new": new, "known": known, "refused": refused, "unread": faults},
        *(f"{row['file']} {row['reason']}; nothing of it was taken in" for row in refused),
        *(f"{row['file']}: {row['reason']}; its day is unread until the next revision" for row in faults),
        f"took in {count(new, 'statement')}, {known} known already, {len(refused)} refused",
    )
    if refused:
        raise RefusedError(
            f"{count(len(refused), 'file')} refused; do what each reason asks for, and take them in again"
        )


@hub_group.command("status")
@arguments.as_of_option()
def hub_status(then: str | None) -> None:
    """Show the last day taken in of each cluster of a site, and the days that are missing.

    A day is missing from a day after its end on. Exit code 5: days are missing.
    """
    config = load_config()
    known = arguments.asked_instant(config, then) if then else None
    until = day_of((now() if known is None else known) - LATE)
    rows, missing = list[dict[str, object]](), list[dict[str, str]]()
    with opened_ledger(config) as ledger:
        arguments.check_known(ledger, known)
        states = day_states(ledger.hubs.statements(0, until + 2 * DAY, known))
        for hub in ledger.hubs.hubs(known).values():
            last = max((day for *key, day in states if tuple(key) == hub.key), default=None)
            unread = unread_days(hub, states, hub.terms[0].since, until)
            own = [unread_value(hub, day) for day in unread]
            missing += own
            rows.append(
                {
                    "site": hub.site,
                    "cluster": hub.cluster,
                    "last_day": None if last is None else _date(last),
                    "revision": None if last is None else states[*hub.key, last].revision,
                    "missing": own if chosen.json else len(own),
                }
            )
    output.listing(rows, "no cluster of a site is registered; see `saf hub add`")
    if missing:
        _say_unread([] if chosen.json else missing)
        sys.exit(output.FINDINGS)


@hub_group.command("report")
@arguments.WINDOW
@click.option(
    "--language", "languages", type=click.Choice(LANGUAGES), multiple=True, default=LANGUAGES,
    help="Language; repeatable. Default: all.",
)  # fmt: skip
@arguments.as_of_option(default="now")
@click.option("-o", "--output", "directory", required=True, metavar="DIR", help="Write the files here.")
def hub_report(window: str | None, languages: tuple[str, ...], then: str, directory: str) -> None:
    """Write the report over all sites, for readers outside; it names no persons and shows no small cells."""
    place, answer = checked_directory(Path(directory)), _asked(window, then)
    name = f"{answer.config.cluster.name}-hubs-{answer.window.name.replace(':', '-')}"
    labels = answer.config.codes(()).municipalities
    files = [write_text(place, f"{name}.{code}.html", hub_page(answer, code, labels)) for code in languages]
    output.reply({"files": files}, *(f"wrote {file}" for file in files))


@hub_group.command("share")
@arguments.WINDOW
@arguments.as_of_option()
def hub_share(window: str | None, then: str | None) -> None:
    """Show the share of each cluster of a site and of all together, raw and weighted.

    Weighted charges are in the programme's own unit, by the weights of `saf hub add`. A window with an unread
    day of any cluster stays open.
    """
    value = hub_value(_asked(window, then))
    if chosen.json:
        return output.emit(value)
    hours, percent = (output.cell, output.cell) if chosen.csv else (output.hours, output.percent)
    rows = [
        [
            row["site"] or "all",
            row["cluster"] or "",
            *(hours(row["raw"][key]) for key in ("regional_charge", "total_charge")),
            *(
                cell
                for unit in ("raw", "weighted")
                for cell in (percent(row[unit]["delivered_share"]), row[unit]["verdict"])
            ),
            len(row["unread"]),
        ]
        for row in value["rows"]
    ]
    output.table(COLUMNS, rows)
    return _say_unread(value["rows"][-1]["unread"])


def _asked(window: str | None, then: str | None) -> HubAnswer:
    """The share over all sites that the options mean. Raises UsageError, LedgerError."""
    config = load_config()
    known = arguments.asked_instant(config, then) if then else None
    with opened_ledger(config) as ledger:
        arguments.check_known(ledger, known)
        config = question.under_terms(config, ledger, now(), known)
        moment = now() if known is None else known
        return hub_answer(
            config, ledger, arguments.asked_window(config, window, None, None, known), moment, known
        )


def _names(hub: str) -> HubKey:
    """Site and cluster as typed. Raises ValueError."""
    site, slash, cluster = hub.partition("/")
    if not (site and slash and cluster):
        raise ValueError(f"{hub!r} is not a site and one of its clusters, such as groningen/alpha")
    return values.as_code(site), values.as_code(cluster)


def _record(config: Config, term: HubTerm, reason: str) -> None:
    with opened_ledger(config, admit=unasked) as ledger:
        arguments.warn_of_names(ledger, reason)
        ledger.hubs.record(term, {"at": now(), "actor": current_actor(), "reason": reason})


def _term_value(term: HubTerm) -> dict[str, object]:
    return {
        "site": term.site,
        "cluster": term.cluster,
        "since": _date(term.since),
        "ended": term.ended,
        "weights": term.weights,
    }


def _date(day: Instant) -> str:
    return windows.iso(day)[:10]


def _say_unread(unread: list[dict[str, str]]) -> None:
    for day in unread[:SHOWN]:
        output.say(f"{day['site']}/{day['cluster']} {day['day']} is unread: {day['reason']}", err=True)
    if len(unread) > SHOWN:
        output.say(f"{len(unread) - SHOWN} more days are unread; --json lists all", err=True)


def _first(ledger: Ledger) -> Instant:
    """The first day to state: some days ago, but not before anything was read.

    If nothing was read since, all of these days are unread, and none is left out.
    """
    moment = now()
    first = day_of(moment - STATED)
    gaps = ledger.accounting.gaps(first, moment)
    began = gaps and gaps[0][0] == first and gaps[0][1] < moment
    return day_of(gaps[0][1] + DAY - 1) if began else first


def _written(directory: Path, key: Path, statement: day_statement.DayStatement) -> Path | None:
    """Write a statement's file, whole or not at all; None where it is there. Raises SafError."""
    signed = day_statement.SignedStatement(
        statement, statement.digest, signing.signature(key, day_statement.signed_message(statement.digest))
    )
    names = statement.site, statement.cluster, _date(statement.day), str(statement.revision)
    name, text = f"{'+'.join(names)}.json", signed.text()
    file = writable_directory(directory) / name
    with suppress(OSError):
        if file.is_file() and file.read_text(encoding="ascii", errors="replace") == text:
            return None
    return Path(write_text(directory, name, text))


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Every file to take in; of a directory those that end in .json and are not hidden, in order of name.

    A hidden one is still being written: by `saf hub state`, or by whatever carries it here.
    """
    for path in paths:
        yield from sorted(path.glob("[!.]*.json")) if path.is_dir() else (path,)


def _content(file: Path) -> bytes:
    """The bytes of a regular file, and of no more than a statement may have. Raises ValueError."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ValueError("is not a regular file")
            return opened.read(day_statement.MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def _checked(file: Path, hubs: dict[HubKey, Hub]) -> day_statement.SignedStatement:
    """The statement of a file, by a registered site, of a day it states. Raises ValueError with why not."""
    signed = day_statement.parsed_statement(_content(file))
    statement = signed.statement
    hub = hubs.get((statement.site, statement.cluster))
    if hub is None:
        raise ValueError(
            f"is of {statement.site}/{statement.cluster}, which is not registered; see `saf hub add`"
        )
    if not hub.states(statement.day):
        raise ValueError(
            f"is of {_date(statement.day)}, a day that {hub.name} does not state; see `saf hub list`"
        )
    key = (hub.term_at(now()) or hub.terms[0]).public_key.encode()
    if not signing.is_signed(
        key, f"the key of {hub.name}", day_statement.signed_message(signed.digest), signed.signature
    ):
        raise ValueError(f"is not signed with the key of {hub.name}; let the site write it again")
    return signed
