r"""Foreign text, made safe for the place that shows it: names of users, jobs and files can be anything.

The rule: an invisible character is shown by its code, ``\x1b`` or ``\u202e``, so that no text moves a cursor,
ends a line, turns other text around or looks like another text. Printable Unicode stays. JSON has the exact
text.
"""

from __future__ import annotations

import json
import re
import shlex
from unicodedata import category

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Control and format characters (bidi controls and zero-width ones among them), surrogates, line ends."""
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
            "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
"""A spreadsheet takes a cell that begins with one of these for a formula."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def is_hidden(sign: str) -> bool:
    """Whether a character is invisible."""
    return category(sign) in _HIDDEN


MOST_CHARACTERS = 500
"""Of a text that a person gives to be recorded: more does not fit where lists and reports show it."""


def too_long(text: str) -> str:
    """Why a text is too long to be recorded; empty where it is not.

    >>> too_long("x" * 500), too_long("x" * 10_000)
    ('', 'has 10,000 characters; give at most 500')
    """
    long = len(text) > MOST_CHARACTERS
    return f"has {len(text):,} characters; give at most {MOST_CHARACTERS}" if long else ""


def for_terminal(text: str, keep: str = "") -> str:
    r"""A text for one line of a terminal, a log, a label; ``keep`` are characters that may stay hidden.

    >>> for_terminal("caf\N{LATIN SMALL LETTER E WITH ACUTE}\n\x1b[31m\u202e\U000e0041")
    'café\\x0a\\x1b[31m\\u202e\\U000e0041'
    """
    if text.isprintable():
        return text
    return "".join(_shown(sign) if is_hidden(sign) and sign not in keep else sign for sign in text)


def _shown(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def for_shell(text: str) -> str:
    r"""A text as one word of a command line that may be pasted.

    >>> for_shell("name=astro"), for_shell("name=a\n$(reboot)")
    ('name=astro', "'name=a\\x0a$(reboot)'")
    """
    return shlex.quote(for_terminal(text))


def for_page(value: object) -> object:
    """The value of an expression in a page's template; our own markup, a subclass of str, stays as it is."""
    return for_terminal(value, keep="\n") if type(value) is str else value


def for_csv(cell: str) -> str:
    r"""A text for a cell of CSV that no spreadsheet takes for a formula; line ends stay, in quotes.

    A cell that looks like a formula and is not a number gets an apostrophe in front; ``from_csv`` removes it.

    >>> for_csv("=HYPERLINK(1)"), for_csv("-1.5"), for_csv("a\tb\nc")
    ("'=HYPERLINK(1)", '-1.5', 'a\\x09b\nc')
    """
    text = for_terminal(cell, keep="\n")
    return f"'{text}" if _like_a_formula(text) and not _NUMBER.fullmatch(text) else text


def from_csv(cell: str) -> str:
    """The cell without the apostrophe that ``for_csv`` added.

    >>> from_csv("'=1+1"), from_csv("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    return cell[1:] if cell.startswith("'") and _like_a_formula(cell) else cell


def _like_a_formula(text: str) -> bool:
    bare = text.lstrip("'")
    return len(bare) > 1 and bare.startswith(_FORMULA)


def for_json(text: str) -> str:
    r"""A JSON text with the same values, in which no character is invisible but line ends.

    >>> for_json('{"name": "\x7f\u200b"}')
    '{"name": "\\u007f\\u200b"}'
    """
    if text.isprintable():
        return text
    return "".join(_json(sign) if is_hidden(sign) and sign != "\n" else sign for sign in text)


def _json(sign: str) -> str:
    return "\\u007f" if sign == "\x7f" else json.dumps(sign)[1:-1]
