"""The configuration: what may be said, and a sentence with file, section and key about what may not."""

from __future__ import annotations

import dataclasses
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.config import (
    SECTIONS,
    Config,
    find,
    ledger_url,
    load_file,
    parse_config,
    shown_values,
    with_rules_of,
)
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import FOREVER, HOUR
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import ConfigError

CLUSTER = '[cluster]\nname = "habrok"\n'
FILE = "/etc/saf.toml"
AMSTERDAM = '[promise]\ntime_zone = "Europe/Amsterdam"\n'
RULE = '[[rule]]\nbeneficiary = "regional"\naccount = "a"\n'


def _parsed(text: str = "") -> Config:
    return parse_config(CLUSTER + text, FILE)


def _refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, FILE)
    return str(caught.value)


# --- values, defaults, origins ------------------------------------------------------------------------


def test_the_name_of_the_cluster_is_all_that_must_be_said() -> None:
    config = _parsed()
    assert config.cluster.name == "habrok"
    assert (config.promise.target_share, config.promise.margin) == (0.25, 0.01)
    assert (config.promise.resource, config.promise.window) == (Resource({"billing": 1}), "quarter")
    assert config.promise.time_zone == ZoneInfo("UTC")
    assert (config.registry.region, config.registry.hubs) == (frozenset(), ())
    assert (config.control.mode, config.control.account) == ("observe", ("regional",))
    assert (config.slurm.directory, config.slurm.conf, config.slurm.since) == (None, None, None)
    assert (config.slurm.timeout, config.daemon.period) == (60, 300)
    assert (config.ledger.url, config.ledger.url_file) == (None, None)
    assert (config.rules, config.file) == ((), FILE)


def test_every_value_that_can_be_said_is_taken_over() -> None:
    config = _parsed(
        """
        [promise]
        target_share = 0.3
        margin = 0.02
        resource = "gres/gpu"
        window = "rolling:30d"
        time_zone = "UTC"
        [slurm]
        directory = "/opt/slurm/bin"
        conf = "/etc/slurm/slurm.conf"
        timeout = "2m"
        since = 2027-01-01
        overlap = 7200
        read_window = "7d"
        [ledger]
        url = "postgresql:///saf"
        state_directory = "/srv/saf"
        [control]
        mode = "enforce"
        account = "region"
        share_min = 0.1
        share_max = 0.8
        slew = 0.1
        band = 0.02
        credit_max = 0.1
        debit_max = 0.05
        writes_per_day = 12
        recovery = "48h"
        horizon = "24h"
        [daemon]
        period = "10m"
        listen = "[::1]:9000"
        ready_after = 600
        """
    )
    assert config.promise.resource == Resource({"gres/gpu": 1})
    assert (config.slurm.directory, config.slurm.conf) == (
        Path("/opt/slurm/bin"),
        Path("/etc/slurm/slurm.conf"),
    )
    assert (config.slurm.timeout, config.slurm.overlap, config.slurm.read_window) == (
        120,
        7200,
        7 * 24 * HOUR,
    )
    assert config.first_instant() == 1798761600
    assert (config.daemon.period, config.daemon.listen, config.daemon.ready_after) == (600, "[::1]:9000", 600)
    policy = config.policy(half_life_seconds=99)
    assert (policy.accounts, policy.half_life_seconds, policy.period_seconds) == (("region",), 99, 600)
    assert (policy.target_share, policy.margin, policy.writes_per_day) == (0.3, 0.02, 12)
    assert (policy.share_min, policy.share_max, policy.slew, policy.band) == (0.1, 0.8, 0.1, 0.02)
    assert (policy.credit_max, policy.debit_max) == (0.1, 0.05)
    assert (policy.recovery_seconds, policy.horizon_seconds) == (48 * HOUR, 24 * HOUR)


@pytest.mark.parametrize(
    ("typed", "instant"),
    [
        ("2027-01-01", 1798758000),
        ('"2027-01-01"', 1798758000),
        ('"2027-01-01T00:00:00Z"', 1798761600),
        ("2027-01-01T00:00:00Z", 1798761600),
        ("2027-07-01T00:00:00", 1814392800),
    ],
)
def test_reading_starts_at_a_civil_date_unless_an_offset_is_given(typed: str, instant: int) -> None:
    assert _parsed(AMSTERDAM + f"[slurm]\nsince = {typed}\n").first_instant() == instant
    assert _parsed().first_instant() is None


