"""`saf status` on a terminal and off it: one screen, colour only for people, again and again with --watch."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.cli.draw import BLOCKS, draw_course
from slurm_ai_factory.config import parse_config
from slurm_ai_factory.core.measure.outlook import Point
from slurm_ai_factory.core.records import HOUR
from tests.conftest import new_ledger
from tests.monitor.life import CONFIG, HOURLY, living
from tests.saf import Saf

COLOR = "\x1b["
LINES, COLUMNS = 24, 80


def command_line(directory: Path, url: str, text: str = CONFIG) -> Saf:
    """The command line on a ledger of the model."""
    saf = Saf(directory, {**os.environ, "PYTHONUTF8": "1", "COLUMNS": str(COLUMNS)}, None)
    text = text.format(control="", daemon=HOURLY)
    saf.file.write_text(text.replace("[daemon]", f'[ledger]\nurl = "{url}"\n[daemon]'))
    return saf


@pytest.fixture(scope="module")
def told(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saf]:
    """The command line on a ledger that has seen ten days of the model."""
    with new_ledger(postgresql) as url:
        with living(url, time.perf_counter) as life:
            for _ in range(20):
                life.beat(12 * HOUR)
        yield command_line(tmp_path_factory.mktemp("terminal"), url)


def on_a_terminal(
    saf: Saf, *arguments: str, env: Mapping[str, str] | None = None, until: str = ""
) -> tuple[str, int]:
    """What a terminal of 80 columns gets, and the exit code; ended by Ctrl-C once the words have come."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        saf.argv(*arguments), stdout=theirs, stderr=theirs, env={**saf.env, "TERM": "xterm", **(env or {})}
    )
    os.close(theirs)
    seen = b""
    try:
        while select.select([ours], [], [], 120)[0]:
            chunk = os.read(ours, 65536)
            if not chunk:
                break
            seen += chunk
            if until and seen.decode(errors="replace").count(until) >= 2:
                process.send_signal(signal.SIGINT)
                until = ""
    except OSError:
        pass  # the other end of a terminal that is closed
    finally:
        os.close(ours)
    return seen.decode().replace("\r\n", "\n"), process.wait(timeout=120)


def test_it_fits_one_screen_and_says_what_the_page_says(told: Saf) -> None:
    text = told.run("status", code=4).stdout
    lines = text.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert "The region has had" in text
    assert re.search(r"^delivered +[\d.]+ % +required from now on +[\d.]+ %", text, re.MULTILINE)
    assert "stale since" in text


@pytest.mark.parametrize("columns", [40, 60])
def test_nothing_runs_off_a_narrow_terminal(told: Saf, columns: int) -> None:
    told.run("pause", "--until", "now+1hour", "--reason", "a test of the new scheduler in the small hall")
    try:
        text = run_in(told, columns)
    finally:
        told.run("resume")
    assert max(map(len, text.splitlines())) <= columns
    for words in ("required from now on", "regional, ", "last decision", "paused since"):
        assert words in text


def run_in(saf: Saf, columns: int) -> str:
    """What `saf status` prints in so many columns."""
    saf.env["COLUMNS"] = str(columns)
    try:
        return saf.run("status", code=4).stdout
    finally:
        saf.env["COLUMNS"] = str(COLUMNS)


def test_colour_is_for_terminals_only(told: Saf) -> None:
    assert COLOR not in told.run("status", code=4).stdout
    text, code = on_a_terminal(told, "status")
    assert code == 4
    assert COLOR in text
    assert COLOR not in on_a_terminal(told, "status", "--no-color")[0]
    assert COLOR not in on_a_terminal(told, "status", env={"NO_COLOR": "1"})[0]


