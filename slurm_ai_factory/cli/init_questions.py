"""What `saf init` asks on a terminal: the promise and the region, which no cluster knows.

Each question comes with one sentence that explains it. A wrong answer is asked again, with the reason.
Tested in tests/cli/test_init.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.config import values
from slurm_ai_factory.core.records import Association

PLAIN_TRES = ("billing", "cpu", "node", "mem")
"""TRES without a type in front in which a share can be measured."""


class Asked(NamedTuple):
    """A question about one key."""

    key: str
    explained: str
    prompt: str
    default: str
    convert: Callable[[str], object]  #: the answer as a value of TOML; raises ValueError with the reason


def as_share(text: str) -> float:
    """A percentage as a share. Below 1 it may be a share such as 0.25, so it is refused.

    >>> as_share("25"), as_share("12,5 %")
    (0.25, 0.125)
    """
    try:
        percentage = float(text.strip().removesuffix("%").replace(",", "."))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a percentage such as 25") from error
    if not 1 <= percentage < 100:
        raise ValueError(f"{text!r} is not a percentage from 1 to below 100, such as 25 for a quarter")
    return values.as_ratio(round(percentage / 100, 6))


def as_resource_name(text: str) -> str:
    """The name of a TRES. A name without a type in front is one that every Slurm has.

    >>> as_resource_name("gres/gpu")
    'gres/gpu'
    """
    values.as_resource(text)
    if "/" not in text and text not in PLAIN_TRES:
        raise ValueError(
            f"{text!r} is no TRES of Slurm; use {', '.join(PLAIN_TRES)} or a name such as gres/gpu"
        )
    return text


ACCOUNTS_PROMPT = "Which of these accounts hold the region? (several: with commas; none yet: Enter)"


def as_region_name(text: str) -> str:
    """The name of a shipped list of municipalities; empty for none."""
    if text:
        values.as_region(text)
    return text


def as_zone_name(text: str) -> str:
    """The name of a time zone."""
    return str(values.as_zone(text))


def is_terminal() -> bool:
    """Whether a user can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def promise_questions(zone: str) -> tuple[Asked, ...]:
    """The questions about the promise; ``zone`` is the time zone of this machine."""
    return (
        Asked(
            "promise.target_share",
            "The promise is the least share of all charge that the region must get.",
            "How many percent were promised?",
            "25",
            as_share,
        ),
        Asked(
            "promise.resource",
            "The share is measured in one resource. billing counts what TRESBillingWeights say.",
            "Measured in what? (billing, gres/gpu, node or cpu)",
            "billing",
            as_resource_name,
        ),
        Asked(
            "promise.window",
            "The promise is judged over one window after another.",
            "Over which window? (month, quarter, half, year or rolling:30d)",
            "quarter",
            values.as_window,
        ),
        Asked(
            "promise.time_zone",
            "A day, and so a window, begins at midnight in this time zone.",
            "In which time zone?",
            zone,
            as_zone_name,
        ),
        Asked(
            "registry.region",
            "A rule may ask the registry which organisations are regional: those in the region's "
            "municipalities.",
            f"Which shipped list of municipalities? ({', '.join(values.shipped_regions())}; none: Enter)",
            "",
            as_region_name,
        ),
    )


def answers(questions: Sequence[Asked], given: Mapping[str, object]) -> dict[str, object]:
    """An answer to each question that ``given`` does not answer, by key."""
    return {
        asked.key: _answer(asked.explained, asked.prompt, asked.default, asked.convert)
        for asked in questions
        if given.get(asked.key) is None
    }


def region_accounts(accounts: Sequence[Association]) -> tuple[str, ...]:
    """The accounts that hold the region; none where the user leaves it open."""
    for account in accounts:
        output.say(f"  {account.account}  RawShares {account.raw_shares}", err=True)
    known = {account.account for account in accounts}

    def as_accounts(line: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in line.split(",") if name.strip()))
        if odd := [name for name in names if name not in known]:
            raise ValueError(f"no such account: {', '.join(odd)}")
        return names

    explained = "saf counts the jobs of the region's accounts for the promise, and steers their RawShares."
    names: tuple[str, ...] = _answer(explained, ACCOUNTS_PROMPT, "", as_accounts)
    return names


def _answer(explained: str, prompt: str, default: str, convert: Callable[[str], Any]) -> Any:
    def checked(text: str) -> Any:
        try:
            return convert(text.strip())
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    output.say(explained, err=True)
    return click.prompt(prompt, default=default, show_default=bool(default), value_proc=checked, err=True)