def test_one_write_a_day_and_one_second_are_enough() -> None:
    config = _parsed("[control]\nwrites_per_day = 1\n[daemon]\nperiod = 1\n")
    assert (config.control.writes_per_day, config.daemon.period) == (1, 1)


def test_each_value_tells_whether_the_file_or_a_default_gave_it() -> None:
    config = _parsed("[promise]\nmargin = 0.01\n[ledger]\n")
    assert config.origins["cluster.name"] == FILE
    assert config.origins["promise.margin"] == FILE
    assert config.origins["promise.target_share"] == config.origins["ledger.url"] == "default"


def test_every_key_of_every_section_is_shown_once_with_its_origin() -> None:
    rows = list(shown_values(_parsed("[promise]\nmargin = 0.05\n")))
    keys = [(name, one.name) for name, kind in SECTIONS.items() for one in dataclasses.fields(kind)]
    assert [(section, key) for section, key, _, _ in rows] == keys
    assert ("promise", "margin", "0.05", FILE) in rows
    assert ("promise", "resource", "billing", "default") in rows
    assert ("promise", "time_zone", "UTC", "default") in rows
    assert ("slurm", "conf", "(not set)", "default") in rows


def test_every_key_says_what_it_is_for() -> None:
    fields = [one for kind in SECTIONS.values() for one in dataclasses.fields(kind)]
    assert all(one.metadata["doc"] for one in fields)


def test_a_password_is_never_shown() -> None:
    config = _parsed('[ledger]\nurl = "postgresql://saf:s3cret@db/saf"\n')
    rows = list(shown_values(config))
    assert ("ledger", "url", "(hidden)", FILE) in rows
    assert "s3cret" not in str(rows)
    assert ("ledger", "url", "(not set)", "default") in list(shown_values(_parsed()))


