"""The share of a joint promise in a window: each part measured in its cluster's books, and added up.

The rule: all clusters are measured up to the same instant, the one that all of them were read up to, with the
rules and the registry that each has. A cluster that cannot be measured leaves no figure at all. Tested in
tests/cli/test_joint.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from slurm_ai_factory import question
from slurm_ai_factory.config import Clusters, Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.figures import FIGURES, figure_values, when
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.programme.joint import JointPart, JointPromise, joined
from slurm_ai_factory.core.records import FIRST, Instant, Interval, Measurement, Window
from slurm_ai_factory.errors import ConfigError, LedgerError, SafError, one_sentence
from slurm_ai_factory.ledger import Ledger, ledger_of

MEMBER_KEYS = (
    "regional_charge", "total_charge", "delivered_share", "unclassified_charge", "capacity",
    "capacity_share", "waiting_charge", "unread_seconds",
)  # fmt: skip
"""The figures of each cluster, in the promise's own unit."""


class JointAnswer(NamedTuple):
    """The share of a joint promise in a window."""

    together: Measurement  #: in the promise's own unit
    margin: float
    zone: ZoneInfo  #: of the promise's windows
    members: Sequence[tuple[Measurement, Sequence[JointPart]]]  #: of each cluster, and what counted when


class JointNow(NamedTuple):
    """A joint promise that holds."""

    name: str
    answer: JointAnswer | None  #: None where it cannot be measured
    error: str = ""  #: why it cannot


class _Measured(NamedTuple):
    part: JointPart
    measurement: Measurement
    unread: Sequence[Interval]


def joint_answer(
    clusters: Clusters,
    ledger: Ledger,
    known: JointPromise,
    moment: Instant,
    window: Window | None = None,
    then: Instant | None = None,
) -> JointAnswer:
    """The share in a window, else in the present one, asked at a moment, as known now or then.

    Raises LedgerError, ConfigError: a cluster was never read, or is not in the file.
    """
    ledgers = {name: ledger_of(ledger.store, name, key) for name, key in ledger.store.clusters().items()}
    name = known.terms.terms[0].promise
    counted = known.members(moment) or list(known.weights)
    if not counted:
        raise LedgerError(f"no cluster counts for joint promise {name} yet; see `saf joint weigh`")
    as_of = min(question.watermark(ledgers[cluster], then) for cluster in counted)
    term = known.terms.of(window) if window else known.terms.at(as_of)
    config = _config(clusters, counted[0], name).under(term)
    where = question.promised_window(config, as_of)
    if window:
        where = term.cut(windows.read_up_to(window, as_of, term.zone))
    parts = known.parts(where)
    if not parts:
        raise LedgerError(f"no cluster counts for joint promise {name} in {where.name}; see `saf joint list`")
    promise = replace(config.promise_of(), cluster=",".join(dict.fromkeys(part.cluster for part in parts)))
    measured = [
        _measured(part, promise, question.ask(
            _config(clusters, part.cluster, name), ledgers[part.cluster], then=then, moment=moment,
            read_until=as_of,
        ).over((part.since, part.until)))
        for part in parts
    ]  # fmt: skip

    def added(of: Promise, some: Sequence[_Measured]) -> Measurement:
        unread = [gap for each in some for gap in each.unread]
        begun = [each.measurement for each in some if each.part.since < as_of]
        return joined(of, where, as_of, begun, unread)

    members = []
    for cluster in promise.cluster.split(","):
        own = [each for each in measured if each.part.cluster == cluster]
        members.append((added(replace(promise, cluster=cluster), own), [each.part for each in own]))
    return JointAnswer(added(promise, measured), config.promise.margin, config.promise.time_zone, members)


def joint_now(clusters: Clusters, ledger: Ledger, moment: Instant) -> list[JointNow]:
    """Each joint promise that holds, measured in its present window. Raises LedgerError.

    One that cannot be measured has the reason, and the others are measured.
    """
    measured = []
    for name, known in ledger.joint.holding(moment).items():
        try:
            measured.append(JointNow(name, joint_answer(clusters, ledger, known, moment)))
        except SafError as error:
            measured.append(JointNow(name, None, one_sentence(error)))
    return measured


def _config(clusters: Clusters, cluster: str, name: str) -> Config:
    config = clusters.get(cluster)
    if config is None:
        raise ConfigError(
            f"joint promise {name} counts cluster {cluster}, and this process knows {', '.join(clusters)} "
            f"only; add [[cluster]] {cluster} to the file, and run the daemon without -M"
        )
    if isinstance(config, ConfigError):
        raise config
    return config


def _measured(part: JointPart, promise: Promise, asked: question.Question) -> _Measured:
    own = replace(promise, name=FIRST, cluster=part.cluster, resource=part.resource, label="")
    return _Measured(part, asked.measure(own), asked.gaps())


def joint_value(answer: JointAnswer) -> dict[str, Any]:
    """The answer as JSON has it; charges are in the promise's own unit."""
    keys = (key for key, figure in FIGURES.items() if figure.in_json)
    return {
        **figure_values(keys, answer.together, answer.margin),
        "members": [
            {
                "cluster": measurement.cluster,
                **figure_values(MEMBER_KEYS, measurement, answer.margin),
                "weights": [
                    {"since": when(part.since), "until": when(part.until), "resource": part.resource.name}
                    for part in parts
                ],
            }
            for measurement, parts in answer.members
        ],
    }
