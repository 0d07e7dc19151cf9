"""A file that a command writes is whole or not there, and what stands in the way is said in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slurm_ai_factory.cli.new_file import (
    checked_directory,
    new_file,
    replaced_file,
    writable_directory,
    write_text,
)
from slurm_ai_factory.errors import ConfigError, SafError
from tests.cluster.processes import wait_until
from tests.saf import Saf
from tests.scratch import program

FULL = """
import resource, signal, sys
from pathlib import Path
from slurm_ai_factory.cli.new_file import new_file, write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
place = Path(sys.argv[1])
for name in ("there", "new"):
    try:
        write_text(place, name, "x" * 5000)
    except Exception as error:
        print(type(error).__name__, error)
try:
    with new_file(place / "once") as part:
        part.write_text("x" * 5000)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_disk_that_is_full_leaves_what_was_there_and_no_half_of_the_new(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("earlier")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        f"ConfigError cannot write {tmp_path / name}: File too large; nothing of it was kept"
        for name in ("there", "new", "once")
    ]
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"there": "earlier"}


def test_a_text_replaces_an_earlier_one_with_its_mode_and_through_a_link(tmp_path: Path) -> None:
    write_text(tmp_path, "a", "first")
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    write_text(tmp_path, "link", "second")
    assert (tmp_path / "link").is_symlink()
    assert ((tmp_path / "a").read_text(), (tmp_path / "a").stat().st_mode & 0o777) == ("second", 0o640)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(tmp_path / "a")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "link"]
    assert (tmp_path / "a").read_text() == "second"


def _interrupted(file: Path) -> None:
    with replaced_file(file) as part:
        part.write_text("thi")
        raise KeyboardInterrupt


def test_a_device_or_a_directory_is_not_a_file(tmp_path: Path) -> None:
    for written in (new_file, replaced_file):
        for file, why in (
            ("/dev/full", "is a device or a pipe"),
            (str(tmp_path), "is a directory; name a file"),
        ):
            with pytest.raises(ConfigError, match=why), written(Path(file)):
                pass
    assert Path("/dev/full").is_char_device()


def test_what_is_no_directory_is_told_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("/dev/full", str(tmp_path / "file")):
        with pytest.raises(SafError, match=f"^{place} is not a directory; name a directory"):
            writable_directory(Path(place))
    with pytest.raises(SafError, match=r"cannot make the directory .*/file/x: Not a directory"):
        writable_directory(tmp_path / "file" / "x")
    with pytest.raises(SafError, match=r"cannot (make|write in) the directory /proc"):
        writable_directory(Path("/proc/sys/x") if os.geteuid() == 0 else Path("/proc"))


def test_a_directory_that_is_looked_at_first_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for place in ("there", "new", "there/new/below"):
        assert checked_directory(tmp_path / place) == tmp_path / place
    assert [each.name for each in tmp_path.rglob("*")] == ["there"]
    with pytest.raises(SafError, match="cannot make the directory"):
        checked_directory(Path("/proc/new"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "-o", "/dev/full"), "saf: /dev/full is not a directory; name a directory"),
        (("report", "-o", "saf.toml"), "saf: saf.toml is not a directory; name a directory"),
        (("report", "-o", "saf.toml/x"), "saf: cannot make the directory saf.toml/x: Not a directory"),
        (("hub", "report", "-o", "/dev/full"), "saf: /dev/full is not a directory; name a directory"),
        (("organisation", "export", "-o", "."), "saf: . is a directory; name a file"),
        (("organisation", "export", "-o", "/dev/full"), "saf: /dev/full is a device or a pipe; name a file"),
        (
            ("organisation", "export", "-o", "none/x"),
            "none/x: No such file or directory; nothing of it was kept",
        ),
        (("ledger", "backup", "/dev/full"), "saf: /dev/full is a device or a pipe; name a file"),
        (("bundle", "/dev/full"), "saf: /dev/full is a device or a pipe; name a file"),
    ],
)
def test_each_command_says_what_stands_in_the_way(books: Saf, arguments: tuple[str, ...], said: str) -> None:
    before = sorted(books.directory.iterdir())
    done = books.run(*arguments, code=1)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(books.directory.iterdir()) == before


PG_DUMP = """
[ "$1" != --version ] || { echo "pg_dump (PostgreSQL) 99.0"; exit; }
for option; do case $option in --file=*) echo half >"${option#--file=}";; esac; done
exec sleep 600
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_told_to_end_leaves_no_half_of_a_file(
    books: Saf, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    """As systemd tells a timer's, and a terminal that is closed."""
    programs = tmp_path_factory.mktemp("programs")
    program(programs / "pg_dump", PG_DUMP)
    before = set(books.directory.iterdir())
    saf = books.argv("ledger", "backup", "ledger.dump", "--programs", str(programs))
    argv = ("env", "--default-signal", *saf)  # nohup has it ignored
    process = subprocess.Popen(argv, env=books.env, cwd=books.directory, start_new_session=True)
    with process:
        try:
            wait_until(lambda: set(books.directory.iterdir()) > before, "the half of a dump", 120)
            process.send_signal(number)
            assert process.wait(timeout=120) == (130 if number == signal.SIGINT else -number)
        finally:
            process.kill()
    assert set(books.directory.iterdir()) == before
