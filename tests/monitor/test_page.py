"""The status page as HTML: the promise in a sentence, numbers without a script, old numbers called old."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from decimal import Decimal
from html.parser import HTMLParser

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_ai_factory.cli import cli
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.records import Hour, LeverKind, Measurement, Window
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.language import CATALOGUES, LANGUAGES, Language, catalogue, language
from slurm_ai_factory.monitor import chart, page
from slurm_ai_factory.monitor.advice import Step, steps
from slurm_ai_factory.monitor.board import Board, Done, Reconciled, Steered
from slurm_ai_factory.monitor.sentence import promise_sentence
from tests.core.measure.test_assessment import demand
from tests.docs.markdown import ROOT
from tests.monitor import examples
from tests.monitor.examples import DAY, NOW, SINCE, measurement

ROLLING = Window("rolling:30d", SINCE, NOW, rolling=True)
BOARDS = {
    "fresh": Board("c"),
    "complete": examples.complete(),
    "below": examples.complete(measurement=measurement(0.2)),
    "rolling": examples.complete(measurement=measurement(0.2, window=ROLLING)),
    "unread": examples.complete(measurement=measurement(unread_seconds=DAY)),
    "unclassified": examples.complete(
        measurement=measurement(days=90, unclassified_charge=10**8, unclassified_limit=0.01)
    ),
    "nothing": examples.complete(measurement=measurement(0.2, days=0, regional_charge=0, total_charge=0)),
    "no capacity": examples.complete(measurement=measurement(capacity=None, starved_charge=None)),
    "promised": examples.complete(further=examples.FURTHER),
    "held": examples.held("no_account"),
    "foreign": examples.complete(steered=(Steered("regional", 37, 37, 25),)),
    "switch": examples.complete(
        steered=(Steered("regional", 10, 1000, 0),), lever=LeverKind.QOS, raised=1000
    ),
    "failed": examples.failed(),
    "failed at first": examples.failed(before=False),
    "standby": examples.standby(),
    "overdue": examples.overdue(),
    "overdue at first": examples.overdue(before=False),
}
PROMISED = {
    "en": (
        "All promises Promise promised delivered verdict",
        "care floor; part of promise region; the first quarter of 2027 at least 50% 60.0% still open",
        "industry cap; part of everything delivered; the first quarter of 2027 at most 20% 23.0% still open",
    ),
    "nl": (
        "Alle toezeggingen Toezegging toegezegd geleverd oordeel",
        "care ondergrens; deel van toezegging region; het eerste kwartaal van 2027 ten minste 50% 60,0% nog",
        "industry bovengrens; deel van alles wat is geleverd; het eerste kwartaal van 2027 ten hoogste 20%",
    ),
}
"""The table of examples.FURTHER."""
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
                others = ("metrics", "healthz", "readyz", "?lang=nl", "?lang=en")
                assert value.startswith("data:") or value in others

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)


def speech(code: str = "en") -> Language:
    return language(code, examples.shown().zone)


def drawn(m: Measurement, code: str = "en", width: int = 960, earlier: Sequence[Hour] = ()) -> str:
    """The chart of a measurement."""
    return chart.share_chart(m, speech(code), "in words", earlier, width=width, height=300)


def read(board: Board, now: int = NOW + 60, code: str = "en") -> str:
    """What somebody without a script reads."""
    reader = Reader()
    reader.feed(page.status_html(board, now, code=code))
    assert reader.open == []
    return " ".join(
        " ".join(reader.words).replace("\N{NO-BREAK SPACE}%", "%").replace("\N{NO-BREAK SPACE}", " ").split()
    )


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
@pytest.mark.parametrize(("code", "heading"), [("en", "Next steps"), ("nl", "Wat nu te doen")])
def test_it_is_well_formed_and_asks_for_nothing_else(board: Board, code: str, heading: str) -> None:
    text = read(board, code=code)
    assert heading in text
    assert "None" not in text.replace("None. The control", "")
    assert f'<html lang="{code}">' in page.status_html(board, NOW, code=code)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.status_html(board, NOW))


def test_the_promise_is_one_sentence_and_the_numbers_need_no_script() -> None:
    text = read(BOARDS["below"])
    assert promise_sentence(measurement(0.2), 0.01, speech()).replace("\N{NO-BREAK SPACE}%", "%") in text
    for words in (
        "20.0%",
        "25%",
        "29.0%",
        "attainable: no",
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
    [("complete", "good"), ("below", "warning"), ("unread", "warning"), ("unclassified", "warning"),
     ("held", "warning"), ("foreign", "warning"),
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
    advised = [step for each in [board, *BOARDS.values()] for step in steps(each, NOW, speech())]
    mending, observing = examples.complete(measurement=demand(0.2, 0.3)), examples.complete(mode="observe")
    later = steps(BOARDS["complete"], NOW + 9999, speech())
    return [*advised, *steps(mending, NOW, speech()), *steps(observing, NOW, speech()), *later]


def test_every_step_names_a_command_that_exists() -> None:
    every = every_step()
    assert {step.key for step in every} == catalogue("en")["live_step"].keys() - {"unreadable_1"}
    for step in every:
        if step.command.startswith("saf "):
            command: click.Command = cli.with_all()
            for word in shlex.split(step.command)[1:]:
                assert isinstance(command, click.Group)
                command = command.commands[word]


@pytest.mark.parametrize("mode", ["enforce", "advise"])
def test_below_the_floor_not_all_is_well(mode: str) -> None:
    """A headline that says below, and a step that says all is well, contradict each other."""
    board = examples.complete(measurement=demand(0.2, 0.3), mode=mode)
    assert [step.key for step in steps(board, NOW, speech())] == ["calm_below"]
    assert "all is well" not in read(board)


def test_where_nothing_is_the_matter_there_is_nothing_to_do() -> None:
    assert steps(BOARDS["complete"], NOW, speech()) == [Step("calm")]


@settings(max_examples=25)
@given(st.floats(0.0, 1.0), st.integers(0, 90), st.sampled_from([380, 960]))
def test_nothing_is_drawn_outside_the_drawing(steady: float, days: int, width: int) -> None:
    m = measurement(steady, days, regional_charge=round(steady * days * DAY * 100))
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn(m, width=width)):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= 300


def test_the_line_is_drawn_and_what_is_expected_is_dotted() -> None:
    svg = drawn(measurement(0.2))
    assert svg.count('class="course"') == svg.count('class="expected"') == svg.count('class="floor"') == 1
    assert svg.count('class="day"') == 30
    assert 'class="expected"' not in drawn(measurement(0.2, window=ROLLING))
    nothing = measurement(0.2, days=0, regional_charge=0, total_charge=0)
    assert "nothing delivered yet" in drawn(nothing)
    assert "nog niets geleverd" in drawn(nothing, "nl")


def test_a_rolling_window_has_no_area_below_the_floor_while_all_is_well() -> None:
    """Its first days alone are no share of a window; they used to be drawn as a large red area."""
    m = measurement(0.3, window=ROLLING)
    bad_start = tuple(h._replace(regional=0.0) if h.at < SINCE + 5 * DAY else h for h in m.hours)
    m = measurement(0.3, window=ROLLING, hours=bad_start, regional_charge=round(0.3 * 25 * DAY * 100))
    earlier = tuple(h._replace(at=h.at - 30 * DAY, regional=0.3 * h.total) for h in m.hours)
    for before in ((), earlier):
        svg = drawn(m, earlier=before)
        (course,) = re.findall(r'class="course" d="M([^"]+)"', svg)
        floor = float(re.findall(r'class="floor" d="M[\d.]+ ([\d.]+)H', svg)[0])
        shares = [float(y) for y in re.findall(r"L?[\d.]+ ([\d.]+)", course)]
        assert all(y <= floor for y in shares), "the line is above the floor"


@pytest.mark.parametrize(
    ("length", "marks"),
    [
        (1, ["31 Jan", "06:00", "12:00", "18:00"]),
        (3, ["29 Jan", "30 Jan", "31 Jan"]),
        (30, ["4 Jan", "11 Jan", "18 Jan", "25 Jan"]),
    ],
)
def test_the_axis_has_dates_however_short_the_window(length: int, marks: list[str]) -> None:
    until = NOW + DAY
    window = Window(f"rolling:{length}d", until - length * DAY, until, rolling=True)
    m = measurement(0.3, 31, window=window, as_of=until)
    svg = drawn(m).replace("\N{NO-BREAK SPACE}", " ")
    labels = re.findall(r'text-anchor="(?:start|middle)">([^<]+)<', svg)
    assert [label for label in labels if label in marks] == marks


def test_several_steered_accounts_are_told_apart() -> None:
    steered = (Steered("ra", 10, 12), Steered("rb", 30, 36, 33))
    history = [Done(NOW - DAY, "rb", 33, 37, "applied", "raise")]
    text = page.status_html(examples.complete(steered=steered, history=history), NOW)
    assert "RawShares of ra" in text
    assert "30, wanted 36" in text
    assert "Another user changed RawShares of rb from 33." in text
    assert "rb 33 → 37" in text


@pytest.mark.parametrize("code", LANGUAGES)
def test_windows_have_names_for_people(code: str) -> None:
    text = read(BOARDS["rolling"], code=code)
    assert "rolling:" not in text
    assert {"en": "the last 30 days", "nl": "de afgelopen 30 dagen"}[code] in text
    assert "2027Q1" not in read(BOARDS["below"], code=code)


def test_reasons_are_said_as_they_are_logged_and_all_of_them_in_dutch() -> None:
    assert catalogue("en")["live_why"] == REASONS
    assert catalogue("nl")["live_why"].keys() == REASONS.keys()


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_two_rooms_have_a_section_of_the_same_name(code: str) -> None:
    sections = [
        line
        for room in CATALOGUES
        for line in (ROOT / "slurm_ai_factory" / room / "messages" / f"{code}.toml").read_text().splitlines()
        if line.startswith("[")
    ]
    assert len(sections) == len(set(sections)) > 20


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("at_set_point", "Geen wijziging: de shares zijn al zoals gewenst."),
        ("no_account", "staat niet in de boom"),
    ],
)
def test_a_decision_is_told_in_dutch(reason: str, words: str) -> None:
    text = read(examples.held(reason), code="nl")
    assert words in text
    assert "no change" not in text


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_weighted_resource_has_a_name_and_its_formula_once(code: str) -> None:
    weighted = Resource({"cpu": Decimal("0.5"), "gres/gpu": 10})
    for label in ("", "GPU equivalent"):
        text = read(
            examples.complete(measurement=measurement(resource=weighted, resource_label=label)), code=code
        )
        assert text.count("0.5 cpu + 10 gres/gpu") == 1
        assert "*" not in text


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_small_site_reads_digits_and_never_minus_nothing(code: str) -> None:
    small = measurement(
        0.3, waiting_charge=72, starved_charge=-1e-9, unclassified_charge=20_000, capacity=10**12,
        regional_running=Decimal("0.5"),
    )  # fmt: skip
    text = read(examples.complete(measurement=small), code=code)
    assert "-0" not in text
    shown = ("0.020", "0.01%", "0.5 ") if code == "en" else ("0,020", "0,01%", "0,5 ")
    for figure in shown:
        assert figure in text, figure


@pytest.mark.parametrize(
    ("code", "name", "foreign"),
    [
        ("en", "Switch: Priority of QOS regional", "Another user changed Priority from 0."),
        ("nl", "Schakelaar: Priority van QOS regional", "Iemand anders heeft Priority (was 0) gewijzigd."),
    ],
)
def test_the_page_says_that_the_lever_is_a_switch(code: str, name: str, foreign: str) -> None:
    text = read(BOARDS["switch"], code=code)
    assert name in text
    assert {"en": "lowered: jobs have their usual order", "nl": "omlaag"}[code] in text
    assert foreign in text


@pytest.mark.parametrize("code", LANGUAGES)
def test_several_promises_are_beside_each_other(code: str) -> None:
    reader = Reader()
    reader.feed(page.status_html(BOARDS["promised"], NOW + 60, code=code))
    said = " ".join(" ".join(reader.words).split())
    assert all(words in said for words in PROMISED[code])
    assert '<section class="promises">' not in page.status_html(BOARDS["complete"], NOW + 60, code=code)
