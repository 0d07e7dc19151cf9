"""slurmrestd as a source of queue, nodes, health, associations and runs; it writes nothing.

Rule: which read goes where depends on the version of slurmrestd's API alone, never on a failure. What a
version does not report is refused by name, and Slurm's commands answer it; ``saf doctor`` reports that. A
read that slurmrestd does report fails when slurmrestd fails. HTTP 200 with ``errors`` is a failure; warnings
are logged. The token is read again when an answer fails, and is in no message.
Tested in tests/slurm/test_rest.py.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TypeVar
from urllib.parse import urlencode

from slurm_ai_factory.core.live import rights
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Association, Instant, Node, Rejected, Run
from slurm_ai_factory.errors import SlurmError, SlurmTooMuchError, SlurmUnsupportedError, reason
from slurm_ai_factory.slurm import answers, wire
from slurm_ai_factory.slurm.answers import RestRead
from slurm_ai_factory.slurm.client import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.fields import printable

TOKEN_SECONDS = 600
TOKEN_MOST = 2**16
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL; a backslash before it, if there is one, is not the text of an escaped backslash."""
_Value = TypeVar("_Value")
_log = logging.getLogger("slurm_ai_factory")


class BrokenError(Exception):
    """An answer that says it failed, or that did not arrive; the token may have expired."""


@dataclass(slots=True)
class Offer:
    """What slurmrestd offered when it was last asked; empty before."""

    version: str = ""
    paths: frozenset[str] = frozenset()
    token: str = ""
    warned: set[str] = field(default_factory=set)
    lock: RLock = field(default_factory=RLock)
    """Held while any of these, or ``refused``, changes; ``saf doctor`` asks from several threads."""


