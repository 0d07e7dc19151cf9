"""`saf status`: one screen on the state of the promise, once or repeatedly.

Tested in tests/monitor/test_terminal.py and tests/end_to_end/test_control.py.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import draw, history, output
from slurm_ai_factory.cli.clusters import EachCommand, JointRow, several
from slurm_ai_factory.cli.joint import joint_row, opened_clusters
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.output import Styled
from slurm_ai_factory.cli.screen import unguarded
from slurm_ai_factory.cli.status_socket import status_from_service
from slurm_ai_factory.cli.wiring import asked_clusters, load_config, load_configs, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.control.foreign import ForeignChange
from slurm_ai_factory.core.control.lever import Reach
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.live.modes import RunningDaemon, modes_differ
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.measure.assessment import Assessment, assess
from slurm_ai_factory.core.measure.figures import FIGURES, Unit
from slurm_ai_factory.core.records import (
    ChangeStatus,
    Further,
    Hour,
    Instant,
    LeverKind,
    Measurement,
    Verdict,
)
from slurm_ai_factory.errors import ClosedConfigError, ConfigError, SafError, one_sentence
from slurm_ai_factory.language import DEFAULT, NBSP, language
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.monitor import nagios
from slurm_ai_factory.monitor.sentence import promise_sentence
from slurm_ai_factory.question import Question
from slurm_ai_factory.report.joint import JointAnswer, JointNow, joint_now

RECENT = 100
AT_RISK = 3
HOLDING = 4
PERIODS_UNTIL_OVERDUE = 2
OVERDUE = ", overdue: no cycle has succeeded since"
WIDEST = 96
CHART_LINES = 6
DATE = len("2027-01-31")
CLEAR = "\x1b[H\x1b[2J"
HELD_FOR = {
    "held_by_grid": "nodes kept free",
    "held_by_limit": "limits, licences or reservations of Slurm's: see saf doctor",
}
COLORS = {Verdict.MET: "green", Verdict.MISSED_DEMAND: "yellow", Verdict.MISSED_STARVED: "red"}

StyledLine = tuple[str | Styled, ...]


def _joint(_options: Mapping[str, Any] | None = None) -> list[JointRow]:
    """Print the joint promises that hold; a row for each. Raises SafError."""
    rows = []
    for measured in measured_jointly():
        answer = measured.answer
        if answer and not chosen.json:
            for line in _joint_screen(answer):
                output.draw(*line)
        at_risk = answer and assess(answer.together, answer.margin).at_risk
        rows.append(joint_row(measured, AT_RISK if at_risk else 0))
    return rows


def measured_jointly() -> list[JointNow]:
    """Every joint promise that holds, as the daemon measures it. Raises SafError."""
    with opened_clusters() as (clusters, ledger):
        return joint_now(clusters, ledger, now())


@click.command("status", cls=EachCommand, once=("watch", "check"), joint=_joint)
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option(
    "--every", default=15, show_default=True, metavar="SECONDS", type=click.IntRange(1), help="With --watch."
)
@click.option("--check", is_flag=True, help="Print one line for Nagios or Icinga, with its exit codes.")
def status_command(watch: bool, every: int, check: bool) -> None:
    """Show one screen: the share so far and its course, the share required, and the last decision and change.

    For several clusters, a screen of each, and the joint promises after the last one: see `saf joint`.

    Exit code 3: a floor or a cap is at risk. Exit code 4: control is on hold, or the ledger is stale.

    Members of the group saf may run it without sudo, if saf-status.socket is enabled; without options, and
    the exit code is then 0 for any status.

    Exit codes with --check: 0 OK. 1 WARNING: the share is below its floor, a further promise is at risk,
    control is on hold, or part of the window was not read or is unclassified. 2 CRITICAL: the floor is at
    risk, or the ledger is stale. 3 UNKNOWN: the ledger or the configuration cannot be read.
    Of several clusters the worst counts: 2, then 3, 1 and 0; the line names the state of each.
    """
    if check:
        if watch or chosen.json or chosen.csv:
            raise click.UsageError("--check prints one line; give it without --watch, --json and --csv")
        sys.exit(_check())
    if watch:
        if chosen.json:
            raise click.UsageError("--watch is for people; repeat the command with --json instead")
        return _watch(load_configs(), every)
    try:
        config = load_config()
    except ClosedConfigError:
        plain = not (chosen.json or chosen.csv)
        text = status_from_service() if plain else None
        if text is None:
            raise
        for line in text.splitlines():
            output.say(line)
        return None
    sys.exit(_once(config))


def _check() -> int:
    """Print the line of a monitoring plugin, also where nothing can be read; the exit code."""
    try:
        clusters = asked_clusters()
        checks = {name: _checked(config) for name, config in clusters.items()}
        if several(clusters):
            sound = [config for config in clusters.values() if isinstance(config, Config)]
            late = max((config.daemon.ready_after for config in sound), default=0)
            checks |= {f"joint.{each.name}": _checked_joint(each, late) for each in measured_jointly()}
    except Exception as error:
        checks = {"": nagios.ServiceCheck(nagios.ServiceState.UNKNOWN, one_sentence(error))}
    check = nagios.checked_together(checks) if len(checks) > 1 else next(iter(checks.values()))
    output.draw(nagios.service_line(check))
    return check.state


def _checked(config: Config | ConfigError) -> nagios.ServiceCheck:
    """The check of one cluster."""
    try:
        if isinstance(config, ConfigError):
            raise config
        with opened_ledger(config) as ledger:
            asked, promises, value = _gathered(config, ledger)
        speech = language(DEFAULT, asked.config.promise.time_zone)
        performance = nagios.performance_data(*promises[0], now(), asked.config.daemon.ready_after)
        return nagios.ServiceCheck(*nagios.service_check(promises, value["holds"], speech), performance)
    except Exception as error:
        return nagios.ServiceCheck(nagios.ServiceState.UNKNOWN, one_sentence(error))


def _checked_joint(measured: JointNow, late: int) -> nagios.ServiceCheck:
    """The check of a joint promise, whose clusters were all to be read so many seconds ago at most."""
    if measured.answer is None:
        return nagios.ServiceCheck(nagios.ServiceState.UNKNOWN, measured.error)
    m, margin, zone, _ = measured.answer
    holds = [{"reason": "stale", "since": output.when(m.as_of)}] if now() - m.as_of > late else []
    state, text = nagios.service_check([Further(m, margin)], holds, language(DEFAULT, zone))
    return nagios.ServiceCheck(state, text, nagios.performance_data(m, margin, now(), late))


def _gathered(config: Config, ledger: Ledger) -> tuple[Question, list[Further], dict[str, Any]]:
    """The question, the measurement of each promise, and the value of --json."""
    asked = question.ask(config, ledger)
    measured, groups = asked.answer(question.by_steered(asked))
    promises = [Further(measured, asked.config.promise.margin), *asked.further()]
    value = _status(asked, measured, lever.reach(question.by_detail(0, groups)))
    return asked, promises, {**value, "promises": output.promise_values(promises)}


def _once(config: Config) -> int:
    """Print the status; the exit code."""
    with opened_ledger(config) as ledger:
        asked, promises, value = _gathered(config, ledger)
        config = asked.config
        earlier = () if chosen.json else asked.earlier()
    if chosen.json:
        output.emit(value)
    else:
        for line in _screen(config, value, promises, earlier):
            output.draw(*line)
    if value["holds"]:
        return HOLDING
    return AT_RISK if any(assess(*promise).at_risk for promise in promises) else 0


def _watch(configs: Sequence[Config], every: int) -> None:
    """Repeat until Ctrl-C; where something fails, print why and try again."""
    screens: list[Callable[[], object]] = [partial(_once, config) for config in configs]
    if several(configs):
        screens.append(_joint)
    try:
        while True:
            if sys.stdout.isatty():
                click.echo(CLEAR, file=unguarded(sys.stdout), nl=False, color=True)
            for screen in screens:
                try:
                    screen()
                except SafError as error:
                    output.say(f"saf: {error}", err=True)
                output.draw()
            output.draw(output.styled(f"every {every} s; Ctrl-C stops", dim=True))
            time.sleep(every)
    except KeyboardInterrupt:
        click.echo()


def _status(asked: Question, measured: Measurement, reach: Reach) -> dict[str, Any]:
    """The value of --json; the screen shows the same."""
    config, ledger = asked.config, asked.ledger
    last = ledger.control.last_decision()
    written = (entry for entry in history.latest(ledger, RECENT) if entry["status"] != ChangeStatus.ADVISED)
    change = next(written, None)
    return {
        "cluster": config.cluster.name,
        "mode": config.control.mode,
        "share": output.share_value(measured, config.promise.margin),
        "holds": _holds(config, ledger, last, change, measured.as_of),
        "lever": {
            "object": config.control.lever, "names": list(config.control.steered),
            "value": ledger.control.last_applied(config.control.steered[0], config.control.lever)
            if config.control.switch else None, "raised": config.control.raised,
            "outside_share": reach.outside_share, "other_share": reach.other_share, "says": reach.sentences
        },
        "last_read_at": output.when(measured.as_of),
        "read_overdue": now() - measured.as_of > PERIODS_UNTIL_OVERDUE * config.daemon.period,
        "last_decision": last
        and {**last, "at": output.when(last["at"]), "inputs": output.inputs(last["inputs"])},
        "last_change": change,
        "last_foreign_change": next(map(_foreign_value, ledger.control.foreign_changes(1)), None),
        "held_by_grid": (last["inputs"] if last else {}).get("regional_held_by_grid"),
        "held_by_limit": (last["inputs"] if last else {}).get("regional_held_by_limit"),
        "leader": ledger.store.leader(ledger.control.cluster_id),
        "daemons": [daemon._asdict() for daemon in ledger.store.daemons(ledger.control.cluster_id)],
    }  # fmt: skip


def _foreign_value(change: ForeignChange) -> dict[str, Any]:
    """What another user changed, as JSON shows it; ``actor`` is null where Slurm did not log it."""
    return {
        "seen_at": output.when(change.seen_at), "object": change.lever, "account": change.account,
        "from": change.ours, "to": change.theirs, "actor": change.changer.user or None,
        "at": output.when(change.changer.at), "sentence": change.sentence,
    }  # fmt: skip


def _holds(
    config: Config,
    ledger: Ledger,
    last: dict[str, Any] | None,
    change: dict[str, Any] | None,
    read_at: Instant,
) -> list[dict[str, str | None]]:
    """The present holds, each with its reason and start. ``last``: the last decision."""
    holds, pause = [], ledger.control.pause(now())
    if pause:
        times = {"since": output.when(pause.at), "until": output.when(pause.until)}
        holds.append({"reason": "paused", **times, "why": pause.reason})
    if last and last["reason"] in HOLDS - {"paused"}:
        since = ledger.control.reason_since(last["reason"])
        holds.append({"reason": last["reason"], "since": output.when(since)})
    if change and change["status"] == ChangeStatus.FAILED:
        holds.append({"reason": "write_failed", "since": change["at"]})
    if now() - read_at > config.daemon.ready_after:
        holds.append({"reason": "stale", "since": output.when(read_at)})
    return holds


def _screen(
    config: Config, value: dict[str, Any], promises: Sequence[Further], earlier: Sequence[Hour]
) -> Iterator[StyledLine]:
    """The lines, no wider than the terminal; the list of promises may be."""
    m, margin = promises[0]
    width = min(WIDEST, shutil.get_terminal_size().columns)
    leader = f"daemon {value['leader']}" if value["leader"] else "no daemon is active"
    name = str(value["cluster"])
    title = textwrap.wrap(f"  {m.window.name}  mode {value['mode']}, {leader}", max(20, width - len(name)))
    yield output.styled(name, bold=True), title[0]
    yield from ((f"  {line}",) for line in title[1:])
    yield from _said(m, margin, config.promise.time_zone, width)
    yield from _chart(m, earlier, width)
    yield ()
    yield from ((line,) for line in _figures(m, margin, width))
    if len(promises) > 1:
        yield ()
        yield from ((line,) for line in output.promise_lines(promises))
    yield ()
    yield from _last(value, width)


def _joint_screen(answer: JointAnswer) -> Iterator[StyledLine]:
    """The lines of a joint promise, no wider than the terminal."""
    m, margin, zone, _ = answer
    width = min(WIDEST, shutil.get_terminal_size().columns)
    name = f"joint promise {m.promise}"
    about = f"  {m.window.name}  clusters {m.cluster.replace(',', ', ')}, read up to {output.when(m.as_of)}"
    title = textwrap.wrap(about, max(20, width - len(name)))
    yield output.styled(name, bold=True), title[0]
    yield from ((f"  {line}",) for line in title[1:])
    yield from _said(m, margin, zone, width)
    yield from ((line,) for line in _figures(m, margin, width))


def _said(m: Measurement, margin: float, zone: ZoneInfo, width: int) -> Iterator[StyledLine]:
    """The promise in one sentence, between empty lines."""
    sentence = promise_sentence(m, margin, language(DEFAULT, zone)).replace(NBSP, " ")
    color = _color(assess(m, margin))
    yield ()
    yield from ((output.styled(line, fg=color),) for line in textwrap.wrap(sentence, width))
    yield ()


def _color(known: Assessment) -> str | None:
    """The sentence's colour: green while the promise is kept."""
    if known.floor_side is None:
        return None
    return COLORS.get(known.verdict) or ("yellow" if known.below else "green")


