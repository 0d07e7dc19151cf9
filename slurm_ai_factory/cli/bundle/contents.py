"""What goes into a bundle, part by part, and the names and secrets of this site, which must not.

The rule: a part that cannot be read ends nothing: the bundle has the reason in its place. Tested in
tests/cli/test_bundle.py.
"""

from __future__ import annotations

import os
import platform
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from importlib.metadata import PackageNotFoundError, requires, version
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote

from slurm_ai_factory import __version__, identity
from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.config import settings_value
from slurm_ai_factory.cli.doctor import facts_now, finding_value
from slurm_ai_factory.cli.history import decided, latest
from slurm_ai_factory.cli.wiring import load_config, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.doctor import checks
from slurm_ai_factory.errors import LedgerError, SafError, SlurmError, one_sentence
from slurm_ai_factory.ledger import backup
from slurm_ai_factory.slurm.commands import Commands

LOG_LINES = "500"
JOURNAL = ("--unit=saf.service", f"--lines={LOG_LINES}", "--no-pager", "--quiet", "--output=short-iso")
JOURNAL_SECONDS = 20
DAEMON_SECONDS = 5

VARIABLES = (
    "JOURNAL_STREAM", "LANG", "LC_ALL", "PATH", "PGDATABASE", "PGHOST", "PGPASSFILE", "PGPORT", "PGSERVICE",
    "PGSSLMODE", "PGUSER", "SAF_CLUSTER", "SAF_CONFIG", "SLURM_CLUSTERS", "SLURM_CONF", "TZ",
)  # fmt: skip
"""The environment variables that matter to saf."""