# --- what may not be said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[promis]\n", ["no section [promis]", "did you mean 'promise'"]),
        ("[xyzzy]\n", ["no section [xyzzy]", "known: cluster, promise, registry"]),
        ("[[rules]]\n", ["no section [rules]", "did you mean 'rule'"]),
        (
            CLUSTER + "[promise]\ntarget_shar = 0.3\n",
            ["[promise]", "'target_shar'", "did you mean 'target_share'"],
        ),
        (CLUSTER + "[control]\nxyzzy = 1\n", ["[control]", "'xyzzy'", "known: mode, account"]),
        (CLUSTER + "[control]\nrecoverry = 1\n", ["[control]", "did you mean 'recovery'"]),
        ('[cluster]\nname = "x"\nNAME = "y"\n', ["[cluster]", "'NAME'"]),
        ("cluster = 5\n", ["[cluster] is not a section"]),
        ("[[cluster]]\nname = 'x'\n", ["[cluster] is not a section"]),
        ("[cluster]\n", ["[cluster] lacks name", "ClusterName"]),
        ("", ["[cluster] lacks name"]),
        ("name =", ["not TOML"]),
        ("[cluster]\nname = 'x'\nname = 'y'\n", ["not TOML"]),
    ],
)
def test_an_unknown_or_missing_name_is_told_with_its_file_and_the_nearest_known_one(
    text: str, parts: list[str]
) -> None:
    message = _refused(text)
    assert message.startswith(f"{FILE}: ")
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("section", "key", "value", "wants"),
    [
        ("cluster", "name", "5", "wants a text"),
        ("cluster", "name", '" "', "wants a text"),
        ("promise", "target_share", '"a quarter"', "wants a number between 0 and 1"),
        ("promise", "target_share", "25", "wants a number between 0 and 1"),
        ("promise", "target_share", "0", "wants a number between 0 and 1"),
        ("promise", "target_share", "1.0", "wants a number between 0 and 1"),
        ("promise", "target_share", "-0.25", "wants a number between 0 and 1"),
        ("promise", "target_share", "nan", "wants a number between 0 and 1"),
        ("promise", "target_share", "true", "wants a number between 0 and 1"),
        ("promise", "window", '"week"', "wants month, quarter"),
        ("promise", "window", '"2027Q1"', "wants month, quarter"),
        ("promise", "window", '"rolling:thirty"', "is not a duration"),
        ("promise", "window", '"rolling:0d"', "is not a duration"),
        ("promise", "window", "30", "wants a text"),
        ("promise", "time_zone", '"Europe/Groningen"', "wants a time zone"),
        ("promise", "time_zone", '"Europe"', "wants a time zone"),
        ("promise", "time_zone", '"../../etc/passwd"', "wants a time zone"),
        ("promise", "time_zone", f'"{"a" * 5000}"', "wants a time zone"),
        ("promise", "time_zone", "1", "wants a time zone"),
        ("promise", "resource", "5", 'wants "gres/gpu"'),
        ("promise", "resource", "{}", 'wants "gres/gpu"'),
        ("promise", "resource", '""', "wants a text"),
        ("promise", "resource", "{ cpu = 0 }", "wants weights above 0"),
        ("promise", "resource", "{ cpu = -1 }", "wants weights above 0"),
        ("promise", "resource", "{ cpu = nan }", "wants weights above 0"),
        ("promise", "resource", "{ cpu = inf }", "wants weights above 0"),
        ("promise", "resource", "{ cpu = true }", "wants weights above 0"),
        ("promise", "resource", '{ cpu = "1" }', "wants weights above 0"),
        ("promise", "resource", '{ "" = 1 }', "wants a text"),
        ("slurm", "timeout", "0", "wants a whole number above 0"),
        ("slurm", "timeout", "-60", "wants a whole number above 0"),
        ("slurm", "timeout", "1.5", "wants a text"),
        ("slurm", "timeout", "true", "wants a whole number above 0"),
        ("slurm", "timeout", '"soon"', "is not a duration"),
        ("slurm", "since", '"someday"', "is not an instant"),
        ("slurm", "since", '"yesterday"', "wants a date"),
        ("slurm", "since", "07:32:00", "is not an instant"),
        ("slurm", "since", '"now"', "wants a date"),
        ("slurm", "since", '"now-7days"', "wants a date"),
        ("slurm", "directory", "[]", "wants a text"),
        ("slurm", "source", '"rest"', "wants one of commands, pyslurm"),
        ("slurm", "source", "[]", "wants one of commands, pyslurm"),
        ("slurm", "rest_url", '"http://rest.example:6820"', "a port of this machine"),
        ("slurm", "rest_url", '"http://127.0.0.1:6820/slurm"', "a port of this machine"),
        ("slurm", "rest_url", '"unix:socket"', "wants unix:/PATH"),
        ("slurm", "python", "3", "wants"),
        ("control", "mode", '"force"', "wants one of observe, advise, enforce"),
        ("control", "mode", "[]", "wants one of observe, advise, enforce"),
        ("control", "writes_per_day", "1.0", "wants a whole number above 0"),
        ("control", "writes_per_day", "false", "wants a whole number above 0"),
        ("daemon", "listen", "9810", "wants a text"),
        ("daemon", "listen", '"9810"', "wants an address and a port"),
        ("daemon", "listen", '"localhost:http"', "wants an address and a port"),
        ("daemon", "listen", '"127.0.0.1:65536"', "wants an address and a port"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_section_and_key(
    section: str, key: str, value: str, wants: str
) -> None:
    cluster = "" if section == "cluster" else CLUSTER
    message = _refused(f"{cluster}[{section}]\n{key} = {value}\n")
    assert message.startswith(f"{FILE}: [{section}] {key} = ")
    assert wants in message


def test_a_secret_of_the_wrong_kind_is_not_repeated_in_the_message() -> None:
    message = _refused(f'{CLUSTER}[ledger]\nurl = ["postgresql://saf:s3cret@db/saf"]\n')
    assert "[ledger] url" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            '[ledger]\nurl = "postgresql:///saf"\nurl_file = "/run/url"\n',
            "[ledger] has both url and url_file",
        ),
        ('[control]\nlever = "qos"\nraised = 9\n', "[control] lever = qos needs qos and raised"),
        ('[control]\nlever = "partition"\npartition = "p"\n', "lever = partition needs partition and raised"),
        ("[control]\nshare_min = 0.9\nshare_max = 0.5\n", "[control] share_min is not below share_max"),
        ("[control]\nshare_min = 0.5\nshare_max = 0.5\n", "[control] share_min is not below share_max"),
        ("[control]\naccount = []\n", "wants a name or a list of names"),
        ('[control]\naccount = ["umcg", 7]\n', "wants a name or a list of names"),
        ('[control]\naccount = ["umcg", ""]\n', "wants a name or a list of names"),
        ('[control]\naccount = ["umcg", "rug", "umcg"]\n', "has a name twice"),
        (
            '[control]\naccount = ["umcg", "rug"]\nwrites_per_day = 1\n',
            "less than the accounts that one step",
        ),
        ("[control]\nshare_max = 0.26\n", "share_max leaves no room above target_share + margin"),
        ("[promise]\ntarget_share = 0.95\n", "share_max leaves no room"),
        ('[promise]\nwindow = "rolling:3d"\n', "recovery is not shorter than the window"),
        ('[promise]\nwindow = "rolling:30d"\n[control]\nrecovery = "30d"\n', "recovery is not shorter"),
        ('[promise]\ntime_zone = "Asia/Kolkata"\n', "[promise] time_zone"),
        ('[promise]\ntime_zone = "Australia/Lord_Howe"\nwindow = "month"\n', "[promise] time_zone"),
    ],
)
def test_values_that_contradict_each_other_are_told(text: str, part: str) -> None:
    message = _refused(CLUSTER + text)
    assert message.startswith(f"{FILE}: ")
    assert part in message


