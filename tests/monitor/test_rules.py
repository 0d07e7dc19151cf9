"""The rules for Prometheus: promtool accepts them, every alert fires and stays silent, and has a runbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs import markdown
from tests.docs.markdown import ROOT
from tests.monitor.prometheus import RULES, promtool, unavailable

FOLDER = RULES.parent
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
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
    assert sorted(expected) == [False, True]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_runbook_and_a_severity(alert: str) -> None:
    rule = ALERTS[alert]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == alert.lower()
    assert anchor in markdown.anchors(markdown.read(ROOT / page))
    assert rule["labels"]["severity"] in ("warning", "critical")


def test_every_runbook_has_an_alert() -> None:
    found = markdown.anchors(markdown.read(ROOT / "docs" / "howto" / "alerts.md"))
    assert {one for one in found if one.startswith("saf")} == {alert.lower() for alert in ALERTS}
