"""From the options to what a command works with: configuration, ledger, Slurm, clock, actor, logging.

Tested in tests/cli/ledger/test_move.py, tests/cli/test_approval.py and tests/end_to_end/test_daemon.py.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import identity, question
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.config import Clusters, Config
from slurm_ai_factory.config.clusters import ALL
from slurm_ai_factory.core.programme import persons
from slurm_ai_factory.errors import ConfigError, LedgerError, SlurmError
from slurm_ai_factory.ledger import Ledger, Limits, Store, embedded, open_ledger
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.library import Library, LibrarySlurm
from slurm_ai_factory.slurm.rest import RestSlurm, Slurmrestd
from slurm_ai_factory.steps.site import AMONG, Site


def clusters_of_file() -> Clusters:
    """What the file has of each of its clusters. Raises ConfigError where it cannot be used as a whole."""
    return configuration.load_clusters(configuration.find(chosen.config))


def asked_clusters() -> Clusters:
    """What the file has of each cluster that -M names, in the order of the file; of all without -M.

    Raises ConfigError where the file cannot be used as a whole, or does not have a cluster.
    """
    file = configuration.find(chosen.config)
    clusters, named = clusters_of_file(), chosen.clusters
    if ALL in named or (chosen.cluster and not named and chosen.cluster != ALL):
        raise ConfigError(
            f"--cluster {chosen.cluster}: give {ALL} alone, or the names of clusters with commas between them"
        )
    for name in named:
        if name not in clusters:
            several = "clusters" if len(clusters) > 1 else "cluster"
            raise ConfigError(
                f"--cluster {name}: {file} is the configuration of {several} {', '.join(clusters)}; name the "
                f"file of cluster {name} with --config"
            )
    asked = {name: config for name, config in clusters.items() if name in (named or clusters)}
    for config in asked.values():
        if chosen.person and isinstance(config, Config) and not config.actor.allow_as:
            raise ConfigError(f"{config.file} does not allow --as; leave it out, or set actor.allow_as")
    if chosen.person and not persons.NAME.fullmatch(chosen.person):
        raise click.UsageError("--as takes the name of one person: letters, digits and . _ -")
    return asked


def load_configs() -> tuple[Config, ...]:
    """The configurations of the clusters that -M names; of all without -M. Raises ConfigError."""
    return configuration.sound(asked_clusters())


def load_config() -> Config:
    """The configuration of the one cluster that the command is about. Raises ConfigError, UsageError."""
    config, *others = load_configs()
    if others:
        names = " or ".join(each.cluster.name for each in (config, *others))
        raise click.UsageError(f"this works on one cluster at a time; choose it with -M: {names}")
    return config


def config_of_ledger() -> Config:
    """The configuration of any of the clusters, for what they share: the ledger. Raises ConfigError."""
    return load_configs()[0]


def reachable_ledger_url(config: Config) -> str:
    """The ledger's URL. Without a configured one, start the embedded ledger; a new one gets its tables."""
    url = configuration.ledger_url(config)
    if url is None:
        url = embedded.url(config.ledger.state_directory)
        with Store(url) as store:
            if store.empty():
                store.migrate()
    return url


@contextmanager
def opened_ledger(
    config: Config, limits: Limits | None = None, *, admit: Callable[[], object] | None = None
) -> Iterator[Ledger]:
    """The ledger of the configured cluster; ``admit`` as in ``open_ledger``."""
    limits = limits or Limits(config.ledger.timeout)
    with open_ledger(reachable_ledger_url(config), config.cluster.name, limits, admit=admit) as ledger:
        yield ledger


@contextmanager
def opened_books(limits: Limits | None = None) -> Iterator[tuple[Config, Ledger]]:
    """The configuration under the promise's current term, and the ledger."""
    config = load_config()
    with opened_ledger(config, limits) as ledger:
        yield question.under_terms(config, ledger, now()), ledger


