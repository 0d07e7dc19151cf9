"""The status page as HTML: the promise in a sentence, numbers without a script, old numbers called old."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_ai_factory.cli import cli
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.records import Window
from slurm_ai_factory.monitor import chart, page
from slurm_ai_factory.monitor.advice import Step, steps
from slurm_ai_factory.monitor.board import Board, Done, Reconciled, Steered
from tests.monitor import examples
from tests.monitor.examples import DAY, NOW, SINCE, measurement

BOARDS = {
    "fresh": Board("c"),
    "complete": examples.complete(),
    "below": examples.complete(measurement=measurement(0.2)),
    "rolling": examples.complete(
        measurement=measurement(0.2, window=Window("rolling:30d", SINCE, NOW, rolling=True))
    ),
    "nothing": examples.complete(measurement=measurement(0.2, days=0, regional_charge=0, total_charge=0)),
    "no capacity": examples.complete(measurement=measurement(capacity=None, starved_charge=None)),
    "held": examples.held("no_account"),
    "foreign": examples.complete(steered=(Steered("regional", 37, 37, 25),)),
    "failed": examples.failed(),
    "failed at first": examples.failed(before=False),
    "standby": examples.standby(),
    "overdue": examples.overdue(),
    "overdue at first": examples.overdue(before=False),
}
VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """The text of a page, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "srcset"), "nothing is fetched"
            if name == "href" and value:
                assert value.startswith("data:") or value in ("metrics", "healthz", "readyz")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)


def read(board: Board, now: int = NOW + 60) -> str:
    """What somebody without a script reads."""
    reader = Reader()
    reader.feed(page.status_html(board, now))
    assert reader.open == []
    return " ".join(" ".join(reader.words).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_it_is_well_formed_and_asks_for_nothing_else(board: Board) -> None:
    text = read(board)
    assert "Next steps" in text
    assert "None" not in text.replace("None. The control", "")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.status_html(board, NOW))


def test_the_promise_is_one_sentence_and_the_numbers_need_no_script() -> None:
    text = read(BOARDS["below"])
    assert outlook.promise_sentence(measurement(0.2), 0.01) in text
    for words in (
        "20 %",
        "25 %",
        "29 %",
        "attainable: yes",
        "verdict: open",
        "RawShares 37",
        "33 → 37",
        "No change: the shares are already as wanted.",
    ):
        assert words in text, words


def test_a_failure_says_what_happened_and_how_old_the_numbers_are() -> None:
    text = read(BOARDS["failed"])
    assert (
        "Slurmdbd does not answer; see systemctl status slurmdbd. The numbers below are as of 31 Jan 00:00."
        in text
    )
    assert 'class="tone-bad old"' in page.status_html(BOARDS["failed"], NOW)
    assert "Nothing is decided until a cycle succeeds." in text
    assert "The control decides in every cycle" not in text
    assert "all times are in" in text


def test_a_cycle_that_hangs_says_since_when_and_how_old_the_numbers_are() -> None:
    text = read(BOARDS["overdue"])
    assert (
        "The cycle that began at 31 Jan 00:05 has not finished yet. The numbers below are as of 31 Jan 00:00."
        in text
    )
    assert 'class="tone-bad old"' in page.status_html(BOARDS["overdue"], NOW)
    assert "The control decides in every cycle" not in text
    assert "30 Jan 23:05 UTC has not finished yet." in read(BOARDS["overdue at first"])


def test_without_a_cycle_there_are_no_numbers() -> None:
    assert "Nothing has been measured yet; the first cycle is running." in read(BOARDS["fresh"])
    for name in ("fresh", "failed at first", "standby"):
        assert "<svg" not in page.status_html(BOARDS[name], NOW)
        assert "to the region, of" not in read(BOARDS[name])


def test_numbers_that_are_too_old_say_so() -> None:
    text = read(BOARDS["complete"], NOW + 3600)
    assert "No cycle has completed for too long. The numbers below are as of" in text


