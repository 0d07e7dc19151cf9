r"""Masks names, addresses and secrets in what leaves the site.

The rule: a word stays only if saf itself uses it and no one here has it for a name; so an unknown name is
masked too. Instants and numbers stay. Every other word, and every address, becomes its pseudonym.

>>> mask = Mask(lambda text: "~1", frozenset({"account", "is", "held"}), frozenset({"held"}))
>>> mask.text("account umcg is held since 2027-01-04T00:00:00Z, 12.5 % at 10.0.0.7")
'account ~1 is ~1 ~1 2027-01-04T00:00:00Z, 12.5 % ~1 ~1'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

HIDDEN = "(hidden)"
"""Stands for a secret."""

WORD = r"[^\W_](?:[\w.@%-]*[^\W_])?"
PIECES = (
    r"(?P<instant>(?<!\w)\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\w))"
    r"|(?P<address>(?<!\w)(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{1,4}:){5})[0-9A-Fa-f:.]+)"
    rf"|(?P<word>{WORD})"
)
"""What a text is taken apart into. An IPv4 address is a word; an IPv6 or MAC address is not."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+){0,2}(?:-\d+)?(?:[kmgt]?i?b|ms|[smhdw%]|[qh]\d)?", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+(?=@)|(?<=password=)\S+", re.IGNORECASE)


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case.

    >>> sorted(words_of("control.account = 'Regional', x_1"))
    ['control.account', 'regional', 'x_1']
    """
    return {word.lower() for word in re.findall(WORD, text)}


@dataclass(frozen=True, slots=True)
class Mask:
    """Removes from texts what shows who and where."""

    pseudonym: Callable[[str], str]  #: of a word in lower case; the same for the same word
    words: frozenset[str]  #: that may stay, in lower case
    names: frozenset[str] = frozenset()  #: known here, in lower case; may have blanks
    secrets: frozenset[str] = frozenset()  #: never shown, not even with names
    with_names: bool = False  #: hide secrets alone
    pieces: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        phrases = _longest_first(name for name in self.names if name and not re.fullmatch(WORD, name))
        known = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in phrases)
        pieces = re.compile(f"(?P<phrase>{known})|{PIECES}" if known else PIECES, re.IGNORECASE)
        object.__setattr__(self, "pieces", pieces)

    def text(self, text: str) -> str:
        """The text without secrets, and without names unless they are wanted."""
        for secret in _longest_first(self.secrets):
            text = text.replace(secret, HIDDEN)
        text = _CREDENTIALS.sub(HIDDEN, text)
        return text if self.with_names else self.pieces.sub(self._masked, text)

    def value(self, value: object) -> object:
        """The same of every text in a value of JSON, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | frozenset):
            return [self.value(inner) for inner in value]
        return value

    def _masked(self, match: re.Match[str]) -> str:
        piece = match[0]
        stays = match.lastgroup == "instant" or (match.lastgroup == "word" and self._stays(piece.lower()))
        return piece if stays else self.pseudonym(piece.lower())

    def _stays(self, word: str) -> bool:
        if word in self.names:
            return False
        return word in self.words or f"({word})" == HIDDEN or bool(_NUMBER.fullmatch(word))


def _longest_first(texts: Iterable[str]) -> list[str]:
    """So that no part of a text is replaced before the whole."""
    return sorted(filter(None, texts), key=lambda text: (-len(text), text))
