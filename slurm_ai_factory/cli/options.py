"""Options that every command has, before or after its name, and what they lead to: config, ledger, site."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from slurm_ai_factory import config as configuration
from slurm_ai_factory import identity, question
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.escaped import is_hidden
from slurm_ai_factory.core.programme import persons
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import Ledger, Limits, Store, embedded, open_ledger
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.library import Library, LibrarySlurm
from slurm_ai_factory.steps.site import Site


@dataclass(slots=True)
class Chosen:
    """What the common options say."""

    config: str | None = None
    cluster: str | None = None
    person: str | None = None
    json: bool = False
    csv: bool = False
    quiet: bool = False
    debug: bool = False
    no_color: bool = False


chosen = Chosen()


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember an option that was given, wherever on the line it stood; the environment says the rest."""
    name, typed = str(parameter.name), context.meta.setdefault(__name__, set())
    on_the_line = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if value and (on_the_line or name not in typed):
        setattr(chosen, name, value)
    if on_the_line:
        typed.add(name)
    if chosen.no_color or os.environ.get("NO_COLOR"):
        context.color = False


def _common() -> list[click.Parameter]:
    texts: dict[str, tuple[list[str], str, str]] = {
        "config": (["--config"], "FILE", "Configuration file."),
        "cluster": (
            ["-M", "--cluster"],
            "NAME",
            "The cluster that is meant; a file of another one is refused.",
        ),
        "person": (
            ["--as"],
            "NAME",
            "The person who acts, where actor.allow_as takes a person's word for it.",
        ),
    }
    flags: dict[str, tuple[list[str], str]] = {
        "json": (["--json"], "Print JSON."),
        "csv": (["--csv"], "Print CSV, where a table is printed; charges and shares as in --json."),
        "quiet": (["-q", "--quiet"], "Say only what went wrong."),
        "debug": (["--debug"], "Say more, and show tracebacks."),
        "no_color": (["--no-color"], "No colour; as NO_COLOR does."),
    }
    keep: dict[str, Any] = {"expose_value": False, "callback": _keep, "show_envvar": True}
    return [
        *(
            click.Option([*names, name], metavar=metavar, help=text, envvar=f"SAF_{name.upper()}", **keep)
            for name, (names, metavar, text) in texts.items()
        ),
        *(
            click.Option([*names, name], is_flag=True, help=text, envvar=f"SAF_{name.upper()}", **keep)
            for name, (names, text) in flags.items()
        ),
    ]


class SafCommand(click.Command):
    """A command with the common options, each option's environment variable in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                parameter.show_envvar = True
        self.params += _common()

    def invoke(self, context: click.Context) -> Any:
        """What is typed is kept and printed again, also where a shell reads it; an empty text is none."""
        if chosen.json and chosen.csv:
            raise click.UsageError("give either --json or --csv")
        for one in self.params:
            value, name = context.params.get(str(one.name)), str(one.name).replace("_", "-")
            if value == "" != one.get_default(context):
                raise click.UsageError(f"{name} is empty; give it a value, or leave it out")
            if isinstance(value, str) and (wrong := next(filter(is_hidden, value), "")):
                found = f"the character {ord(wrong):#06x}, which cannot be printed"
                raise click.UsageError(f"{name} holds {found}")
        return super().invoke(context)


class SafGroup(click.Group):
    """A group with the common options, of such commands."""

    command_class = SafCommand
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()

    def invoke(self, context: click.Context) -> Any:
        """A reader of our output that goes away, as `head` does, is no failure, as which click takes it."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            drop_output()
            return 0


def drop_output() -> None:
    """Whatever is still to be printed goes nowhere: nobody can take it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_config() -> Config:
    """The configuration in force for this command. Raises ConfigError."""
    config = configuration.load_file(configuration.find(chosen.config))
    if chosen.cluster and chosen.cluster != config.cluster.name:
        raise ConfigError(
            f"--cluster {chosen.cluster}: {config.file} has the rules and the promise of cluster "
            f"{config.cluster.name}; name the file of cluster {chosen.cluster} with --config"
        )
    if chosen.person and not config.actor.allow_as:
        raise ConfigError(f"--as is not allowed by {config.file}; leave it out, or set actor.allow_as")
    if chosen.person and not persons.NAME.fullmatch(chosen.person):
        raise click.UsageError("--as takes the name of one person: letters, digits and . _ -")
    return config


def reachable_ledger_url(config: Config) -> str:
    """Where the ledger is; where none is configured, starts the embedded one, with tables if it is new."""
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
    """The configuration under the promise's term in force now, and the ledger."""
    config = load_config()
    with opened_ledger(config, limits) as ledger:
        yield question.under_terms(config, ledger, now()), ledger


def slurm_of(config: Config) -> Slurm:
    """Slurm through its commands, or pyslurm beside them, as configured."""
    commands = Commands(config.slurm.directory, config.slurm.conf, config.slurm.timeout)
    if config.slurm.source == "commands":
        return Slurm(config.cluster.name, commands)
    library = Library(commands, str(config.slurm.python or sys.executable))
    return LibrarySlurm(config.cluster.name, commands, library)


def current_actor() -> str:
    """Who acts, for the history."""
    return persons.actor(identity.signs(), socket.gethostname(), chosen.person or "")


def service() -> str:
    """The daemon, which acts by itself."""
    return f"{identity.user_name()}@{socket.gethostname()}"


@contextmanager
def opened_site(
    config: Config,
    wait: Callable[[float], object] = time.sleep,
    limits: Limits | None = None,
    who: Callable[[], str] = current_actor,
) -> Iterator[Site]:
    """Slurm and the ledger together, with real time; a cluster becomes known if slurmctld serves it."""
    slurm = slurm_of(config)
    limits = limits or Limits(config.ledger.timeout, idle=config.leader_silence())
    with opened_ledger(config, limits, admit=slurm.priority_config) as ledger:
        yield Site(config, slurm, ledger, now, wait, who())


def now() -> int:
    """This machine's clock."""
    return int(time.time())


def log_level() -> int:
    """How much is said."""
    return logging.DEBUG if chosen.debug else logging.WARNING if chosen.quiet else logging.INFO


PRIORITIES = {logging.NOTSET: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""From which level on a message has which priority of syslog."""


def to_journal() -> bool:
    """Whether stderr goes to the journal: JOURNAL_STREAM of systemd.exec(5)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def marked(level: int, text: str) -> str:
    """Each line with its priority, which the journal takes off: sd-daemon(3).

    >>> marked(logging.ERROR, "no cycle\\nTraceback"), marked(logging.DEBUG, "x")
    ('<3>no cycle\\n<3>Traceback', '<7>x')
    """
    priority = next(number for least, number in reversed(PRIORITIES.items()) if least <= level)
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


class _Journal(logging.Formatter):
    """For the journal, which has instants of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return marked(record.levelno, super().format(record))


def start_logging() -> None:
    """One line a message on stderr, with its instant, or its priority where the journal takes it."""
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    handler.setFormatter(_Journal("%(levelname)s %(message)s") if to_journal() else plain)
    logging.basicConfig(handlers=[handler], level=log_level())
