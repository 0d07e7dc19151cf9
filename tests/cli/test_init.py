"""The file that `saf init` writes, from what was found on a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from slurm_ai_factory.cli import init, init_questions
from slurm_ai_factory.cli.new_file import new_file
from slurm_ai_factory.config import parse_config
from slurm_ai_factory.core.records import Association
from slurm_ai_factory.errors import ConfigError
from tests.core.live.test_health import CONFIG
from tests.install.__main__ import ANSWERS

TREE = [
    Association(cluster="c", account=account, parent=parent, raw_shares=1)
    for account, parent in (("root", None), ("noord", "root"), ("national", "root"), ("umcg", "noord"))
]


def test_the_account_that_holds_the_region_is_the_one_that_is_named() -> None:
    config = parse_config(init.sample_config(CONFIG, TREE, ["noord"], {}), "saf.toml")
    assert config.control.account == ("noord",)
    sides = {str(rule.beneficiary): set(rule.conditions["account_subtree"]) for rule in config.rules}
    assert sides == {"regional": {"noord"}, "non_regional": {"national"}}


def test_an_account_below_another_is_asked_for_before_the_account_above_it() -> None:
    config = parse_config(init.sample_config(CONFIG, TREE, ["umcg"], {}), "saf.toml")
    assert config.control.account == ("umcg",)
    rules = [(str(rule.beneficiary), set(rule.conditions["account_subtree"])) for rule in config.rules]
    assert rules == [("regional", {"umcg"}), ("non_regional", {"noord", "national"})]


@pytest.mark.parametrize("account", ["nord", "root"])
def test_an_account_that_the_cluster_does_not_have_is_refused(account: str) -> None:
    said = f"no account {account}; directly under root there are noord, national"
    with pytest.raises(ConfigError, match=said):
        init.sample_config(CONFIG, TREE, [account], {})


def test_nobody_is_taken_for_the_region_by_a_word_in_a_name() -> None:
    tree = [replace(one, account="region_noord") if one.account == "noord" else one for one in TREE]
    text = init.sample_config(CONFIG, tree, [], {})
    assert parse_config(text, "saf.toml").rules == ()
    assert not re.search(r"^account = ", text, flags=re.MULTILINE)
    assert '# beneficiary = "regional"' in text


def test_several_accounts_may_hold_the_region() -> None:
    config = parse_config(
        init.sample_config(CONFIG, TREE, ["noord", "national"], {"promise.window": "month"}), "saf.toml"
    )
    assert config.control.account == ("noord", "national")
    assert [str(rule.beneficiary) for rule in config.rules] == ["regional"]
    assert config.promise.window == "month"


def test_a_name_adds_no_line_to_the_file() -> None:
    name = 'a\n[control]\nmode = "enforce"\u202e\x7f'
    tree = [*TREE, Association(cluster="c", account=name, parent="root", raw_shares=1)]
    text = init.sample_config(CONFIG, tree, ["noord"], {})
    assert text.isascii()
    config = parse_config(text, "saf.toml")
    assert config.control.mode == "observe"
    assert config.rules[1].conditions["account_subtree"] == {"national", name}


@pytest.mark.parametrize(("link", "zone"), [
    ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"), ("/usr/share/zoneinfo/Nowhere", "UTC"),
    (None, "UTC"),
])  # fmt: skip
def test_the_time_zone_is_the_machines(
    link: str | None,
    zone: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if link:
        (tmp_path / "localtime").symlink_to(link)
    monkeypatch.setattr(init, "LOCALTIME", tmp_path / "localtime")
    assert init.zone_of_this_machine() == zone
    assert ("promise.time_zone is UTC" in capsys.readouterr().err) is (zone == "UTC")


def test_nothing_of_another_region_is_in_force_and_the_registry_wants_one_named() -> None:
    text = init.sample_config(CONFIG, TREE, ["noord"], {})
    assert parse_config(text, "saf.toml").registry.region == frozenset()
    by_registry = '\n[[rule]]\nname = "r"\nbeneficiary = "registry"\n'
    with pytest.raises(
        ConfigError, match=r"\[registry\] region is empty, so no organisation would be regional"
    ):
        parse_config(text + by_registry, "saf.toml")


def test_a_shipped_region_is_chosen_by_name_and_brings_its_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_questions, "is_terminal", lambda: False)
    typed = {"promise.target_share": None, "promise.resource": None, "promise.window": None}
    zone = {"promise.time_zone": "Europe/Berlin"}
    chosen = init._promise({**typed, **zone, "registry.region": "groningen-noord-drenthe"})
    registry = parse_config(init.sample_config(CONFIG, TREE, ["noord"], chosen), "saf.toml").registry
    assert len(registry.region) == 15
    assert registry.hubs == ("groningen", "south", "amsterdam", "european")
    with pytest.raises(click.UsageError, match="--region: no shipped list"):
        init._promise({**typed, **zone, "registry.region": "friesland"})


def _answered(typed: str) -> tuple[dict[str, object], str]:
    """The answers to the questions about the promise and the accounts; and what was on the screen."""
    kept: dict[str, object] = {}

    @click.command()
    def ask() -> None:
        kept["account"] = init_questions.region_accounts([row for row in TREE if row.parent == "root"])
        given = {"promise.window": "month"}
        kept.update(init_questions.answers(init_questions.promise_questions("Europe/Berlin"), given))

    result = CliRunner().invoke(ask, input=typed)
    return kept, result.output


def test_what_no_cluster_knows_is_asked_and_a_wrong_answer_again_with_the_reason() -> None:
    kept, screen = _answered(
        "nord\nnoord, noord\n0\n0.25\ntwo\n12,5 %\ngpu\n gres/gpu\nAtlantis\n\nFriesland\n\n"
    )
    assert kept == {
        "account": ("noord",),
        "promise.target_share": 0.125,
        "promise.resource": "gres/gpu",
        "promise.time_zone": "Europe/Berlin",
        "registry.region": "",
    }
    for reason in (
        "no such account: nord",
        "'0' is not a percentage from 1 to below 100",
        "'0.25' is not a percentage from 1 to below 100",
        "'gpu' is no TRES of Slurm",
        "'two' is not a percentage such as 25",
        "wants a time zone",
        "no shipped list has this name; known: groningen-noord-drenthe",
    ):
        assert f"Error: {reason}" in screen
    config = parse_config(init.sample_config(CONFIG, TREE, ["noord"], kept), "saf.toml")
    assert (config.promise.target_share, str(config.promise.time_zone)) == (0.125, "Europe/Berlin")
    assert set(config.promise.resource.weights) == {"gres/gpu"}


@pytest.mark.parametrize("option", ["--conf", "--directory"])
def test_a_path_that_is_not_there_is_refused_before_slurm_is_asked(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(init.init_command, [option, str(tmp_path / "missing")])
    assert (done.exit_code, "does not exist" in done.output) == (2, True)


def _while_writing(file: Path, happens: Callable[[], object]) -> None:
    with new_file(file) as part:
        part.write_text("half")
        happens()


def _interrupted() -> None:
    raise click.Abort


def test_an_end_of_input_leaves_nothing_behind_and_a_file_that_is_there_stays(tmp_path: Path) -> None:
    assert _answered("noord\n25\n")[0] == {"account": ("noord",)}
    file = tmp_path / "saf.toml"
    with new_file(file) as part:
        part.write_text("first")
    with pytest.raises(ConfigError, match="exists; choose another"), new_file(file):
        pass
    with pytest.raises(ConfigError, match="was left as it is"):
        _while_writing(tmp_path / "raced", lambda: (tmp_path / "raced").write_text("other"))
    with pytest.raises(click.Abort):
        _while_writing(tmp_path / "interrupted", _interrupted)
    with pytest.raises(ConfigError, match="cannot write"), new_file(tmp_path / "none" / "x") as part:
        part.write_text("third")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "saf.toml": "first",
        "raced": "other",
    }


def test_the_next_commands_run_as_the_daemon_where_the_file_is_its_own() -> None:
    check, doctor, cycle = init.next_commands(Path("/etc/slurm-ai-factory/saf.toml"))
    assert (check, doctor.split()[0], cycle.split()[-1]) == (
        "saf --config /etc/slurm-ai-factory/saf.toml config check",
        "runuser",
        "cycle",
    )
    assert not init.next_commands(Path("x y.toml"))[1].startswith("runuser")


def test_the_trial_installation_answers_each_question_once() -> None:
    """It types on a terminal, and would wait for ever for a question that it does not know."""
    prompts = [asked.prompt for asked in init_questions.promise_questions("UTC")]
    for prompt in [*prompts, init_questions.ACCOUNTS_PROMPT]:
        assert sum(words in prompt for words in ANSWERS) == 1, prompt
