"""`saf` as a process of its own, forked from one that has loaded it: loading takes most of a command's time.

Rule: what runs is ``slurm_ai_factory.__main__`` with the test's arguments, environment, directory and output,
and it ends as Python ends. One process is loaded for each way in which an environment lets Python start.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "slurm_ai_factory")
STARTS_BY = ("PYTHON", "LANG", "LC_", "TZ")
"""Beginnings of the names of variables that Python reads as it starts."""
LINKS_BY = "LD_"
"""The same of the linker. What it loads, such as a clock, reads others: then a new Python is started."""
LATER = {"simulate": "slurm_ai_factory.cli.simulate.trial"}
"""Command -> the module that it loads only once it is given; this one takes longer than all others."""


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """The finished command, as ``subprocess.run`` gives it. Raises TimeoutExpired; then it was killed."""
    argv = [*COMMAND, *arguments]
    if any(name.startswith(LINKS_BY) for name in env):
        return subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd or Path.cwd())}
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)]
        json.dump(request, files[0])
        files[0].flush()
        how = frozenset((name, value) for name, value in env.items() if name.startswith(STARTS_BY))
        server = _server(how, LATER.get(arguments[0], "") if arguments else "")
        code = _exit_code(server, [file.fileno() for file in files], argv, timeout)
        for file in files:
            file.seek(0)
        _, stdout, stderr = (file.read() for file in files)
    return subprocess.CompletedProcess(argv, code, stdout, stderr)


def _exit_code(server: socket.socket, files: Sequence[int], argv: Sequence[str], timeout: float) -> int:
    ours, theirs = socket.socketpair()
    with ours, ours.makefile() as answers:
        with theirs:
            socket.send_fds(server, [b"run"], [*files, theirs.fileno()])
        ours.settimeout(timeout)
        pid = int(answers.readline())
        try:
            return int(answers.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(argv, timeout) from None


@cache
def _server(how: frozenset[tuple[str, str]], more: str) -> socket.socket:
    """A connection to the process that has loaded `saf` and one module more, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {name: value for name, value in os.environ.items() if not name.startswith(STARTS_BY)} | dict(how)
    with theirs:
        argv = [sys.executable, "-m", "tests.loaded", str(theirs.fileno()), more]
        server = subprocess.Popen(
            argv, cwd=ROOT, env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
    atexit.register(server.wait, 120)
    atexit.register(ours.close)
    return ours


def serve(control: socket.socket) -> None:
    """Fork for every request. Returns in the process that is to be the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who report
    while True:
        message, files, *_ = socket.recv_fds(control, 16, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            return _report(*files)
        for file in files:
            os.close(file)


def _report(asked: int, out: int, err: int, answers: int) -> None:
    """Fork the command, and report its number and its exit code. Returns in the command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(answers)
        return _become(asked, out, err)
    os.write(answers, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: int, out: int, err: int) -> None:
    os.lseek(asked, 0, os.SEEK_SET)
    with open(asked) as file:
        request = json.load(file)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = [str(ROOT / "slurm_ai_factory" / "__main__.py"), *request["arguments"]]


if __name__ == "__main__":
    import slurm_ai_factory.__main__
    from slurm_ai_factory.cli import cli
    from slurm_ai_factory.cli.simulate.compiled import keep_compiled

    cli.with_all()
    if sys.argv[2]:
        keep_compiled()
        import_module(sys.argv[2])
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.modules["__main__"] = slurm_ai_factory.__main__
    slurm_ai_factory.__main__.main()
