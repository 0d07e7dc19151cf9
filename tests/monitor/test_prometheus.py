"""A real Prometheus scrapes the daemon: every expression of every panel, rule and alert has an answer."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana import generate
from docs import generate as docs
from slurm_ai_factory.core import windows
from tests import browser
from tests.cluster.processes import wait_until
from tests.docs import markdown
from tests.monitor.conftest import Lived, Served
from tests.monitor.model import CLUSTER, DAY, START
from tests.monitor.prometheus import Prometheus, alerts, promtool, rules
from tests.monitor.prometheus import prometheus as started
from tests.monitor.sheet import Sheet, substituted

WINDOW = "2026Q3"
VARIABLES = {"cluster": CLUSTER, "window": WINDOW}
SOMETIMES = {"Ledger differs by", "Authority of shares"}
"""After a midnight of the daemon's, and while jobs of both sides wait; the live daemon has had both."""
COMPARED = re.compile(r" (==|!=|<|>|<=|>=) (?=[^}]*(?:$|[a-z(0-9]))")
DASHBOARDS = {uid: generate.dashboard(uid) for uid in generate.DASHBOARDS}


def panels() -> Iterator[tuple[str, str]]:
    """(where, expression) of every query of every panel and annotation."""
    for uid, dashboard in DASHBOARDS.items():
        for annotation in dashboard["annotations"]["list"]:
            yield f"{uid}: {annotation['name']}", annotation["expr"]
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{uid}: {panel['title']}: {target['legendFormat']}", target["expr"]


def expressions() -> Iterator[tuple[str, str]]:
    """(name, expression) of every rule."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]


def unfiltered(expr: str) -> str:
    """An alert's expression that answers 0 or 1 where it would answer nothing or something.

    >>> unfiltered('a{b!="c"} == 1 and on (d) e > 0')
    'a{b!="c"} == bool 1 and on (d) e > bool 0'
    """
    return COMPARED.sub(r" \1 bool ", expr)


OF_A_SWITCH = {"Switch", "Usage that moves the switch"}
"""Panels without data here, where accounts are steered; tests/monitor/test_month.py has the metrics."""
OF_SEVERAL = {"Joint promises"}
"""The same of the life on the model, which has one cluster and no joint promise; the live daemon has one."""
OF_THE_GRID = {panel["title"] for panel in DASHBOARDS["saf-grid"]["panels"]}
"""The same of a cluster without meters of its connection."""


def numbers(scraping: Prometheus, expr: str) -> list[float]:
    """The values that an expression had in the last minute, without those that are none."""
    now = time.time()
    series = scraping.over(expr, now - 60, now, 2)
    values = [float(value) for one in series for _, value in one["values"]]
    return [value for value in values if isfinite(value)]


def test_every_panel_has_data(scraping: Prometheus) -> None:
    empty = [
        where for where, expr in panels() if not numbers(scraping, unfiltered(substituted(expr, VARIABLES)))
    ]
    assert {where.split(": ")[1] for where in empty} == OF_A_SWITCH | OF_THE_GRID


def test_every_rule_has_data(scraping: Prometheus) -> None:
    empty = {name for name, expr in expressions() if not numbers(scraping, unfiltered(expr))}
    of_the_grid = {"SafGridLimitNear", "SafGridExceeded", "SafGridHolds", "SafWaterUsed"}
    of_node_exporter = {"SafUnitFailed", "SafTimerLate"}
    assert empty == of_node_exporter | of_the_grid | {"SafSwitchLeftRaised"}


def test_the_variables_find_the_cluster_and_the_window(scraping: Prometheus) -> None:
    assert scraping.api("label/cluster/values", **{"match[]": "saf_cycles_total"}) == [CLUSTER]
    assert scraping.api("label/window/values", **{"match[]": "saf_target_share_ratio"}) == [WINDOW]


def test_the_rules_are_loaded_and_healthy(scraping: Prometheus) -> None:
    loaded = [rule for group in scraping.api("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {name for name, _ in expressions()}
    assert {rule["health"] for rule in loaded} <= {"ok", "unknown"}, loaded


def test_no_alert_fires_at_the_end_of_two_good_weeks(lived: Lived, remembering: Prometheus) -> None:
    """Except that the model's guests are in no rule, and that no timer replaces its old names."""
    lasting = "count_over_time(({expr})[{length}:5m]) >= {seconds} / 300"
    firing = set()
    for name, rule in alerts().items():
        length = rule.get("for", "5m")
        expr = lasting.format(expr=rule["expr"], length=length, seconds=windows.duration(length))
        firing |= {name} if remembering.query(expr, lived.now) else set()
    assert firing == {"SafUnclassified", "SafRetentionOverdue"}


def test_every_metric_is_documented(scraping: Prometheus) -> None:
    scraped = {
        name for name in scraping.api("label/__name__/values") if name.startswith(("saf_", "process_"))
    }
    documented = set(markdown.spans(docs.page("metrics.md")))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in scraped} - documented == set()


def test_what_the_dashboards_name_is_exported() -> None:
    documented = set(markdown.spans(docs.page("metrics.md")))
    recorded = {name for name, _ in expressions() if ":" in name}
    for where, expr in [*panels(), *expressions()]:
        named = set(re.findall(r"\b(saf[_:][a-z0-9_:]+|process_[a-z_]+)", expr))
        known = {re.sub("_bucket$", "", name) for name in named} <= documented | recorded
        assert known, f"{where}: {named - documented - recorded}"


def test_the_scraped_page_has_no_lint(daemon: Served, scraping: Prometheus) -> None:
    up = f'up{{instance="{daemon.address}"}} == 1'
    wait_until(lambda: scraping.knows(up), up, 120)  # a scrape that took longer than a second was none
    with urllib.request.urlopen(f"http://{daemon.address}/metrics", timeout=120) as answer:
        text = answer.read().decode()
    done = promtool("check", "metrics", stdin=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_is_drawn(
    lived: Lived, remembering: Prometheus, pictures: Path, tmp_path: Path, uid: str, width: int
) -> None:
    days = {"saf-control": 7, "saf-grid": 7, "saf-service": 1}
    since = lived.now - days[uid] * DAY if uid in days else START
    sheet = Sheet(remembering, VARIABLES, since, lived.now, width)
    drawn = draw(sheet, DASHBOARDS[uid], tmp_path, pictures / f"{uid}-{width}.png")
    empty = set(re.findall(r'<section[^>]*><h2>([^<]*)</h2><div class="none">', drawn))
    assert empty <= SOMETIMES | OF_A_SWITCH | OF_THE_GRID | OF_SEVERAL


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_fresh_install_says_why_there_is_nothing(
    pictures: Path, tmp_path: Path, fresh: Prometheus, uid: str
) -> None:
    sheet = Sheet(fresh, VARIABLES, START, START + DAY, 1280)
    drawn = draw(sheet, DASHBOARDS[uid], tmp_path, pictures / f"{uid}-fresh.png")
    assert re.findall(r'<div class="none">([^<]*)</div>', drawn)
    assert '<div class="none"></div>' not in drawn


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has never seen saf."""
    if reason := browser.unavailable():
        pytest.skip(reason)
    with started(tmp_path_factory.mktemp("fresh")) as found:
        yield found


def draw(sheet: Sheet, dashboard: dict[str, Any], scratch: Path, file: Path) -> str:
    """Leave a picture for people; the page it was made of."""
    text = sheet.page(dashboard)
    page = scratch / "sheet.html"
    page.write_text(text)
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    browser.picture(page.as_uri(), file, sheet.width, rows * 38 + 60)
    assert json.dumps(dashboard["title"])[1:-1] in text
    return text
