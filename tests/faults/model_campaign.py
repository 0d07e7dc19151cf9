"""`make chaos-model`: the drawn faults on the model cluster, several stages side by side.

    python -m tests.faults.model_campaign --faults 2000 --seed 1 --lanes 4 --docs

A stage does BLOCK faults and is then made anew, so that no ledger grows. One that was interrupted goes on
where it stopped. Exit code 1 when something did not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock

import psycopg

from tests.cluster.slurm import wait_until
from tests.end_to_end import disk
from tests.faults import campaign, chaos
from tests.faults.campaign import ended, kept, lasting, send, stopped
from tests.faults.chaos import MODEL, Chaos, Found
from tests.faults.model_stage import GRANT, PERIOD, REVOKE, TABLES, TIMEOUT, ModelStage
from tests.faults.modelled import GONE
from tests.scratch import scratch_directory

BLOCK = 40
"""Faults of one stage."""

BLOCK_SECONDS = 1800
TAKEOVER_SECONDS = 60
RESTART_SECONDS = 0.3
CLOCK_SECONDS = 3600
FULL_SECONDS = 0.5
TAKEN_BYTES = 64 << 20


def main() -> int:
    options = _options()
    if options.block:
        faults = [Chaos(*fault) for fault in json.load(sys.stdin)]
        with staged(options.seed) as stage:
            for fault in faults:
                print(json.dumps([options.seed, *tried(stage, fault)]), flush=True)
        return 0
    found = kept(options.kept, options.seed)
    left = list(chaos.left(options.seed, options.faults, [one.fault for one in found], MODEL))
    blocks = [left[at : at + BLOCK] for at in range(0, len(left), BLOCK)]
    began, lock = time.monotonic(), Lock()
    with options.kept.open("a") as file, ThreadPoolExecutor(options.lanes) as lanes:

        def told(line: str) -> None:
            with lock:
                seed, fault, *others = json.loads(line)
                found.append(Found(Chaos(*fault), *others))
                print(line, end="", file=file, flush=True)
                if not found[-1].held or len(found) % 20 == 0:
                    print(len(found), seed, found[-1], file=sys.stderr, flush=True)

        codes = list(lanes.map(lambda block: _block(options.seed, block, told), blocks))
    minutes = (time.monotonic() - began) / 60
    print(f"{len(left)} faults in {minutes:.1f} minutes, {len(left) / max(minutes, 0.01):.0f} a minute")
    if options.docs:
        facts = {"period": PERIOD, "timeout": TIMEOUT, "seed": options.seed}
        campaign.PAGE.write_text(chaos.model_page(found, campaign.PAGE.read_text(), **facts))
    return int(any(codes) or not all(one.held for one in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos-model")
    parser.add_argument("--faults", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4, help="stages side by side")
    parser.add_argument("--kept", type=Path, default=Path("build/chaos-model.jsonl"), help="found before")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    parser.add_argument("--block", action="store_true", help="do the faults on stdin, and nothing else")
    return parser.parse_args()


def _block(seed: int, block: list[Chaos], told: Callable[[str], None]) -> int:
    """Do some faults in a process of its own; each is told as it is over."""
    argv = [sys.executable, "-m", "tests.faults.model_campaign", "--block", "--seed", str(seed)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(block))
        process.stdin.close()
        for line in process.stdout:
            told(line)
        return process.wait(timeout=BLOCK_SECONDS)


@contextmanager
def staged(seed: int, *, disks: bool = True, period: int = PERIOD) -> Iterator[ModelStage]:
    """A new stage; everything is ended afterwards, also when this process is asked to end."""
    with scratch_directory() as place, ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: sys.exit(1)))
        stage = ModelStage(place, seed, stack, disks=disks, period=period)
        with stage.alive():
            yield stage


def tried(stage: ModelStage, fault: Chaos) -> Found:
    """One fault, and what became of it."""
    return campaign.tried(stage, fault, STRIKES[fault.what, fault.how])


# --- how each is struck, beside those that are struck as on a real Slurm


def frozen_out(stage: ModelStage, fault: Chaos, command: int) -> None:
    """The leader and its command stand still until the other leads; then both go on."""
    pids = [stage.leader(), command]
    send(pids, signal.SIGSTOP)
    stage.gate.open()
    try:
        wait_until(lambda: stage.frozen_out(pids[0]), "the takeover", TAKEOVER_SECONDS, interval=0.2)
        time.sleep(fault.seconds)
    finally:
        send(pids, signal.SIGCONT)


def no_memory(stage: ModelStage, fault: Chaos, _command: int) -> None:
    """The leader has more than it may, and gets no further memory; its commands may have as much as that."""
    leader = stage.leader()
    pages = int(Path(f"/proc/{leader}/statm").read_text().split()[0])
    _, hard = resource.prlimit(leader, resource.RLIMIT_AS)
    resource.prlimit(leader, resource.RLIMIT_AS, (pages * resource.getpagesize() - TAKEN_BYTES, hard))
    lasting(stage, fault)
    with suppress(ProcessLookupError):
        resource.prlimit(leader, resource.RLIMIT_AS, (hard, hard))


def daemon_gone(stage: ModelStage, fault: Chaos, _command: int) -> None:
    stage.model.be(fault.what, "gone")
    stage.gate.open()
    time.sleep(RESTART_SECONDS if fault.how == "restart" else fault.seconds)
    stage.model.be(fault.what)


def daemon_hampered(stage: ModelStage, fault: Chaos, _command: int, way: str) -> None:
    stage.model.be(fault.what, way)
    lasting(stage, fault)
    stage.model.be(fault.what)


ANSWERS: Mapping[str, Callable[[str], str]] = {
    "half": lambda text: "".join(text.splitlines(keepends=True)[: text.count("\n") // 2]),
    "cut": lambda text: text[: -len(text) // 3],
    "garbled": lambda text: "".join(random.Random(text).sample(text, len(text))),
    "twice": lambda text: text + text,
    "empty": lambda _: "",
}


def answer_spoilt(stage: ModelStage, fault: Chaos, _command: int) -> None:
    stage.model.garbled = ANSWERS[fault.how]


def command_refused(stage: ModelStage, _fault: Chaos, _command: int) -> None:
    stage.model.refused = True


def clock_jumped(stage: ModelStage, fault: Chaos, _command: int, seconds: int) -> None:
    stage.model.printer.shift = seconds
    lasting(stage, fault)
    stage.model.printer.shift = 0


def tables_locked(stage: ModelStage, fault: Chaos, _command: int) -> None:
    with psycopg.connect(stage.url) as connection:
        connection.execute("SET lock_timeout = '10s'")
        connection.execute(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE".encode())
        lasting(stage, fault)


def rights_lost(stage: ModelStage, fault: Chaos, _command: int) -> None:
    with psycopg.connect(stage.url, autocommit=True) as connection:
        connection.execute(REVOKE.encode())
        lasting(stage, fault)
        connection.execute(GRANT.encode())


def network_hampered(stage: ModelStage, fault: Chaos, _command: int) -> None:
    for between in stage.networks:
        between.be(fault.how)
    lasting(stage, fault)
    for between in stage.networks:
        between.be()


def network_cut(stage: ModelStage, fault: Chaos, _command: int) -> None:
    for between in stage.networks:
        between.cut(half=fault.how == "half-closed")
    lasting(stage, fault)


def disk_full(stage: ModelStage, fault: Chaos, _command: int) -> None:
    """One of the servers may end of it; then it is started again, where its data are."""
    filler = stage.fillers()[fault.what == "standby"]
    disk.fill(filler)
    stage.gate.open()
    time.sleep(fault.seconds + FULL_SECONDS)
    filler.unlink()
    server = stage.standby if fault.what == "standby" else stage.primary
    if not server.running():
        (server.data / "postmaster.pid").unlink(missing_ok=True)
        server.start()


STRIKES: Mapping[tuple[str, str], Callable[[ModelStage, Chaos, int], None]] = {
    **{kind: strike for kind, strike in campaign.STRIKES.items() if kind in MODEL.kinds},
    **{(what, how): daemon_gone for what in GONE for how in ("kill", "restart")},
    **{(what, "stop"): partial(daemon_hampered, way="stopped") for what in GONE},
    **{(what, "slow"): partial(daemon_hampered, way="slow") for what in GONE},
    **{("command", how): answer_spoilt for how in ANSWERS},
    **{("network", how): network_hampered for how in ("stall", "delay")},
    **{("network", how): network_cut for how in ("cut", "half-closed")},
    **{(what, "full"): disk_full for what in ("primary", "standby")},
    ("leader", "freeze"): frozen_out,
    ("leader", "memory"): no_memory,
    ("both saf", "kill"): partial(ended, number=signal.SIGKILL),
    ("both saf", "restart"): partial(ended, number=signal.SIGTERM),
    ("both saf", "stop"): stopped,
    ("command", "refused"): command_refused,
    ("operator", "write"): lambda stage, _fault, _command: stage.operate(),
    ("clock", "ahead"): partial(clock_jumped, seconds=CLOCK_SECONDS),
    ("clock", "behind"): partial(clock_jumped, seconds=-CLOCK_SECONDS),
    ("ledger", "locked"): tables_locked,
    ("ledger", "rights"): rights_lost,
}

if __name__ == "__main__":
    sys.exit(main())