def _chart(m: Measurement, earlier: Sequence[Hour], width: int) -> Iterator[StyledLine]:
    """The course of the share, green while it is at or above the floor."""
    blocks = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    course = outlook.course(m, earlier)
    lines, kept = draw.draw_course(course, m.target_share, width=width, height=CHART_LINES, blocks=blocks)
    for scale, cells in lines:
        runs = groupby(zip(cells, kept, strict=False), key=lambda pair: (pair[0] == "─", pair[1]))
        parts = (_run("".join(cell for cell, _ in run), *key) for key, run in runs)
        yield output.styled(scale, dim=True), *parts
    first = course[0].at if course else m.window.since
    ends, room = [str(output.when(at)) for at in (first, m.as_of)], width - draw.MARGIN - 1
    since, until = ends if len("".join(ends)) < room else (end[:DATE] for end in ends)
    yield (output.styled(f"{'':{draw.MARGIN + 1}}{since}{until:>{room - len(since)}}", dim=True),)


def _run(text: str, ground: bool, kept: bool) -> str | Styled:
    if not text.strip():
        return text
    return output.styled(text, dim=True) if ground else output.styled(text, fg="green" if kept else "yellow")


def _figures(m: Measurement, margin: float, width: int) -> list[str]:
    """Two columns of names and values; one where two are too wide."""
    attainable = output.figure_text("attainable", m, margin)
    unit = f", {outlook.resource_unit(m.called)}-hours"
    more = {
        "required_share": attainable and f"  {FIGURES['attainable'].words}: {attainable}",
        "regional_charge": f" of {output.hours(m.total_charge)}",
    }
    rows = []
    for keys in (
        ("delivered_share", "required_share"),
        ("target_share", "expected_share"),
        ("capacity_share", "verdict"),
        ("unclassified_share", "regional_charge"),
        ("starved_charge", "waiting_charge"),
    ):
        left, right = (FIGURES[key].words for key in keys)
        first, second = (output.figure_text(key, m, margin) or "-" for key in keys)
        right += unit if FIGURES[keys[1]].unit is Unit.CHARGE else ""
        rows.append((left, first, right, f"{second}{more.get(keys[1]) or ''}"))
    wide = [f"{left:<13} {first:>9}   {right:<23} {second}" for left, first, right, second in rows]
    if max(map(len, wide)) <= width:
        return wide
    pairs = [*(row[:2] for row in rows), *(row[2:] for row in rows)]
    return [line for name, text in pairs for line in textwrap.wrap(f"{name:<20} {text}", width)]


