"""Text that was made to harm whoever looks at it, in each place where it is shown."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import escaped

ANY = st.text(st.characters())
"""Lone surrogates, too: what is no UTF-8 in a file name or an argument arrives as such."""


@given(ANY)
def test_a_line_holds_nothing_that_is_not_seen_and_is_not_escaped_twice(text: str) -> None:
    shown = escaped.for_terminal(text)
    assert not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in shown)
    assert escaped.for_terminal(shown) == shown
    shown.encode()


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert escaped.for_terminal(text) == text


@pytest.mark.parametrize(
    "sign",
    ["\0", "\t", "\r", "\n", "\x1b", "\x7f", "\x9b", "\u200b", "\u200d", "\u200e", "\u2028", "\u202a",
     "\u202e", "\u2066", "\u2069", "\ufeff", "\ud800"],
)  # fmt: skip
def test_what_moves_a_cursor_or_turns_text_around_is_shown(sign: str) -> None:
    assert sign not in escaped.for_terminal(f"a{sign}b")
    assert f"{ord(sign):x}" in escaped.for_terminal(f"a{sign}b")


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    cell = escaped.for_csv(text)
    assert escaped.from_csv(cell) == text
    if len(cell) > 1 and cell.startswith(("=", "+", "-", "@")):
        float(cell)  # a number, which a spreadsheet may take for what it is


@given(ANY)
def test_cells_survive_a_reader_of_csv(text: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerow([escaped.for_csv(text), "next"])
    (row,) = csv.reader(io.StringIO(written.getvalue(), newline=""))
    assert row == [escaped.for_csv(text), "next"]


@given(st.dictionaries(st.text(), st.text()), st.booleans())
def test_json_hides_nothing_and_keeps_the_exact_text(value: dict[str, str], ascii_only: bool) -> None:
    text = escaped.for_json(json.dumps(value, indent=2, ensure_ascii=ascii_only))
    assert escaped.for_terminal(text, keep="\n") == text
    assert json.loads(text) == value
