"""The dashboards: what the code says, what Grafana's schema knows, and laid out so that nothing overlaps."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import generate
from deploy.grafana.panels import BAD, GOOD
from tests.docs.markdown import ROOT

FOLDER = ROOT / "deploy" / "grafana"
ROW, ABOVE = 38, 120
"""Pixels: a row of Grafana's grid with its gap, and what is above the panels (navigation, variables)."""
DASHBOARDS: dict[str, dict[str, Any]] = {
    uid: json.loads((FOLDER / "dashboards" / f"{uid}.json").read_text()) for uid in generate.DASHBOARDS
}
register_default_plugins()
every = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def read_back(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The dashboard as the types of Grafana's schema have it: what they do not know is gone."""
    found: dict[str, Any] = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    return found


def schema_only(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Without the one key that is the data source's own."""
    copy: dict[str, Any] = json.loads(json.dumps(dashboard))
    for annotation in copy["annotations"]["list"]:
        del annotation["titleFormat"]
    return copy


def test_the_files_are_what_the_code_says() -> None:
    assert generate.stale() == [], "run: python -m deploy.grafana.generate"


@every
def test_grafanas_schema_knows_all_of_it(dashboard: dict[str, Any]) -> None:
    assert read_back(schema_only(dashboard)) == schema_only(dashboard)


@every
def test_what_the_schema_does_not_know_is_found_out(dashboard: dict[str, Any]) -> None:
    wrong = schema_only(dashboard)
    wrong["panels"][0]["fieldConfig"]["defaults"]["decimal"] = 2
    assert read_back(wrong) != wrong


@every
def test_every_panel_says_why_it_is_empty(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
            assert "unit" in panel["fieldConfig"]["defaults"] or panel["type"] == "state-timeline"


@every
def test_panels_fill_the_rows_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= generate.COLUMNS
        taken |= cells
    bottom = max(y for _, y in taken) + 1
    assert len(taken) == generate.COLUMNS * bottom, "a hole"


@every
def test_the_data_source_is_chosen_and_nothing_is_fixed_to_one_site(dashboard: dict[str, Any]) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names[:2] == ["datasource", "cluster"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
            assert "$window" not in target["expr"] or "window" in names
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@every
def test_titles_fit_their_panels_at_1280_pixels(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert len(panel["title"]) <= panel["gridPos"]["w"] * 53 / 8, panel["title"]


def test_the_promise_fits_a_wall_display_and_its_first_row_has_what_a_wall_is_for() -> None:
    """1920 by 1080 pixels, with Grafana's bars above the panels; nobody scrolls on a wall."""
    places = {panel["title"]: panel["gridPos"] for panel in DASHBOARDS["saf-promise"]["panels"]}
    assert max(ABOVE + (place["y"] + place["h"]) * ROW for place in places.values()) <= 1080
    first = {title for title, place in places.items() if place["y"] == 0}
    assert {"Share of the region", "Verdict", "Floor at risk", "Within reach"} <= first


@every
def test_a_state_is_a_word_for_one_series_and_never_a_sum_of_codes(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            if re.search("saf_(verdict|mode|hold|failure)", target["expr"]):
                assert not re.search(r" \+ |\bsum\b", target["expr"]), panel["title"]


@every
def test_bars_have_names_and_no_fixed_decimals(dashboard: dict[str, Any]) -> None:
    """A small site's sector is 0.04 %, and not 0.0 %."""
    for panel in dashboard["panels"]:
        if panel["type"] == "bargauge":
            assert [target["legendFormat"] for target in panel["targets"]] == ["{{name}}"]
            assert "decimals" not in panel["fieldConfig"]["defaults"]


def test_what_a_rolling_window_does_not_have_is_a_word() -> None:
    panels = {panel["title"]: panel for panel in DASHBOARDS["saf-promise"]["panels"]}
    for title in ("Within reach", "Expected at the end", "Required from now on", "Rest of the window"):
        (words,) = panels[title]["fieldConfig"]["defaults"]["mappings"]
        assert words["options"]["-1"]["text"] == "rolls on, has no end"
        assert 'window=~"rolling:.*"' in panels[title]["targets"][0]["expr"]


def test_the_share_turns_colour_at_the_floor() -> None:
    (panel,) = (one for one in DASHBOARDS["saf-promise"]["panels"] if one["title"] == "Share of the region")
    colors = {
        override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
    }
    sides = {target["expr"].split(") ")[1].split()[0]: target["legendFormat"] for target in panel["targets"]}
    assert [colors[sides[side]] for side in (">=", "<")] == [GOOD, BAD]


def test_there_is_provisioning_for_them() -> None:
    providers = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "saf.yml").read_text())
    assert providers["apiVersion"] == 1
    assert providers["providers"][0]["type"] == "file"
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "saf.yml").read_text())
    assert sources["datasources"][0]["type"] == "prometheus"