def test_recovery_only_has_to_be_shorter_than_a_rolling_window() -> None:
    assert _parsed('[promise]\nwindow = "rolling:73h"\n').control.recovery == 72 * HOUR
    assert _parsed('[control]\nrecovery = "400d"\n').control.recovery == 400 * 24 * HOUR


def test_a_zone_that_is_not_whole_hours_from_utc_may_be_used_with_a_rolling_window() -> None:
    text = '[promise]\ntime_zone = "Asia/Kolkata"\nwindow = "rolling:30d"\n'
    assert _parsed(text).promise.time_zone.key == "Asia/Kolkata"


# --- rules --------------------------------------------------------------------------------------------


def test_a_rule_has_dates_that_begin_at_civil_midnight_and_may_leave_the_rest_to_the_registry() -> None:
    region = '[registry]\nregion = ["GM0014"]\n'
    first, second = _parsed(
        AMSTERDAM
        + region
        + RULE
        + 'since = 2027-01-01\nuntil = "2027-07-01"\n[[rule]]\nbeneficiary = "registry"\n'
    ).rules
    assert (windows.iso(first.since), windows.iso(first.until)) == (
        "2026-12-31T23:00:00Z", "2027-06-30T22:00:00Z"
    )  # fmt: skip
    assert (second.beneficiary, second.conditions, second.since, second.until) == (None, {}, 0, FOREVER)


def test_dates_of_a_file_without_a_time_zone_are_not_moved_by_the_default() -> None:
    """A file from before UTC was the default: the term has the zone that its dates were in."""
    term = _parsed(AMSTERDAM).first_term()
    dated = RULE + "since = 2027-01-01\n"
    with pytest.raises(ConfigError, match=r'add under .promise.: time_zone = "Europe/Amsterdam"'):
        _parsed(dated).under(term)
    for text in (RULE, AMSTERDAM + dated, AMSTERDAM.replace("Amsterdam", "Berlin") + dated):
        assert _parsed(text).under(term).promise.time_zone.key == "Europe/Amsterdam"
    assert _parsed(RULE).contradicting(term) == ""


def test_a_registry_without_a_region_gets_the_line_to_add() -> None:
    assert 'region = "groningen-noord-drenthe"' in _refused(
        CLUSTER + RULE + '[[rule]]\nbeneficiary = "registry"\n'
    )


