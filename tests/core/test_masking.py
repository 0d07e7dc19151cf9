"""What is left of a text once it is masked: nothing but words that may stay, numbers and instants."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.masking import HIDDEN, Mask, words_of


def pseudonym(text: str) -> str:
    return "~" + hashlib.sha256(text.encode()).hexdigest()[:16]


WORDS = words_of("the account of user region.share control.account held since failed at hidden password url")
NAMES = frozenset({"account", "data group", "4711", "région", "a+b", "x:y"})
MASK = Mask(pseudonym, frozenset(WORDS), NAMES, frozenset({"s3cret", "s3cret-long"}))

SHOWN = re.compile(r"~[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("the user of region.share", "the user of region.share"),
        ("The USER failed", "The USER failed"),
        ("since 2027-01-04T00:00:00Z, 2027-01-04T01:00:00+0100, 2027-01-04",) * 2,
        ("12.5 % of 25, 300s, 7d, 4.2MB, 2027Q1, 22.05.8, [17]",) * 2,
        ("the account", "the ~"),
        ("user jan.smit@uni.example", "user ~"),
        ("user=p123456", "user=~"),
        ("the Data Group", "the ~"),
        ("of 4711 of 4712", "of ~ of 4712"),
        ("held a+b, x:y, Région", "held ~, ~, ~"),
        ("at 10.1.2.3, fe80::1, 2001:db8:0:1:2:3:4:5, 52:54:00:12:34:56", "at ~, ~, ~, ~"),
        ("at 12:30:05, 1-00:00:00",) * 2,
        ("~0123456789abcdef", "~~"),
        ("the s3cret-long of s3cret", f"the {HIDDEN} of {HIDDEN}"),
        ("url ://u:p@", f"url ://{HIDDEN}@"),
        ("password=x1 at", f"password={HIDDEN} at"),
    ],
)
def test_of_a_text_only_what_is_harmless_stays(text: str, masked: str) -> None:
    assert SHOWN.sub("~", MASK.text(text)) == masked


@given(st.text(max_size=80), st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)))
def test_no_word_is_shown_that_may_not(text: str, names: set[str]) -> None:
    """Whatever a name looks like, and whatever stands around it."""
    mask = Mask(pseudonym, frozenset(WORDS), frozenset(name.lower() for name in names))
    rest = SHOWN.sub(" ", mask.text(" ".join([text, *names])))
    letters = {word for word in words_of(rest) if re.search(r"[^\W\d]", word)}
    assert {word for word in letters if not re.match(r"\d", word)} <= WORDS - {n.lower() for n in names}


@given(st.recursive(st.text(max_size=20) | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(
    st.text(max_size=9), inner)))  # fmt: skip
def test_a_value_keeps_its_shape_and_every_text_of_it_is_masked(value: object) -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [*map(str, value), *(text for inner in value.values() for text in texts(inner))]
        return [text for inner in value for text in texts(inner)] if isinstance(value, list) else [str(value)]

    assert {*texts(MASK.value(value))} == {MASK.text(text) for text in texts(value)}


def test_with_names_only_secrets_go() -> None:
    mask = Mask(pseudonym, frozenset(), secrets=frozenset({"s3cret"}), with_names=True)
    assert mask.value({"jan": ["at 10.1.2.3", "s3cret", 1, None]}) == {
        "jan": ["at 10.1.2.3", HIDDEN, 1, None]
    }
