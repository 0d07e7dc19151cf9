"""The report in a real Chromium: nothing cut off, no missing letter, contrast, and how it prints on A4."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.cli.report import NOTE_CHARACTERS
from slurm_ai_factory.report import LANGUAGES, report_html
from tests import browser, facility
from tests.report.test_language import speech
from tests.report.year import Year

pages = pytest.mark.parametrize(("window", "code"), [(w, c) for w in facility.QUARTERS for c in LANGUAGES])
DESKTOP, PHONE = 1000, 390

CUT_OFF = """
const cut = [];
for (const e of document.querySelectorAll('body *:not(svg *)')) {
  if (e.matches('.skip, svg, script, pre') || e.closest('.scroll') && LIMIT < 700) continue;
  if (e.clientWidth && e.scrollWidth > e.clientWidth + 1)
    cut.push(e.tagName + ': ' + e.textContent.slice(0, 60));
}
if (document.documentElement.scrollWidth > window.innerWidth) cut.push('page');
for (const t of document.querySelectorAll('svg text')) {
  const b = t.getBBox(), v = t.ownerSVGElement.viewBox.baseVal;
  if (b.x < -1 || b.y < -1 || b.x + b.width > v.width + 1 || b.y + b.height > v.height + 1)
    cut.push('svg: ' + t.textContent);
}
return cut;
"""
OVERLAPS = """
const found = [];
for (const s of document.querySelectorAll('svg[role=img]')) {
  const ts = [...s.querySelectorAll('text')].filter(t => t.textContent).map(t => [t, t.getBBox()]);
  ts.forEach(([t, a], n) => ts.slice(n + 1).forEach(([u, b]) => {
    if (a.x < b.x + b.width && b.x < a.x + a.width && a.y + 2 < b.y + b.height && b.y + 2 < a.y + a.height)
      found.push(t.textContent + ' / ' + u.textContent);
  }));
}
return found;
"""
MISSING = """
const words = [...document.querySelectorAll('svg text')].map(t => t.textContent);
const text = document.body.innerText + words.join('');
const canvas = document.createElement('canvas'), pen = canvas.getContext('2d', {willReadFrequently: true});
canvas.width = canvas.height = 40;
function drawn(sign) {
  pen.clearRect(0, 0, 40, 40); pen.font = '24px ' + getComputedStyle(document.body).fontFamily;
  pen.fillText(sign, 5, 30);
  return pen.getImageData(0, 0, 40, 40).data.join();
}
const box = drawn('\\u{10FFFE}');
const bad = [...new Set(text)].filter(sign => sign.trim() && (drawn(sign) === box || sign === '\\uFFFD'));
return ({bad, seen: new Set(text).size, box: drawn('\\u{10FFFD}') === box && drawn('a') !== box});
"""
CONTRAST = """
function part(c) { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }
function light(rgb) { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number);
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); }
function ground(e) { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; }
const low = [];
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  if (e.matches('script, pre')) continue;
  const style = getComputedStyle(e), b = light(ground(e));
  const a = light(e.ownerSVGElement ? style.fill : style.color);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) low.push(e.tagName + ' ' + ratio.toFixed(2) + ': ' + e.textContent.slice(0, 40));
}
return low;
"""


@pytest.fixture(scope="session")
def folder(made: Year, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of all four reports."""
    folder = tmp_path_factory.mktemp("pages")
    labels = made.config.codes(()).municipalities
    for window, report in made.reports.items():
        for code in LANGUAGES:
            (folder / f"{window}.{code}.html").write_text(report_html(report, code, labels), encoding="utf-8")
    return folder


def looked_at(seen: browser.Chromium, page: Path, width: int, **scripts: str) -> Any:
    """What each script returns on a page, by its name."""
    seen.open(page.as_uri(), width)
    parts = [f"{name}: (() => {{ {script} }})()" for name, script in scripts.items()]
    return seen.run(f"({{ {', '.join(parts)} }})")


@pages
def test_the_page_is_whole_and_can_be_read(
    folder: Path, seen: browser.Chromium, window: str, code: str
) -> None:
    """Nothing cut off, no label over another, no letter missing; contrast as WCAG 2.2, 1.4.3: 4.5 to 1."""
    found = looked_at(
        seen, folder / f"{window}.{code}.html", DESKTOP, cut=CUT_OFF.replace("LIMIT", str(DESKTOP)),
        overlaps=OVERLAPS, letters=MISSING, low=CONTRAST,
    )  # fmt: skip
    assert found["letters"]["box"], "a missing letter is not told from others here"
    assert found["letters"]["seen"] > 50
    assert found["letters"]["bad"] == []
    assert (found["cut"], found["overlaps"], found["low"]) == ([], [], [])


@pages
def test_the_page_fits_a_phone(folder: Path, seen: browser.Chromium, window: str, code: str) -> None:
    page = folder / f"{window}.{code}.html"
    assert looked_at(seen, page, PHONE, cut=CUT_OFF.replace("LIMIT", str(PHONE))) == {"cut": []}


@pytest.mark.parametrize("view", browser.VIEWS, ids=lambda view: f"{view[0]}-{view[3]}")
@pytest.mark.parametrize("code", LANGUAGES)
def test_axe_finds_nothing_wrong(
    folder: Path, axe: browser.Chromium, code: str, view: tuple[str, int, str, str]
) -> None:
    """Also with every fold of the page open."""
    _, width, media, scheme = view
    axe.open((folder / f"2027Q3.{code}.html").as_uri(), width, media=media, scheme=scheme)
    axe.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert axe.violations() == []


