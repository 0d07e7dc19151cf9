r"""Foreign text in the place where it is shown: names of users, of Slurm and of files can be anything.

The rule: a character that is not seen is shown as what it is, ``\x1b`` or ``\u202e``, so that no text moves a
cursor, ends a line, turns other text around or looks like another text. Printable Unicode stays. JSON has the
exact text.
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
"""What makes a spreadsheet take a cell for a formula."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def is_hidden(sign: str) -> bool:
    """Whether a character is not seen."""
    return category(sign) in _HIDDEN


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
    r"""A text as one word of one line of a command that somebody may paste.

    >>> for_shell("name=astro"), for_shell("name=a\n$(reboot)")
    ('name=astro', "'name=a\\x0a$(reboot)'")
    """
    return shlex.quote(for_terminal(text))


def for_page(value: object) -> object:
    """What an expression of a page's template came to; markup of our own, a kind of text, stays as it is."""
    return for_terminal(value, keep="\n") if type(value) is str else value


def for_csv(cell: str) -> str:
    r"""A text for a cell of CSV, which no spreadsheet takes for a formula; ends of lines stay, in quotes.

    A cell that looks like a formula and is no number gets an apostrophe in front; ``from_csv`` takes it off.

    >>> for_csv("=HYPERLINK(1)"), for_csv("-1.5"), for_csv("a\tb\nc")
    ("'=HYPERLINK(1)", '-1.5', 'a\\x09b\nc')
    """
    text = for_terminal(cell, keep="\n")
    return f"'{text}" if _like_a_formula(text) and not _NUMBER.fullmatch(text) else text


def from_csv(cell: str) -> str:
    """The cell without the apostrophe that ``for_csv`` put in front of it.

    >>> from_csv("'=1+1"), from_csv("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    return cell[1:] if cell.startswith("'") and _like_a_formula(cell) else cell


def _like_a_formula(text: str) -> bool:
    bare = text.lstrip("'")
    return len(bare) > 1 and bare.startswith(_FORMULA)


def for_json(text: str) -> str:
    r"""A JSON text whose values are the same and in which nothing is hidden but the ends of its lines.

    >>> for_json('{"name": "\x7f\u200b"}')
    '{"name": "\\u007f\\u200b"}'
    """
    if text.isprintable():
        return text
    return "".join(_json(sign) if is_hidden(sign) and sign != "\n" else sign for sign in text)


def _json(sign: str) -> str:
    return "\\u007f" if sign == "\x7f" else json.dumps(sign)[1:-1]