@pytest.mark.parametrize("reason", sorted(HOLDS - {"read_failed", "standby"}))
def test_a_hold_is_shown_with_what_it_means(reason: str) -> None:
    text = read(examples.held(reason))
    assert REASONS[reason][1:] in text
    assert "None. The control decides" not in text


@pytest.mark.parametrize(
    ("board", "tone"),
    [("complete", "good"), ("below", "warning"), ("held", "warning"), ("foreign", "warning"),
     ("failed", "bad"), ("failed at first", "bad"), ("fresh", "waiting"), ("standby", "waiting"),
     ("overdue", "bad")],
)  # fmt: skip
def test_the_tone_says_how_it_is(board: str, tone: str) -> None:
    assert page.tone(BOARDS[board], NOW) == tone


def test_what_others_named_is_text_and_never_markup() -> None:
    wicked = "<script>alert(1)</script>"
    board = examples.complete(unknown_accounts=(wicked,))
    board.fail("failed", wicked, "slurm")
    assert wicked not in page.status_html(board, NOW)
    assert "&lt;script&gt;alert(1)" in page.status_html(board, NOW)


def every_step() -> list[Step]:
    """A board on which everything is the matter, and those on which one thing is."""
    board = examples.complete(
        mode="observe", steered=(Steered("regional", 37, 37, 25),), statuses=("failed",), weight_fairshare=0,
        unknown_accounts=("x",), unreadable=2,
        measurement=measurement(0.2, unclassified_charge=10**7, regional_running=0, regional_pending=0),
    )  # fmt: skip
    board.reconciled = Reconciled(NOW, 0, 3600, 5)
    found = [step for one in [board, *BOARDS.values()] for step in steps(one, NOW)]
    return found + steps(examples.complete(mode="observe"), NOW) + steps(BOARDS["complete"], NOW + 9999)


def test_every_step_names_a_command_that_exists() -> None:
    found = every_step()
    assert len({step.what for step in found}) >= 14
    for step in found:
        if step.command.startswith("saf "):
            command: click.Command = cli.with_all()
            for word in shlex.split(step.command)[1:]:
                assert isinstance(command, click.Group)
                command = command.commands[word]


def test_where_nothing_is_the_matter_there_is_nothing_to_do() -> None:
    assert steps(BOARDS["complete"], NOW) == [Step("Nothing to do: all is well.")]


@settings(max_examples=25)
@given(st.floats(0.0, 1.0), st.integers(0, 90), st.sampled_from([380, 960]))
def test_nothing_is_drawn_outside_the_drawing(steady: float, days: int, width: int) -> None:
    m = measurement(steady, days, regional_charge=round(steady * days * DAY * 100))
    drawn = chart.share_chart(m, examples.shown().zone, width=width, height=300)
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= 300


def test_the_line_is_drawn_and_what_is_expected_is_dotted() -> None:
    drawn = chart.share_chart(measurement(0.2), examples.shown().zone, width=960, height=300)
    assert (
        drawn.count('class="course"') == drawn.count('class="expected"') == drawn.count('class="floor"') == 1
    )
    assert drawn.count('class="day"') == 30
    rolling = measurement(0.2, window=Window("rolling:30d", SINCE, NOW, rolling=True))
    assert 'class="expected"' not in chart.share_chart(rolling, examples.shown().zone, width=960, height=300)
    nothing = measurement(0.2, days=0, regional_charge=0, total_charge=0)
    assert "nothing delivered yet" in chart.share_chart(nothing, examples.shown().zone, width=960, height=300)


def test_several_steered_accounts_are_told_apart() -> None:
    steered = (Steered("ra", 10, 12), Steered("rb", 30, 36, 33))
    history = [Done(NOW - DAY, "rb", 33, 37, "applied", "raise")]
    text = page.status_html(examples.complete(steered=steered, history=history), NOW)
    assert "RawShares of ra" in text
    assert "30, wanted 36" in text
    assert "Another user changed RawShares of rb from 33." in text
    assert "rb 33 → 37" in text