def test_axe_finds_what_is_wrong(axe: browser.Chromium, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text(BROKEN, encoding="utf-8")
    axe.open(page.as_uri(), DESKTOP)
    rules = {found.partition(":")[0] for found in axe.violations()}
    assert {"color-contrast", "document-title", "svg-img-alt"} <= rules


BROKEN = """<!DOCTYPE html><html lang="nl"><body style="font: 16px sans-serif">
<p style="width: 40px; white-space: nowrap">een regel die niet past</p>
<p style="color: #aaa">lichtgrijs</p><p>&#x10FFFE;</p>
<svg role="img" viewBox="0 0 100 100" width="100"><text x="90" y="50">te lang voor hier</text>
<text x="92" y="52">eroverheen</text></svg></body></html>"""


def test_a_page_that_is_not_right_is_found_out(seen: browser.Chromium, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text(BROKEN, encoding="utf-8")
    cut = CUT_OFF.replace("LIMIT", "1000")
    found = looked_at(seen, page, DESKTOP, cut=cut, low=CONTRAST, overlaps=OVERLAPS, letters=MISSING)
    assert found["cut"] == ["P: een regel die niet past", "svg: te lang voor hier", "svg: eroverheen"]
    assert [low.partition(": ")[2] for low in found["low"]] == ["lichtgrijs"]
    assert found["overlaps"] == ["te lang voor hier / eroverheen"]
    assert found["letters"]["bad"] == ["\U0010fffe"]


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext is missing: install poppler-utils")
@pytest.mark.parametrize("code", LANGUAGES)
def test_it_prints_on_a4(folder: Path, seen: browser.Chromium, tmp_path: Path, code: str) -> None:
    file = tmp_path / "report.pdf"
    seen.printed((folder / f"2027Q3.{code}.html").as_uri(), file)
    about = subprocess.run(["pdfinfo", file], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "(A4)" in about
    (count,) = re.findall(r"Pages: +(\d+)", about)
    assert 5 <= int(count) <= 15
    text = "\f".join(sheets(file))
    assert re.search(rf"{count} ?/ ?{count}", text), "every page has its number"
    assert {"nl": "niet nagekomen", "en": "not kept"}[code] in text
    say = speech(code).say
    for heading, figure in (
        ("trend.heading", "trend"),
        ("trend.weeks", "weeks"),
        ("demand.heading", "waiting"),
    ):
        caption = say(f"charts.{figure}", window=speech(code).window("2027Q3"), unit=say("unit.gres/gpu"))
        (sheet,) = (sheet for sheet in sheets(file) if caption in sheet)
        assert say(heading) in sheet, "a chart is on the page of its heading"
    assert "\ufffd" not in text


def sheets(file: Path) -> list[str]:
    """The text of each page of a PDF."""
    argv = ["pdftotext", "-layout", str(file), "-"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split("\f")


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext is missing: install poppler-utils")
@pytest.mark.parametrize("code", LANGUAGES)
def test_page_one_has_the_answer_with_the_longest_response_and_page_two_the_trend(
    made: Year, seen: browser.Chromium, tmp_path: Path, code: str
) -> None:
    note = "Sturing en vraag " * 34 + "tot het laatste woord."
    assert NOTE_CHARACTERS - 20 < len(note) <= NOTE_CHARACTERS
    file = tmp_path / "report.html"
    report = replace(made.reports["2027Q3"], note=note)
    file.write_text(report_html(report, code, made.config.codes(()).municipalities), encoding="utf-8")
    seen.printed(file.as_uri(), tmp_path / "report.pdf")
    first, second = sheets(tmp_path / "report.pdf")[:2]
    say = speech(code).say
    assert "laatste" in first
    assert say("title.contents") not in first
    assert say("title.contents") in second
    assert say("charts.trend") in second


@pytest.mark.skipif(bool(browser.unavailable()), reason=browser.unavailable() or "")
def test_it_looks_like_something(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.png"
    said = browser.picture(
        (folder / "2027Q3.nl.html").as_uri(), file, DESKTOP, 1400, "--enable-logging=stderr"
    )
    assert file.stat().st_size > 50_000, "a page that is drawn is no small picture"
    assert "CONSOLE" not in said


# -- without a browser ----------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Headings, pictures and what a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tables: list[list[str]] = []
        self.wanted: list[str] = []
        self.language = ""
        self.named: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said: dict[str, Any] = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "html":
            self.language = said["lang"]
        if tag == "table":
            self.tables.append([])
        if tag in ("caption", "th") and self.tables:
            self.tables[-1].append(said.get("scope", tag))
        if tag == "svg" and said.get("role") == "img":
            self.named += said["aria-labelledby"].split()
        self.ids += [said["id"]] if "id" in said else []
        self.links += [said["href"]] if "href" in said else []
        self.wanted += [said["src"]] if "src" in said else []


@pages
def test_the_page_stands_alone_and_can_be_heard(folder: Path, window: str, code: str) -> None:
    text = (folder / f"{window}.{code}.html").read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.language == code
    assert outline.wanted == []
    assert not re.search(r"@import|url\((?!#)|<link|<script|https?:", text), "it asks for something elsewhere"
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert len(outline.named) == 16, "a bar and three charts in two sizes, each with title and description"
    assert set(outline.named) <= set(outline.ids)
    region = '<div class="scroll" role="region" tabindex="0" aria-labelledby="'
    assert text.count(region) == len(outline.tables), "a table that scrolls can be reached with the keyboard"
    assert all("caption" in table and "col" in table and "row" in table for table in outline.tables)
