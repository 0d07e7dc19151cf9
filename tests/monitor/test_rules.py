"""The rules for Prometheus: promtool accepts them, every alert fires and stays silent, and has a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs import markdown
from tests.docs.markdown import ROOT
from tests.monitor.prometheus import RULES, alerts, promtool, unavailable

FOLDER = RULES.parent
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
ALERTS = alerts()
MKDOCS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
RUNBOOK = markdown.read(ROOT / "docs" / "howto" / "alerts.md")
needs_promtool = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@needs_promtool
def test_the_rules_do_what_their_tests_say() -> None:
    done = promtool("test", "rules", "rules_test.yml", cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_an_alert_that_no_longer_fires_is_found_out(tmp_path: Path) -> None:
    """The tests are worth something: with the alerts' expressions emptied they fail, each by its name."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule):
        rule["expr"] = "vector(0) > 1"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "rules_test.yml").write_text((FOLDER / "rules_test.yml").read_text())
    done = promtool("test", "rules", "rules_test.yml", cwd=tmp_path)
    assert done.returncode == 1
    assert {alert for alert in ALERTS if f"alertname: {alert}," in done.stdout + done.stderr} == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_both_ways(alert: str) -> None:
    expected = [
        bool(one["exp_alerts"])
        for test in TESTS
        for one in test.get("alert_rule_test", [])
        if one["alertname"] == alert
    ]
    assert {*expected} == {False, True}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_links_to_its_runbook_on_the_site(alert: str) -> None:
    """An address that a person can click, of a page that the site has, with an anchor that the page has."""
    (address,) = re.findall(r'^extra: {address: "(https://.+/)"}', MKDOCS, re.MULTILINE)
    assert "use_directory_urls: false" in MKDOCS, "pages of the site end in .html"
    url = ALERTS[alert]["annotations"]["runbook_url"]
    assert url == f"{address}howto/alerts.html#{alert.lower()}"
    assert alert.lower() in markdown.anchors(RUNBOOK)


@pytest.mark.parametrize("alert", ALERTS)
def test_what_may_wait_till_morning_never_pages(alert: str) -> None:
    """Routes usually page for `critical`; the page says of each alert until when it may wait."""
    severity = ALERTS[alert]["labels"]["severity"]
    urgent = parts(alert)["Urgent?"]
    waits = {"warning": "No. It can wait until the next working day", "info": "No. It can wait a week"}
    assert urgent.startswith(waits[severity])


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_has_its_five_parts(alert: str) -> None:
    found = parts(alert)
    assert list(found) == ["Urgent?", "Meaning.", "commands", "Done when", "Escalate."]
    assert all(found.values())
    commands = found["commands"].splitlines()
    assert len(commands) == 3
    for command in commands:
        assert re.match(
            "(sudo -u slurm-ai-factory|[a-z]+ctl|sacct|sacctmgr|scontrol|squeue|sprio|curl|df)\\b", command
        )


def parts(alert: str) -> dict[str, str]:
    """The parts of an alert's section, by their bold words; its block of commands among them."""
    section = re.split(r"^##+ ", RUNBOOK.partition(f"\n### {alert}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    pieces = re.split(r"^(?:\*\*([^*]+)\*\*|```(?:sh\n)?)", section, flags=re.MULTILINE)[1:]
    named = zip(pieces[::2], pieces[1::2], strict=True)
    return {name or "commands": text.strip() for name, text in named if text.strip()}


def test_every_runbook_has_an_alert() -> None:
    found = markdown.anchors(RUNBOOK)
    assert {one for one in found if one.startswith("saf")} == {alert.lower() for alert in ALERTS}
