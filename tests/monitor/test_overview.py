"""The page of all clusters: a line for each, the worst in its tone, and links that lead there and back."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from slurm_ai_factory.language import LANGUAGES
from slurm_ai_factory.monitor import page
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.joint import JointShown
from slurm_ai_factory.monitor.overview import address_of, overview_html
from tests.monitor import examples
from tests.monitor.examples import NOW


def board(name: str, state: Board) -> Board:
    """A board of this state, of another cluster."""
    made = Board(name)
    made.shown, made.failed, made.failure = state.shown, state.failed, state.failure
    return made


STATES = {
    "good": board("gpu", examples.complete()),
    "bad": board("cpu", examples.failed()),
    "warning": board("mix", examples.held("no_account")),
    "waiting": Board("new"),
}


def rows(html: str) -> list[list[str]]:
    """The text of each cell, by row, without markup."""
    body = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", html, flags=re.S)
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.S) for row in body)
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_each_cluster_has_a_line_with_its_own_sentence() -> None:
    html = overview_html(list(STATES.values()), NOW + 60)
    lines = rows(html)
    assert [line[0] for line in lines] == ["gpu", "cpu", "mix", "new"]
    assert [line[1] for line in lines] == ["well", "needs attention", "see its page", "not measured yet"]
    assert "The region has had 30.0% of the GPU time" in lines[0][2]
    assert "Slurmdbd does not answer; see systemctl status slurmdbd." in lines[1][2]
    assert "below" not in lines[1][2]
    assert lines[0][3] == "enforce"
    assert lines[0][4].endswith("(Europe/Amsterdam)")
    assert lines[3][3:] == ["", ""]
    assert "1 of 4 clusters are well" in html


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize(
    ("names", "tone"),
    [
        (("good", "good"), "good"),
        (("good", "waiting"), "waiting"),
        (("waiting", "warning"), "warning"),
        (("warning", "bad", "good"), "bad"),
    ],
)
def test_the_page_has_the_tone_of_the_worst(names: tuple[str, ...], tone: str, code: str) -> None:
    html = overview_html([STATES[name] for name in names], NOW + 60, code=code)
    assert f'<body class="tone-{tone}">' in html
    assert f'<html lang="{code}">' in html


SAYS = {
    "en": ("Promises over several clusters", "still open", "had 20.0% of the unit time", "not measured",
           "Not all its clusters were read lately."),
    "nl": ("Toezeggingen over meerdere clusters samen", "nog open", "20,0%", "niet gemeten",
           "Niet alle clusters zijn onlangs ingelezen."),
}  # fmt: skip


@pytest.mark.parametrize("code", LANGUAGES)
def test_joint_promises_follow_the_clusters_and_weigh_in_the_tone(code: str) -> None:
    """Also on the page of the only cluster; what could not be measured says why, and has no figure."""
    caption, verdict, share, unmeasured, late = SAYS[code]
    good = [STATES["good"]]
    assert 'class="tone-good"' in overview_html(good, NOW + 60, code=code)
    assert caption not in overview_html(good, NOW + 60, code=code)
    gone = JointShown("all", None, error="cluster <b>new</b> is not in the file")
    joint = [examples.JOINT, gone, examples.JOINT._replace(name="old", measured=None)]
    for html in (
        overview_html(good, NOW + 60, code=code, joint=joint),
        page.status_html(STATES["good"], NOW + 60, code=code, joint=joint),
    ):
        assert '<body class="tone-warning">' in html
        assert caption in html
        measured, wrong, old = rows(html)[-3:]
        assert measured[0] == "both gpu, cpu"
        assert (measured[1], share in measured[2]) == (verdict, True)
        assert measured[3].endswith("(Europe/Amsterdam)")
        assert wrong == [
            "all", unmeasured, "Cluster &lt;b&gt;new&lt;/b&gt; is not in the file.", ""
        ]  # fmt: skip
        assert old == ["old", unmeasured, late, ""]


def test_links_lead_to_each_cluster_and_back() -> None:
    html = overview_html([STATES["good"]], NOW)
    assert f'href="{address_of("gpu")}"' in html
    assert 'href="metrics"' in html
    back = page.status_html(STATES["good"], NOW, root="../")
    assert '<a href="../">All clusters</a>' in back
    assert 'href="../metrics"' in back
    alone = page.status_html(STATES["good"], NOW)
    assert "All clusters" not in alone
    assert 'href="metrics"' in alone


def test_texts_that_failed_commands_print_stay_texts() -> None:
    wicked = board("gpu", examples.failed())
    wicked.failure = "<script>alert(1)</script>"
    html = overview_html([wicked], NOW)
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_old_cycle_is_no_good_news() -> None:
    shown = examples.shown()
    late = Board("gpu", shown=replace(shown, stale_after=60))
    assert rows(overview_html([late], shown.at + 61))[0][1] == "needs attention"