@dataclass(frozen=True, slots=True)
class Slurmrestd:
    """Questions to one slurmrestd about one cluster."""

    url: str
    cluster: str
    commands: Commands
    token_file: Path | None = None
    offer: Offer = field(default_factory=Offer, compare=False)
    refused: dict[str, str] = field(default_factory=dict, compare=False)
    """The reads that this version does not report, each with the reason."""

    def version(self) -> str:
        """The newest version that both sides know. Raises SlurmError."""
        with self.offer.lock:
            if not self.offer.version:
                body = self._got("/openapi/v3", "its versions")
                try:
                    paths = answers.offered(body)
                except ValueError as error:
                    raise SlurmError(
                        f"slurmrestd at {self.url} cannot be read: {reason(error)}; see slurm.rest_url"
                    ) from error
                self.offer.version, self.offer.paths = answers.newest(paths), paths
            return self.offer.version

    def path(self, question: RestRead) -> str:
        """The question's path. Raises SlurmUnsupportedError where this version does not report it."""
        with self.offer.lock:
            return answers.path(question, self.version(), self.offer.paths)

    def ask(self, question: RestRead, **conditions: object) -> bytes:
        """A whole answer without errors, about this cluster. Raises SlurmError."""
        conditioned = f"?{urlencode(conditions)}" if conditions else ""
        return self._got(f"{self.path(question)}{conditioned}", question.what)

    def _got(self, path: str, what: str) -> bytes:
        """The answer; with a new token where the one in use fails and there is another."""
        used = self.token()
        try:
            return self._answer(path)
        except BrokenError as error:
            if self._renewed(used) == used:
                raise self._failed(what, error) from error
        try:
            return self._answer(path)
        except BrokenError as error:
            self.offer.version = ""  # it may have been restarted, as another version
            raise self._failed(what, error) from error

    def _renewed(self, used: str) -> str:
        """The token in use; a new one where it is still the one that failed."""
        with self.offer.lock:
            if self.offer.token == used:
                self.offer.token = ""
            return self.token()

    def _failed(self, what: str, error: BrokenError) -> SlurmError:
        return SlurmError(
            f"slurmrestd at {self.url} did not report {what}: {error}; nothing of it was used: see whether "
            "slurmrestd runs, and whether the token is valid"
        )

    def _answer(self, path: str) -> bytes:
        """Raises BrokenError, or SlurmTooMuchError."""
        self.commands.before_each()
        until = time.monotonic() + self.commands.timeout_seconds
        try:
            reply = wire.exchange(self.url, path, self.headers(), until)
        except TimeoutError as error:
            raise SlurmTooMuchError(
                f"slurmrestd at {self.url} gave no complete answer within {self.commands.timeout_seconds} s; "
                "see whether slurmctld and slurmdbd answer"
            ) from error
        except wire.TooLargeError as error:
            raise SlurmTooMuchError(
                f"slurmrestd at {self.url} answered with more than {wire.ANSWER_MOST >> 20} MiB; "
                "nothing of it was used"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        return self._sound(reply)

    def _sound(self, reply: wire.Reply) -> bytes:
        """The body of an answer that is complete and of this cluster. Raises BrokenError, SlurmError."""
        body = _utf8(reply.body)
        try:
            remarks = answers.remarks(body)
        except ValueError as error:
            raise BrokenError(f"HTTP {reply.status}, {printable(body.decode(), 200)!r}") from error
        if remarks.errors or reply.status != http.client.OK:
            errors = printable("; ".join(remarks.errors) or "no error", 500)
            raise BrokenError(f"HTTP {reply.status}, {errors}")
        if remarks.cluster not in ("", self.cluster):
            raise SlurmError(
                f"slurmrestd at {self.url} serves cluster {printable(remarks.cluster)}, not {self.cluster}; "
                "see slurm.rest_url"
            )
        for warning in map(printable, remarks.warnings):
            if warning not in self.offer.warned:
                self.offer.warned.add(warning)
                _log.warning("slurmrestd says: %s", warning)
        return body

    def headers(self) -> dict[str, str]:
        """The headers of every question. Raises SlurmError."""
        return {"X-SLURM-USER-NAME": self.user(), "X-SLURM-USER-TOKEN": self.token()}

    def token(self) -> str:
        """The token in use, from its file, or a new one of ``scontrol token``. Raises SlurmError."""
        with self.offer.lock:
            if not self.offer.token:
                if self.token_file:
                    text, place = _content(self.token_file), str(self.token_file)
                else:
                    text, place = (
                        self.commands.output("scontrol", "token", f"lifespan={TOKEN_SECONDS}"),
                        "scontrol",
                    )
                token = text.strip().removeprefix("SLURM_JWT=")
                if token.count(".") != 2 or not (token.isascii() and token.isprintable()):
                    raise SlurmError(
                        f"{place} has no token for slurmrestd; see AuthAltTypes=auth/jwt in slurm.conf"
                    )
                self.offer.token = token
            return self.offer.token

    def user(self) -> str:
        """The user that the token is for, whose rights an answer has. Raises SlurmError."""
        part = self.token().split(".")[1]
        try:
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            name = claims.get("sun") or claims["username"]
        except (AttributeError, KeyError, ValueError) as error:
            raise SlurmError(
                "the token for slurmrestd names no user; make it with `scontrol token`"
            ) from error
        return str(name)


def _content(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            return opened.read(TOKEN_MOST)
    except (OSError, ValueError) as error:
        raise SlurmError(
            f"the token in {file} cannot be read: {reason(error)}; see slurm.rest_token_file"
        ) from error


def _utf8(body: bytes) -> bytes:
    r"""An answer in UTF-8 without NUL; other bytes are written in hexadecimal, as for the commands.

    >>> _utf8(b'"caf\xe9"'), _utf8(rb'"a\u0000 \\u0000"')
    (b'"caf\\\\xe9"', b'"a\\\\x00 \\\\u0000"')
    """
    text = body.decode("utf-8", "surrogateescape")
    if not text.isascii():
        text = "".join(
            f"\\\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char for char in text
        )
    return _NUL.sub(r"\1\\\\x00", text).encode()


@dataclass(frozen=True, slots=True)
class RestSlurm(Slurm):
    """One cluster, through slurmrestd for what its version reports, else through the commands."""

    rest: Slurmrestd

    def refused(self) -> dict[str, str]:
        """What this version of slurmrestd does not report, each with the reason."""
        with self.rest.offer.lock:
            return dict(self.rest.refused)

    def _told(self, question: RestRead, ours: Callable[[], _Value], theirs: Callable[[], _Value]) -> _Value:
        """slurmrestd's answer where its version has one, else that of the commands."""
        try:
            self.rest.path(question)
        except SlurmUnsupportedError as error:
            with self.rest.offer.lock:
                self.rest.refused[question.what] = str(error)
            return theirs()
        return ours()

    def shares_schema(self) -> str:
        """The schema in which shares and usage are read."""
        return self._told(answers.SHARES, self.rest.version, lambda: Slurm.shares_schema(self))

    def _seen(self, rows: rights.Rows) -> None:
        self._must_see(rows, self.rest.user())

    def queue(self) -> list[Queued]:
        """Every job of this cluster that waits or runs now."""

        def ours() -> list[Queued]:
            body = self.rest.ask(answers.QUEUE)
            jobs = self._sound(answers.queue(self.cluster, self.rest.version(), body))
            self._seen(rights.QUEUE)
            return jobs

        return self._told(answers.QUEUE, ours, lambda: Slurm.queue(self))

    def _nodes(self) -> list[Node | Rejected]:
        return self._told(
            answers.NODES,
            lambda: answers.nodes(self.rest.version(), self.rest.ask(answers.NODES)),
            lambda: Slurm._nodes(self),
        )

    def diagnostics(self) -> Diagnostics:
        """slurmctld's report of its own health."""
        return self._told(
            answers.DIAGNOSTICS,
            lambda: answers.diagnostics(self.rest.version(), self.rest.ask(answers.DIAGNOSTICS)),
            lambda: Slurm.diagnostics(self),
        )

    def associations(self) -> tuple[Association, ...]:
        """The association tree with shares from slurmdbd and usage from slurmctld."""

        def ours() -> tuple[Association, ...]:
            stored = self.rest.ask(answers.ASSOCIATIONS, cluster=self.cluster)
            live = self.rest.ask(answers.SHARES)
            tree, odd = answers.associations(self.cluster, self.rest.version(), stored, live)
            self.odd.extend(odd)
            self._seen(rights.ASSOCIATIONS)
            return self._some(tree)

        return self._told(answers.SHARES, ours, lambda: Slurm.associations(self))

    def runs(self, since: Instant, until: Instant) -> Iterator[Run | Rejected]:
        """Every run that was eligible or running in [since, until), in whatever state.

        slurmrestd lists earlier runs of a job, and times as recorded, where it is given no flag. With
        any flag it does only what flags say, so all are given (openapi/slurmdbd/jobs.c, op_handler_jobs).
        """

        def ours() -> Iterator[Run | Rejected]:
            flags = dict.fromkeys(("skip_steps", "show_duplicates", "disable_truncate_usage_time"), "true")
            body = self.rest.ask(
                answers.RUNS, start_time=f"uts{since}", end_time=f"uts{until}", cluster=self.cluster, **flags
            )
            self._seen(rights.RUNS)
            return iter(answers.runs_of_json(self.cluster, self.rest.version(), body))

        return self._told(answers.RUNS, ours, lambda: Slurm.runs(self, since, until))