def slurm_of(config: Config, before_each: Callable[[], object] = bool) -> Slurm:
    """Slurm through its commands, or through pyslurm or slurmrestd beside them, as configured.

    ``before_each`` is called before each question.
    """
    commands = Commands(config.slurm.directory, config.slurm.conf, config.slurm.timeout, before_each)
    if config.slurm.source == "commands":
        return Slurm(config.cluster.name, commands)
    if config.slurm.source == "slurmrestd":
        rest = Slurmrestd(config.slurm.rest_url, config.cluster.name, commands, config.slurm.rest_token_file)
        return RestSlurm(config.cluster.name, commands, rest)
    library = Library(commands, str(config.slurm.python or sys.executable))
    return LibrarySlurm(config.cluster.name, commands, library)


def check_answers(slurm: Slurm, ledger: Ledger) -> None:
    """Raise SlurmError where Slurm does not answer; LedgerError where there is none, as sites state days."""
    try:
        slurm.priority_config()
    except SlurmError as error:
        if question.takes_statements(ledger):
            raise LedgerError(question.STATEMENTS) from error
        raise


def current_actor() -> str:
    """Who runs this command, for the history."""
    return persons.actor(identity.signs(), socket.gethostname(), chosen.person or "")


def service() -> str:
    """The daemon as an actor."""
    return f"{identity.user_name()}@{socket.gethostname()}"


@contextmanager
def opened_site(
    config: Config,
    wait: Callable[[float], object] = time.sleep,
    limits: Limits | None = None,
    who: Callable[[], str] = current_actor,
) -> Iterator[Site]:
    """Slurm and the ledger in real time; a cluster is added to the ledger only if slurmctld serves it.

    The ledger hears that this process lives before each question to Slurm.
    """
    opened: list[Ledger] = []

    def touch() -> None:
        for ledger in opened:
            ledger.store.touch()

    slurm = slurm_of(config, touch)
    limits = limits or Limits(config.ledger.timeout, idle=config.leader_silence())
    with opened_ledger(config, limits, admit=slurm.priority_config) as ledger:
        opened.append(ledger)
        if question.takes_statements(ledger):
            check_answers(slurm, ledger)
        yield Site(config, slurm, ledger, now, wait, who())


def now() -> int:
    """This machine's clock, in seconds since the epoch."""
    return int(time.time())


def log_level() -> int:
    """The least level that is logged."""
    return logging.DEBUG if chosen.debug else logging.WARNING if chosen.quiet else logging.INFO


PRIORITIES = {logging.NOTSET: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Least level of a message -> its syslog priority."""


def to_journal() -> bool:
    """Whether stderr goes to the journal: JOURNAL_STREAM of systemd.exec(5)."""
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def marked(level: int, text: str) -> str:
    """Each line with its priority, which the journal removes: sd-daemon(3).

    >>> marked(logging.ERROR, "cycle failed\\nTraceback"), marked(logging.DEBUG, "x")
    ('<3>cycle failed\\n<3>Traceback', '<7>x')
    """
    priority = next(number for least, number in reversed(PRIORITIES.items()) if least <= level)
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def among_clusters(record: logging.LogRecord) -> bool:
    """Begin the message with the cluster that it is about, where the daemon has several; keep the record.

    >>> record = logging.LogRecord("saf", logging.INFO, "", 0, "no cycle: %s", ("slurmdbd is away",), None)
    >>> record.threadName = "cluster gpu"
    >>> among_clusters(record), record.getMessage()
    (True, 'gpu: no cycle: slurmdbd is away')
    """
    thread = record.threadName or ""
    if thread.startswith(AMONG):
        record.msg, record.args = f"{thread.removeprefix(AMONG)}: {record.getMessage()}", ()
    return True


class _Journal(logging.Formatter):
    """Log lines for the journal, which adds the instant itself."""

    def format(self, record: logging.LogRecord) -> str:
        return marked(record.levelno, super().format(record))


def start_logging() -> None:
    """Log to stderr, one line a message: with its instant, or with its priority for the journal."""
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    handler.addFilter(among_clusters)
    handler.setFormatter(_Journal("%(levelname)s %(message)s") if to_journal() else plain)
    logging.basicConfig(handlers=[handler], level=log_level())