def test_the_region_is_a_shipped_list_or_codes() -> None:
    shipped = _parsed('[registry]\nregion = "groningen-noord-drenthe"\n').registry.region
    assert len(shipped) == 15
    assert {"GM0014", "GM1979", "GM0106", "GM1730"} <= shipped
    assert "GM0114" not in shipped, "Emmen is in the south of Drenthe"
    assert _parsed('[registry]\nregion = ["GM0772"]\n').registry.region == {"GM0772"}
    codes = _parsed('[registry]\nmunicipalities = { GM2001 = "New" }\n').codes({"a"})
    assert (codes.municipalities["GM2001"], codes.municipalities["GM0014"]) == ("New", "Groningen")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('region = "drenthe"', "no shipped list has this name; known: groningen-noord-drenthe"),
        ('region = ""', "no shipped list"),
        ('region = ["Groningen"]', "wants CBS codes"),
        ("region = 14", "wants CBS codes"),
        ('sectors = "care"', "wants a list of codes"),
        ('sectors = ["Care"]', "'Care' is not a code"),
        ('hubs = [""]', "'' is not a code"),
        ('municipalities = ["GM2001"]', "wants a table"),
        ('municipalities = { GM2001 = "" }', "wants a text"),
    ],
)
def test_words_of_the_registry_that_cannot_be_meant_are_refused(text: str, said: str) -> None:
    assert said in _refused(f"{CLUSTER}[registry]\n{text}\n")


def test_rules_of_another_file_take_the_place_of_ours(tmp_path: Path) -> None:
    ours = _parsed(RULE + "[promise]\ntime_zone = 'UTC'\n")
    alone, whole = tmp_path / "rules.toml", tmp_path / "whole.toml"
    alone.write_text(RULE + "since = 2027-01-01\n")
    whole.write_text(CLUSTER + "[promise]\ntime_zone = 'Europe/Amsterdam'\n" + alone.read_text())
    for file, since in ((alone, "2027-01-01T00:00:00Z"), (whole, "2026-12-31T23:00:00Z")):
        tried = with_rules_of(ours, file)
        assert windows.iso(tried.rules[0].since) == since
        assert (tried.cluster, tried.promise) == (ours.cluster, ours.promise)
    alone.write_text("[[rul]]\n")
    with pytest.raises(ConfigError, match=r"rules.toml: no section \[rul\]; did you mean 'rule'"):
        with_rules_of(ours, alone)


