"""An operator stops the control for a while: what is said, kept and shown."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import Pause
from tests.cli.conftest import RULES
from tests.saf import Saf

HOUR_ON = ("pause", "--until", "now+1hour", "--reason", "the switches are replaced")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--until", "now+1hour"], "give --until and a --reason"),
        (["--reason", "because"], "give --until and a --reason"),
        (["--until", "now+1hour", "--reason", " "], "give --until and a --reason"),
        (["--until", "now-1hour", "--reason", "because"], "which is past; give a later instant"),
        (["--until", "now+1hour", "--reason", "maint\ntouch /tmp/x #"], "reason has the character 0x000a"),
        (["--until", "soon", "--reason", "because"], "'soon' is not an instant"),
    ],
)
def test_what_cannot_be_a_pause_is_refused_and_not_kept(
    books: Saf, arguments: list[str], sentence: str
) -> None:
    assert sentence in books.run("pause", *arguments, code=2).stderr
    assert books.json("pause") == []
    assert books.run("pause").stderr == "there are no pauses\n"


def test_a_pause_is_shown_until_it_is_ended_and_kept_after_that(books: Saf) -> None:
    books.configure("daemon", RULES, ready_after="2d")
    said = books.json(*HOUR_ON)
    shown = books.json("status", code=4)["holds"]
    expected = {"reason": "paused", "since": said["at"], "until": said["until"], "why": said["reason"]}
    assert shown[0] == expected
    words = " ".join(books.run("status", code=4).stdout.split())
    assert f"paused since {said['at']} until {said['until']}: the switches are replaced" in words

    assert "no longer paused; the next cycle runs in mode observe" in books.run("resume").stderr
    assert books.json("status", code=3)["holds"] == [], "the floor is at risk, with or without a pause"
    assert "not paused" in books.run("resume").stderr
    ended, begun = books.json("pause")
    assert begun == {**said, "in_force": False}
    assert ended["until"] == ended["at"] >= begun["at"]


def test_another_pause_takes_the_place_of_the_first(books: Saf) -> None:
    books.run(*HOUR_ON)
    longer = books.json("pause", "--until", "now+2days", "--reason", "one broke")
    assert [one["until"] for one in books.json("status", code=4)["holds"][:1]] == [longer["until"]]
    books.run("resume", "--reason", "done")
    assert [one["reason"] for one in books.json("pause")] == [
        "done",
        "one broke",
        "the switches are replaced",
    ]


def test_a_pause_ends_by_itself() -> None:
    pause = Pause(100, 200, "root@head", "maintenance")
    assert [pause.lasts(at) for at in (99, 100, 199, 200)] == [True, True, True, False]
    assert not Pause(150, 150, "root@head", "").lasts(140), "a cycle that began before it was resumed"
