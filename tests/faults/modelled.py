"""The model cluster of `saf demo` behind Slurm's commands: a program for each, and one process that answers.

Rule: the model and slurmdbd's log of it outlive every daemon; what can be done to Slurm's daemons and to an
answer is done here, at the step of a cycle that is asked for. The product knows nothing of it.
"""

from __future__ import annotations

import os
import random
import select
import socketserver
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Condition, RLock, Thread
from typing import Any, NamedTuple

from slurm_ai_factory.cli.simulate.compiled import keep_compiled
from slurm_ai_factory.core.records import HOUR
from tests.end_to_end.conftest import COMMANDS
from tests.faults.printed import Logged, Printer, RefusedError

PROGRAM = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1
printf '%s\\0' $# {name} $$ "$SQUEUE_FORMAT2" "$@" >&3
read -r go <&3 && printf x >&3
read -r code <&3 || {{ echo "{name}: error: Communication connection failure" >&2; exit 1; }}
[ "$code" != 0 ] || exec cat <&3
cat <&3 >&2
exit "$code"
"""
REGION, OTHERS = ("umcg", "ruggroningen", "smeworks"), ("astro", "climate", "industry")
SHARES = {"regional": 25, "national": 75}
CPUS = 8
SECONDS = (1, 8)
"""How long a job runs."""

BACKLOG = 20
"""Jobs of a side that wait."""

LASTING = 4
"""Jobs that run all the time, beside the short ones: only those are compared with squeue."""

PAST, AHEAD = 60, 2400
"""Seconds of work before and after the beginning."""

DBD = ("sacct", "sacctmgr", "sreport")
"""The commands that ask slurmdbd; the others ask slurmctld."""

SLOW_SECONDS = (0.2, 0.4)
HELD_SECONDS = 60
"""The longest that a command waits for a daemon or at the gate; its own deadline ends it sooner."""

REACHED_SECONDS = 300
"""The longest until a command of a cycle reaches the gate, on a busy machine."""

GONE = {
    "slurmdbd": "error: Problem talking to the database: Connection refused",
    "slurmctld": "error: Unable to contact slurm controller (connect failure)",
}


class Asked(NamedTuple):
    """A command that runs."""

    name: str
    pid: int
    squeue_format: str
    arguments: Sequence[str]

    @property
    def step(self) -> str:
        """Its name as a step of a cycle."""
        return "modify" if "modify" in self.arguments else self.name

    @property
    def daemon(self) -> str:
        """Whom it asks."""
        return "slurmdbd" if self.name in DBD else "slurmctld"


class Modelled:
    """The commands are in ``directory / bin``. It has the methods of a gate and of a SlurmCluster."""

    def __init__(self, directory: Path, seed: int, clock: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self.env = dict(os.environ)
        self.log: list[Logged] = []
        self.ways: dict[str, str] = {}  #: Slurm's daemons that are "stopped", "gone" or "slow"
        self.garbled: Callable[[str], str] | None = None  #: what becomes of the answer at the gate
        self.refused = False  #: whether the command at the gate fails
        self._changed = Condition()
        self._armed, self._pid, self._opened = "", 0, True
        self._alone = RLock()
        self._dice = random.Random(seed)
        keep_compiled()
        from slurm_ai_factory.simulation.slurm import ModelSlurm

        size = f"billing={CPUS},cpu={CPUS},node=1"
        self.source = ModelSlurm(*facility(seed), size, lambda: int(clock()))
        self.printer = Printer(
            self.source, self.log, lambda account, value: self._set("root", account, value)
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer commands, until the end."""
        site = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                site._answer(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Whoever asked is gone, which is no error here."""

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self._install(server.server_address[1])
            try:
                yield
            finally:
                self.open()
                server.shutdown()

    def _install(self, port: int) -> None:
        place = self.directory / "bin"
        place.mkdir()
        for name in (*COMMANDS, "sreport"):
            (place / name).write_text(PROGRAM.format(port=port, name=name))
            (place / name).chmod(0o755)

    # --- a command

    def _answer(self, request: socketserver.StreamRequestHandler) -> None:
        asked = read(request.rfile)
        self._pass(f"{asked.step}.before", asked)
        request.wfile.write(b"go\n")
        if not request.rfile.read(1):
            return  # it was ended before it asked; one that stands still asks later
        code, text = self._asked(asked, request.connection)
        garbled, refused = self._pass(f"{asked.step}.after", asked)
        if refused:
            code, text = 1, f"{asked.name}: error: Unspecified error\n"
        elif garbled and not code:
            text = garbled(text)
        request.wfile.write(f"{code}\n{text}".encode())

    def _asked(self, asked: Asked, connection: Any) -> tuple[int, str]:
        """Exit code, and what is printed: on stderr where the code is not 0."""
        if asked.name == "sshare" and "-V" in asked.arguments:
            return 0, self.printer.answer(asked.name, asked.arguments)
        with self._changed:
            self._changed.wait_for(lambda: self.ways.get(asked.daemon) != "stopped", HELD_SECONDS)
            way = self.ways.get(asked.daemon)
        if way == "slow":
            time.sleep(self._dice.uniform(*SLOW_SECONDS))
        if way == "gone":
            return 1, f"{asked.name}: {GONE[asked.daemon]}\n"
        if select.select([connection], [], [], 0)[0]:
            return 1, ""  # whoever asked was ended meanwhile, and is not listened to
        with self._alone:
            try:
                return 0, self.printer.answer(asked.name, asked.arguments, asked.squeue_format)
            except RefusedError as error:
                return 1, f"{error}\n"

    def _set(self, actor: str, account: str, value: int) -> None:
        """Set RawShares; slurmdbd logs it."""
        self.source.advance()
        self.source.model.set_raw_shares(account, value)
        self.log.append(Logged(int(time.time()), actor, account, value))

    # --- what is done to Slurm

    def operate(self, actor: str, account: str, value: int) -> None:
        """Set RawShares, as another user than the daemon's."""
        with self._alone:
            self._set(actor, account, value)

    def run(self, *argv: str) -> str:
        """What a command prints, past all faults; one after ``env`` too."""
        name = next(word for word in argv if word in COMMANDS)
        with self._alone:
            return self.printer.answer(name, argv[argv.index(name) + 1 :])

    def be(self, daemon: str, way: str = "") -> None:
        """Let a daemon be stopped, gone or slow; well again without a way."""
        with self._changed:
            self.ways[daemon] = way
            self._changed.notify_all()

    # --- the gate

    def arm(self, step: str) -> None:
        """Have the next command that reaches the step wait there."""
        with self._changed:
            self._armed, self._pid, self._opened = step, 0, False
            self.garbled, self.refused = None, False

    def reached(self) -> int:
        """The process that waits, once one does. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pid, REACHED_SECONDS):
                raise TimeoutError(f"no command reached {self._armed}")
            return self._pid

    def open(self) -> None:
        """Let it go on."""
        with self._changed:
            self._opened, self._armed = True, ""
            self._changed.notify_all()

    def _pass(self, step: str, asked: Asked) -> tuple[Callable[[str], str] | None, bool]:
        """Wait at the gate if it is armed for this step; what is to become of the answer."""
        with self._changed:
            if step == self._armed and not self._pid:
                self._pid = asked.pid
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._opened, HELD_SECONDS)
            struck = asked.pid == self._pid
            return (self.garbled, self.refused) if struck else (None, False)


def read(file: Any) -> Asked:
    """A request, each part with a NUL: number of arguments, name, process, squeue's format, arguments."""
    head = [word(file) for _ in range(4)]
    return Asked(head[1], int(head[2]), head[3], [word(file) for _ in range(int(head[0]))])


def word(file: Any) -> str:
    """Up to the next NUL. Raises EOFError where whoever asked is gone."""
    found = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte:
            raise EOFError
        found += byte
    return found.decode()


def facility(seed: int) -> tuple[Any, Any, Any]:
    """Model, work and layout: both sides always have more than there is room for."""
    from slurm_ai_factory.simulation.cluster import ModelCluster
    from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
    from slurm_ai_factory.simulation.workload import Job, gathered

    dice, began = random.Random(seed), int(time.time()) - PAST
    jobs = [
        Job(account, f"{account}{user}", began, AHEAD + PAST + HOUR, 0, 1, nodes=1, partition="main")
        for number in range(LASTING)
        for account, user in [((REGION, OTHERS)[number % 2][0], 1)]
    ]
    for at in range(PAST + AHEAD):
        for side in (REGION, OTHERS):
            account = dice.choice(side)
            jobs.append(
                Job(account, f"{account}{dice.randint(1, 2)}", began + at, dice.randint(*SECONDS), HOUR, 1,
                    nodes=1, partition="main")
            )  # fmt: skip
    workload = replace(gathered("chaos", jobs), backlog=BACKLOG)
    layout = one_pool(workload, "cpu", CPUS)
    settings = ModelSettings(half_life=600, calc_period=10, interval=1)
    model = ModelCluster(workload, workload.users_of(frozenset(REGION)), layout, settings, SHARES)
    model.advance(began + PAST)
    return model, workload, layout