def test_rules_are_read_in_order_with_their_conditions_and_details() -> None:
    first, second = _parsed(
        """
        [[rule]]
        name = "care"
        beneficiary = "regional"
        account_subtree = "umcg"
        partition = ["gpu", "cpu"]
        organisation = "UMCG"
        category = "knowledge_institution"
        sector = "health"
        hub = "north"
        [[rule]]
        beneficiary = "non_regional"
        user = "eva"
        qos = ["low"]
        wckey = "x"
        account = "astro"
        """
    ).rules
    assert (first.name, first.beneficiary) == ("care", Beneficiary.REGIONAL)
    assert first.conditions == {
        "account_subtree": frozenset({"umcg"}),
        "partition": frozenset({"gpu", "cpu"}),
    }
    assert (first.organisation, first.category, first.sector, first.hub) == (
        "UMCG", "knowledge_institution", "health", "north"
    )  # fmt: skip
    assert (second.name, second.beneficiary) == ("rule 2", Beneficiary.NON_REGIONAL)
    assert second.conditions.keys() == {"user", "qos", "wckey", "account"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[rule]\nbeneficiary = "regional"\n', ["[[rule]]", "two brackets"]),
        ("rule = 5\n", ["[[rule]]"]),
        ("rule = [1]\n", ["rule 1", "[[rule]]"]),
        ('rule = ["a"]\n', ["rule 1", "[[rule]]"]),
        ("[slurm]\nsince = 1970-01-01\n", ["[slurm] since", "is too early: Slurm takes no instant before"]),
        (
            '[[rule]]\nbeneficiary = "regional"\nacount = "a"\n',
            ["rule 1", "'acount'", "did you mean 'account'"],
        ),
        ('[[rule]]\nbeneficiary = "regional"\n', ["rule 1 has no condition", "account_subtree, account"]),
        ('[[rule]]\naccount = "a"\n', ["rule 1", "beneficiary wants regional, non_regional or registry"]),
        ('[[rule]]\nbeneficiary = "unclassified"\naccount = "a"\n', ["beneficiary wants"]),
        ('[[rule]]\nbeneficiary = "Regional"\naccount = "a"\n', ["beneficiary wants"]),
        ('[[rule]]\nbeneficiary = 1\naccount = "a"\n', ["rule 1: beneficiary wants regional"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = "a"\nhub = 5\n', ["rule 1: hub wants a text"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = []\n', ["account wants a name or a list of names"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = ""\n', ["account wants a name"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = ["a", ""]\n', ["account wants a name"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = ["a", 5]\n', ["account wants a name"]),
        ('[[rule]]\nbeneficiary = "regional"\naccount = 5\n', ["account wants a name"]),
        ('[[rule]]\nname = "a"\nbeneficiary = "regional"\naccount = "a"\n' * 2, ["two rules are named 'a'"]),
        (
            '[[rule]]\nname = "rule 2"\nbeneficiary = "regional"\naccount = "a"\n'
            '[[rule]]\nbeneficiary = "regional"\naccount = "a"\n',
            ["two rules are named 'rule 2'"],
        ),
        (RULE + "since = 2027-01-01T12:00:00\n", ["rule 1: since = ", "wants a date such as 2027-01-01"]),
        (RULE + 'since = "yesterday"\n', ["rule 1: since = 'yesterday': wants a date"]),
        (RULE + 'since = "2027-02-30"\n', ["rule 1: since", "day is out of range"]),
        (RULE + "until = 5\n", ["rule 1: until = 5: wants a date"]),
        (RULE + "since = 2027-01-01\nuntil = 2027-01-01\n", ["rule 1: until is not after since"]),
        (
            RULE + "since = 2027-01-01\n[promise]\nwindow = 'rolling:30d'\ntime_zone = 'Asia/Kolkata'\n",
            ["rule 1: since", "does not begin on a whole UTC hour"],
        ),
        ('[[rule]]\nbeneficiary = "registry"\nsector = "care"\n', ["sector comes from the registry"]),
    ],
)
def test_a_rule_that_cannot_be_meant_is_told_by_its_number(text: str, parts: list[str]) -> None:
    message = _refused(text + CLUSTER)
    assert message.startswith(f"{FILE}: ")
    assert all(part in message for part in parts), message


# --- resources ----------------------------------------------------------------------------------------


def test_a_resource_may_be_a_table_of_weights() -> None:
    config = _parsed('[promise]\nresource = { cpu = 0.1, "gres/gpu" = 16 }\n')
    assert config.promise.resource.weights == {"cpu": Decimal("0.1"), "gres/gpu": 16}
    promise = config.promise_of()
    assert (promise.cluster, promise.resource.name) == ("habrok", "0.1*cpu+16*gres/gpu")
    assert (promise.target_share, promise.margin) == (0.25, 0.01)
    assert ("promise", "resource", "0.1*cpu+16*gres/gpu", FILE) in list(shown_values(config))


def test_a_promise_may_be_measured_in_another_resource() -> None:
    promise = _parsed().promise_of(Resource({"node": 1}))
    assert (promise.resource.name, promise.target_share) == ("node", 0.25)


# --- files --------------------------------------------------------------------------------------------


def test_a_file_is_loaded_and_named_as_the_origin(tmp_path: Path) -> None:
    path = tmp_path / "saf.toml"
    path.write_text(CLUSTER, encoding="utf-8")
    assert load_file(path).origins["cluster.name"] == load_file(path).file == str(path)


@pytest.mark.parametrize("content", [None, b'[cluster]\nname = "caf\xe9"\n'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "saf.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"saf\.toml (cannot be read|is not UTF-8)"):
        load_file(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_file(tmp_path)


def test_the_file_given_is_taken_else_the_one_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("/some/where.toml") == Path("/some/where.toml")
    Path("saf.toml").write_text(CLUSTER, encoding="utf-8")
    assert find(None) == Path("saf.toml")


def test_where_no_file_is_found_the_search_path_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if Path("/etc/slurm-ai-factory/saf.toml").exists():
        pytest.skip("this machine has a configuration of its own")
    with pytest.raises(ConfigError, match=r"no configuration found at saf\.toml and /etc/.*--config"):
        find(None)


def test_the_ledger_is_the_url_or_what_its_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://saf:s3cret@db/saf\n", encoding="utf-8")
    assert ledger_url(_parsed()) is None
    assert ledger_url(_parsed('[ledger]\nurl = "postgresql:///saf"\n')) == "postgresql:///saf"
    config = _parsed(f'[ledger]\nurl_file = "{path}"\n')
    assert ledger_url(config) == "postgresql://saf:s3cret@db/saf"
    assert "s3cret" not in str(list(shown_values(config)))


@pytest.mark.parametrize("content", [None, b"postgresql://\xff"])
def test_a_file_of_the_ledgers_url_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"\[ledger\] url_file .*url"):
        ledger_url(_parsed(f'[ledger]\nurl_file = "{path}"\n'))


# --- any text -----------------------------------------------------------------------------------------

literals = st.sampled_from(
    (
        "1", "0", "-1", "0.5", "nan", "inf", "-inf", "true", "0x10", "1e-400", "9" * 400, "9" * 5000,
        '""', '"x"', '"30d"', '"rolling:1h"', '"rolling:90d"', '"month"', '"year"', '"now"', '"advise"',
        '"Europe"', '"Asia/Kolkata"', '"\\u0000"', '"regional"', '"0001-01-01"', f'"{"z" * 300}"',
        "[]", "[1]", '["x"]', "[[1]]", "{}", "{ cpu = nan }", "{ cpu = 1e400 }", '{ "" = 1 }',
        "2027-01-01", "2027-01-01T00:00:00Z", "07:32:00",
    )
)  # fmt: skip
keys = st.sampled_from(
    [
        *(f"{name}.{one.name}" for name, kind in SECTIONS.items() for one in dataclasses.fields(kind)),
        "cluster", "promise", "rule", "unknown", "promise.unknown", "rule.account",
    ]
)  # fmt: skip
documents = st.lists(st.tuples(keys, literals), max_size=4, unique_by=lambda pair: pair[0]).map(
    lambda pairs: 'cluster.name = "c"\n' + "\n".join(f"{key} = {value}" for key, value in pairs)
)


def _config_or_sentence(text: str) -> Config | str:
    try:
        return parse_config(text, FILE)
    except ConfigError as error:
        return str(error)


@given(documents)
@example("a = " + "9" * 5000)
@example("a = " + "[" * 100_000)
@example("a = " + "{a=" * 50_000)
def test_any_toml_is_a_configuration_or_refused_in_one_sentence(text: str) -> None:
    found = _config_or_sentence(text)
    if isinstance(found, str):
        assert found.startswith(f"{FILE}: ")
    else:
        assert len(list(shown_values(found))) == len(found.origins)


@given(st.text() | st.text(alphabet="[]{}=\"'\n.#clusternamepo012 ", max_size=60))
def test_any_text_is_a_configuration_or_refused(text: str) -> None:
    _config_or_sentence(text)


fields: Any = st.dictionaries(
    st.sampled_from(("name", "beneficiary", "account", "user", "category", "colour")), literals, max_size=4
)


@given(st.lists(fields, max_size=3))
def test_any_rules_are_a_configuration_or_refused(rules: list[dict[str, str]]) -> None:
    blocks = ["[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in rule.items()) for rule in rules]
    _config_or_sentence("".join(blocks) + CLUSTER)


def test_one_or_several_accounts_are_steered() -> None:
    one, several = (
        f'[cluster]\nname = "c"\n[control]\naccount = {said}\n' for said in ('"umcg"', '["rug", "umcg"]')
    )
    assert parse_config(one, FILE).policy(60).accounts == ("umcg",)
    assert parse_config(several, FILE).policy(60).accounts == ("rug", "umcg")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_that_may_not_be_read_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "saf.toml"
    file.write_text("")
    tmp_path.chmod(0o700)
    monkeypatch.setattr(sys.modules[find.__module__], "SEARCH_PATH", (file,))
    os.seteuid(1)
    try:
        for ask in (lambda: find(None), lambda: load_file(file)):
            with pytest.raises(ConfigError, match="permission denied; run saf as the daemon's user"):
                ask()
    finally:
        os.seteuid(0)