def _lever_text(value: dict[str, Any]) -> str:
    """What is to be said about the lever; nothing about accounts that hold the region."""
    kind = LeverKind(value["object"])
    switch = [] if kind is LeverKind.ACCOUNT else [f"{kind} {value['names'][0]}, {_position(value, kind)}"]
    return "; ".join([*switch, *value["says"]])


def _position(value: dict[str, Any], kind: LeverKind) -> str:
    """Where the last change that was read back left the switch."""
    if value["value"] is None:
        return f"a switch of {kind.attribute}, never changed"
    position = "raised" if value["value"] == value["raised"] else "lowered"
    return f"a switch: last {position}, to {kind.attribute} {value['value']}"


def _last(value: dict[str, Any], width: int) -> Iterator[StyledLine]:
    """The last read, decision and change, and the holds."""
    last, change, foreign = value["last_decision"], value["last_change"], value["last_foreign_change"]
    resource = value["share"]["resource"]
    rows = {
        "last read": f"{value['last_read_at']}{OVERDUE if value['read_overdue'] else ''}",
        "last decision": last and f"{last['at']} in mode {last['mode']}: {last['sentence']}",
        "last change": change
        and f"{change['at']} {change['account']} {change['raw_shares_before']} -> "
        f"{change['raw_shares_after']} ({change['status']})",
        **({"by others": f"{foreign['seen_at']} {foreign['sentence']}"} if foreign else {}),
        **{
            key.replace("_", " "): f"regional jobs that request {value[key]:g} of {resource} wait for {what}"
            for key, what in HELD_FOR.items()
            if value[key]
        },
        **({"modes": differing} if (differing := _differing_modes(value)) else {}),
        **({"lever": lever_text} if (lever_text := _lever_text(value["lever"])) else {}),
    }
    for name, text in rows.items():
        yield from _named(name, text or "none", width)
    holds = ", ".join(
        f"{hold['reason']} since {hold['since']}"
        + (f" until {hold['until']}: {hold['why']}" if "until" in hold else "")
        for hold in value["holds"]
    )
    for label, line in _named("holds", holds or "none", width):
        yield label, output.styled(line, fg="red", bold=True) if holds else line


def _differing_modes(value: dict[str, Any]) -> str:
    """What is to be said about the modes of the daemons; empty where all are alike."""
    return modes_differ(RunningDaemon(**daemon) for daemon in value["daemons"])


def _named(name: str, text: str, width: int) -> Iterator[tuple[str, str]]:
    """A text in lines of the width, each behind the column of names."""
    for place, line in enumerate(textwrap.wrap(text, max(20, width - 14))):
        yield f"{'' if place else name:<13} ", line