def test_a_terminal_without_blocks_gets_letters(told: Saf) -> None:
    told.env |= {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    try:
        text = told.run("status", code=4).stdout
    finally:
        told.env |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    assert text.isascii()
    assert "####" in text


def test_watch_shows_it_again_until_ctrl_c(told: Saf) -> None:
    text, code = on_a_terminal(told, "status", "--watch", "--every", "1", until="Ctrl-C stops")
    assert code == 0
    assert text.count("The region has had") >= 2
    assert text.count("\x1b[H\x1b[2J") >= 2
    assert "Traceback" not in text


def test_watch_outlives_the_ledger(told: Saf) -> None:
    before = told.file.read_text()
    told.file.write_text(re.sub(r'url = ".*"', 'url = "postgresql://127.0.0.1:1/saf"', before))
    try:
        text, code = on_a_terminal(told, "status", "--watch", "--every", "1", until="cannot be reached")
    finally:
        told.file.write_text(before)
    assert code == 0
    assert text.count("cannot be reached") >= 2


def checked(saf: Saf, code: int, *options: str) -> str:
    """The one line of --check."""
    done = saf.run("status", "--check", *options, code=code)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    return line


def test_a_monitoring_plugin_reads_one_line_with_figures(told: Saf) -> None:
    line = checked(told, 2)
    assert line.startswith("SAF CRITICAL - The region has had ")
    assert "no complete read since 2026-07-" in line
    assert re.search(r" \| share=[\d.]+%;25:;;0;100 .*age=\d+s;;10800;0;$", line)


def test_a_plugin_that_cannot_look_knows_nothing(told: Saf, tmp_path: Path, postgresql: str) -> None:
    dead = checked(command_line(tmp_path, "postgresql://127.0.0.1:1/saf"), 3)
    assert dead.startswith("SAF UNKNOWN - the ledger at 127.0.0.1:1")
    assert "|" not in dead
    with new_ledger(postgresql) as empty:
        assert checked(command_line(tmp_path, empty), 3).startswith("SAF UNKNOWN - the ledger has nothing of")
    told_file = tmp_path / "saf.toml"
    told_file.write_text("[cluster")
    assert checked(told, 3, "--config", str(told_file)).startswith("SAF UNKNOWN - ")


def test_a_plugin_says_that_part_of_the_window_was_never_read(tmp_path: Path, postgresql: str) -> None:
    half_read = CONFIG.replace("[promise]", '[promise]\nwindow = "year"')
    with new_ledger(postgresql) as url:
        config = parse_config(half_read.format(control="", daemon=HOURLY), "model")
        with living(url, time.perf_counter, config) as life:
            life.beat(12 * HOUR)
        assert "hours of the window were never read" in checked(command_line(tmp_path, url, half_read), 2)


@pytest.mark.parametrize(
    "arguments",
    [("--watch", "--json"), ("--watch", "--every", "0"), ("--check", "--json"), ("--check", "--watch")],
)
def test_what_makes_no_sense_is_refused(told: Saf, arguments: tuple[str, ...]) -> None:
    assert told.run("status", *arguments, code=2).stderr


courses = st.lists(st.floats(0.0, 1.0), min_size=0, max_size=300).map(
    lambda shares: [Point(n * HOUR, share) for n, share in enumerate(shares)]
)


@given(courses, st.floats(0.01, 0.99), st.integers(20, 200), st.integers(3, 20), st.booleans())
def test_a_drawing_has_the_size_it_was_told(
    course: list[Point], floor: float, width: int, height: int, blocks: bool
) -> None:
    found = draw_course(course, floor, width=width, height=height, blocks=blocks)
    assert len(found.lines) == height
    assert all(len(line.scale + line.cells) <= width for line in found.lines)
    text = "".join(line.cells for line in found.lines)
    assert set(text) <= set(BLOCKS) | {"─"} if blocks else text.isascii()


@given(st.floats(0.01, 0.9), st.floats(0.05, 0.9))
def test_columns_are_kept_where_the_share_is_at_least_the_floor(share: float, floor: float) -> None:
    found = draw_course([Point(0, share), Point(HOUR, share)], floor, width=40, height=6)
    assert set(found.kept) == {share >= floor}


def test_nothing_delivered_is_an_empty_drawing() -> None:
    found = draw_course([], 0.25, width=40, height=6)
    assert set("".join(line.cells for line in found.lines)) == {"─"}
    assert not any(found.kept)
