"""The status page in a real Chromium: phone, laptop, wall, light, dark; quiet, and alone on the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_ai_factory.language import LANGUAGES
from slurm_ai_factory.monitor import page
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.joint import JointShown
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.monitor.overview import overview_html
from slurm_ai_factory.monitor.web import PageText, serving
from tests import browser
from tests.monitor import examples
from tests.monitor.conftest import Lived

SIZES = {"phone": (390, 1900), "laptop": (1280, 1400), "screen": (1920, 1080), "wall": (2560, 1440)}
SCHEMES = {"light": "1", "dark": "0"}
BESIDE = (
    "[...document.querySelectorAll('main *')].filter(e => !e.closest('svg') && "
    "e.getBoundingClientRect().right > document.documentElement.clientWidth).map(e => e.textContent)"
)
"""What lies beside the page."""
CODES = {"light": "en", "dark": "nl"}
STATES = {
    "fresh": Board("c"),
    "failed": examples.failed(),
    "held": examples.held("no_account"),
    "promised": examples.complete(further=examples.FURTHER),
    "standby": examples.standby(),
}


JOINT = (
    examples.JOINT,
    JointShown("every-cluster", None, error="joint promise every-cluster counts cluster a"),
)


def page_of(board: Board) -> PageText:
    return lambda code: page.status_html(board, examples.NOW + 600, code=code)


PAGES: dict[str, PageText] = {
    **{name: page_of(board) for name, board in STATES.items()},
    "several": lambda code: overview_html(list(STATES.values()), examples.NOW + 600, code=code, joint=JOINT),
    "joint": lambda code: page.status_html(STATES["promised"], examples.NOW + 600, code=code, joint=JOINT),
}


@pytest.fixture(scope="module")
def address(lived: Lived) -> Iterator[str]:
    """Where the page of two weeks on the model is served."""
    with serving(
        "127.0.0.1:0",
        {"/": lambda code: page.status_html(lived.board, lived.now, code=code)},
        Exposition(lived.board).text,
        {},
    ) as web:
        yield f"http://127.0.0.1:{web.port}/"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_quiet_and_alone(
    address: str, pictures: Path, tmp_path: Path, size: str, scheme: str
) -> None:
    log = tmp_path / "net.json"
    said = browser.picture(
        f"{address}?lang={CODES[scheme]}", pictures / f"status-{size}-{scheme}.png", *SIZES[size],
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--log-net-log={log}",
        "--enable-logging=stderr",
    )  # fmt: skip
    assert "CONSOLE" not in said, said
    assert requested(log, "http://127.0.0.1") == {f"{address}?lang={CODES[scheme]}"}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_lies_beside_the_page(address: str, seen: browser.Chromium, size: str, code: str) -> None:
    """In Dutch the names of figures are longer; they used to push the figures off a phone."""
    seen.open(f"{address}?lang={code}", SIZES[size][0])
    assert seen.run(BESIDE) == []


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("state", ["several", "joint"])
def test_joint_promises_and_clusters_fit_a_phone(seen: browser.Chromium, state: str, code: str) -> None:
    with serving("127.0.0.1:0", {"/": PAGES[state]}, Exposition().text, {}) as web:
        seen.open(f"http://127.0.0.1:{web.port}/?lang={code}", SIZES["phone"][0])
        assert seen.run(BESIDE) == []


def requested(log: Path, site: str) -> set[str]:
    """Every address that a page of the site asked for, from Chromium's own log of the network."""
    text = log.read_text().rstrip()
    found = json.loads(text if text.endswith("}") else text.rstrip(",") + "]}")
    kind = found["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = (event["params"] for event in found["events"] if event["type"] == kind and "params" in event)
    return {
        one["url"]
        for one in asked
        if one.get("network_isolation_key", "").startswith(site) and not one["url"].startswith("data:")
    }


@pytest.mark.parametrize("state", PAGES)
def test_other_states_are_drawn(pictures: Path, state: str) -> None:
    with serving("127.0.0.1:0", {"/": PAGES[state]}, Exposition().text, {}) as web:
        url = f"http://127.0.0.1:{web.port}/"
        said = browser.picture(url, pictures / f"status-{state}.png", 1280, 1100, "--enable-logging=stderr")
    assert "CONSOLE" not in said, said


@pytest.mark.parametrize("view", browser.VIEWS, ids=lambda view: f"{view[0]}-{view[3]}")
def test_axe_finds_nothing_wrong(
    address: str, axe: browser.Chromium, view: tuple[str, int, str, str]
) -> None:
    _, width, media, scheme = view
    axe.open(address, width, media=media, scheme=scheme)
    assert axe.violations() == []


@pytest.mark.parametrize("state", PAGES)
def test_axe_finds_nothing_wrong_in_other_states(axe: browser.Chromium, state: str) -> None:
    with serving("127.0.0.1:0", {"/": PAGES[state]}, Exposition().text, {}) as web:
        axe.open(f"http://127.0.0.1:{web.port}/", 1280)
        assert axe.violations() == []


@pytest.mark.usefixtures("pictures")
def test_the_console_is_heard(tmp_path: Path) -> None:
    """The tests above are worth something: a page that complains is heard."""
    bad = tmp_path / "bad.html"
    bad.write_text("<script>console.error('ouch'); fetch('http://127.0.0.1:9/elsewhere')</script>")
    log = tmp_path / "net.json"
    said = browser.picture(
        bad.as_uri(), tmp_path / "bad.png", 300, 200, f"--log-net-log={log}", "--enable-logging=stderr"
    )
    assert "ouch" in said
    assert "http://127.0.0.1:9/elsewhere" in requested(log, "file://")