SECRET = re.compile("PASS|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)
"""In the names of variables with a secret."""

PERSONAL = ("report.contact",)
"""Keys of saf.toml that are about a person as a whole, numbers included."""

ORDINARY = {"", "localhost", "root", "saf", "slurm", "slurm-ai-factory"}
"""Names that are the same everywhere, so they are harmless."""


class Bundled(NamedTuple):
    """The parts of a bundle by name, as they are, and the parts that could not be read, with the reason."""

    parts: Mapping[str, object]
    missing: Mapping[str, str]


class PartOfBundle(NamedTuple):
    """A part: what it holds, and how it is read."""

    holds: str
    read: Callable[[], object]


def parts_of_bundle(limit: int) -> dict[str, PartOfBundle]:
    """Every part by name, with the ``limit`` latest reads, decisions and changes."""
    return {
        "versions": PartOfBundle("versions of saf, Python, libraries and the system", _versions),
        "environment": PartOfBundle(
            "environment variables that matter to saf",
            lambda: {name: os.environ.get(name, "not set") for name in VARIABLES},
        ),
        "configuration": PartOfBundle("every setting with its origin, and the rules", _settings),
        "slurm": PartOfBundle("Slurm's version and priority settings", _slurm),
        "doctor": PartOfBundle("what saf doctor finds", _doctor),
        "ledger": PartOfBundle("PostgreSQL's version, what the ledger holds, table sizes", _ledger),
        "cycles": PartOfBundle("the latest reads, decisions and changes", lambda: _cycles(limit)),
        "durations": PartOfBundle("how long the daemon's cycles take", _durations),
        "log": PartOfBundle("the latest lines of the journal of saf.service", _log),
    }


def bundled(parts: Mapping[str, PartOfBundle]) -> Bundled:
    """Read every part, and how long each took."""
    values: dict[str, object] = {}
    missing, seconds = {}, {}
    for name, part in parts.items():
        begun = monotonic()
        try:
            values[name] = part.read()
        except Exception as error:
            missing[name] = one_sentence(error)
            values[name] = {"not_recorded": missing[name]}
        seconds[name] = round(monotonic() - begun, 3)
    return Bundled({**values, "reading": {"seconds": seconds}}, missing)


def _versions() -> object:
    system = None
    with suppress(OSError):
        system = platform.freedesktop_os_release().get("PRETTY_NAME")
    return {
        "saf": __version__,
        "python": platform.python_version(),
        "libraries": dict(_libraries()),
        "system": system,
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def _libraries() -> Iterator[tuple[str, str]]:
    """The libraries that saf may use, with their versions; "not installed" is one too."""
    for requirement in sorted(requires("slurm_ai_factory") or ()):
        if "extra == 'dev'" in requirement.replace('"', "'"):
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _settings() -> object:
    settings = settings_value(load_config())
    for row in settings["values"]:
        if f"{row['section']}.{row['key']}" in PERSONAL and row["value"] != "(not set)":
            row["value"] = "(hidden)"
    return settings


def _slurm() -> object:
    slurm = slurm_of(load_config())
    return {"version": slurm.version().strip(), **asdict(slurm.priority_config())}


def _doctor() -> object:
    return {"findings": list(map(finding_value, checks.examine(facts_now(load_config()))))}


def _ledger() -> object:
    config = load_config()
    with opened_ledger(config) as ledger:
        books = ledger.accounting
        return {
            "postgresql": books.server(),
            "embedded": configuration.ledger_url(config) is None,
            "holds": books.status(),
            "leader": ledger.store.leader(books.cluster_id),
            "tables": books.tables(),
        }


def _cycles(limit: int) -> object:
    with opened_ledger(load_config()) as ledger:
        reads = [
            {key: output.when(value) if key in INSTANTS else value for key, value in row.items()}
            for row in ledger.accounting.reads(limit)
        ]
        return {"reads": reads, "decisions": decided(ledger, limit), "changes": latest(ledger, limit)}


INSTANTS = ("at", "since", "until", "newest_record_at", "withdrawn_at")


def _durations() -> object:
    """The daemon's own counts of how long its cycles and their phases took. Raises SafError."""
    daemon = load_config().daemon
    host, _, port = daemon.listen.rpartition(":")
    host = "127.0.0.1" if host in ("", "0.0.0.0") else host.strip("[]")  # noqa: S104
    if daemon.web_config_file:
        raise SafError("/metrics is behind daemon.web_config_file; ask it yourself if it matters")
    connection = HTTPConnection(host, int(port), timeout=DAEMON_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise SafError(f"the daemon gave no /metrics: {error}; see whether saf run is up") from error
    finally:
        connection.close()
    return [line for line in text.splitlines() if line.startswith("saf_cycle_")]


def _log() -> object:
    try:
        lines = Commands(timeout_seconds=JOURNAL_SECONDS).output("journalctl", *JOURNAL)
    except SlurmError as error:
        why = error.__cause__ or error
        raise SafError(f"journalctl gave no log: {why}; add the daemon's log yourself") from error
    if not lines.strip():
        raise SafError(
            "the journal shows this user no line of saf.service; run it as root or as a member of "
            "systemd-journal"
        )
    return lines


def site_secrets() -> frozenset[str]:
    """Every secret that is known here."""
    secrets = {value for name, value in os.environ.items() if SECRET.search(name)}
    with suppress(SafError):
        url = configuration.ledger_url(load_config())
        if url:
            secrets.add(url)
            password = backup.environment(url).get("PGPASSWORD", "")
            secrets |= {password, quote(password, safe="")}
    return frozenset(secrets - {""})


def site_names() -> frozenset[str]:
    """Every name that is known here, in lower case: of this host, the configuration, ledger and Slurm."""
    names = {socket.gethostname(), identity.user_name(), os.environ.get("SUDO_USER", "")}
    with suppress(SafError):
        config = load_config()
        names |= {*_configured_names(config)}
        with suppress(LedgerError), opened_ledger(config) as ledger:
            names |= {name for names_of in ledger.accounting.names().values() for name in names_of}
            entries = ledger.registry.known().organisations
            names |= {name for entry in entries for name in (entry.organisation, entry.name)}
        with suppress(SlurmError):
            slurm = slurm_of(config)
            names |= {name for row in slurm.associations() for name in (row.account, row.user or "")}
            names |= {node.name for node in slurm.nodes()}
    return frozenset(name.lower() for name in names) - ORDINARY


def _configured_names(config: Config) -> Iterator[str]:
    yield from (config.cluster.name, config.report.facility or "", *(config.report.region or {}).values())
    yield from (*config.control.steered, *config.steered_accounts)
    for rule in config.rules:
        yield from (rule.name, rule.organisation, rule.hub)
        for names in rule.conditions.values():
            yield from names
