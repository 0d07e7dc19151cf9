"""[[tariff]], [report], [expertise] and [privacy] in saf.toml: what is taken, and what is refused and why."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import ConfigError

TARIFF = {"beneficiary": '"regional"', "resource": '"gres/gpu"', "price": '"0.05"', "since": '"2027-04-01"'}


def text(*tables: dict[str, str]) -> str:
    told = ["[cluster]", 'name = "c"', "[promise]", 'time_zone = "Europe/Amsterdam"']
    for table in tables:
        told += ["[[tariff]]", *(f"{key} = {value}" for key, value in table.items())]
    return "\n".join(told)


def parse(*tables: dict[str, str]) -> configuration.Config:
    return configuration.parse_config(text(*tables), "f")


def test_a_tariff_begins_at_civil_midnight() -> None:
    (one,) = parse(TARIFF).tariffs
    assert (one.beneficiary, one.category, one.resource) == (Beneficiary.REGIONAL, "", "gres/gpu")
    assert one.price == Decimal("0.05")
    assert one.since == 1806530400, "2027-03-31T22:00Z"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "0.05"}, r'tariff 1: price = 0.05: wants a price such as "0.05", in quotes'),
        ({"price": '"-1"'}, "wants a price"), ({"price": '"nan"'}, "wants a price"),
        ({"price": '"free"'}, "wants a price"), ({"price": "true"}, "wants a price"),
        ({"beneficiary": '"unclassified"'}, "wants regional or non_regional"),
        ({"since": '"today"'}, "wants a date that stays"), ({"since": '"2027-02-30"'}, "is not an instant"),
        ({"since": '"2027-04-01T00:30"'}, "does not begin on a whole UTC hour"),
        ({"sinse": '"2027-04-01"'}, "has no key 'sinse'"),
    ],
)  # fmt: skip
def test_a_wrong_tariff_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(TARIFF | change)


@pytest.mark.parametrize("key", TARIFF)
def test_a_tariff_lacks_nothing(key: str) -> None:
    with pytest.raises(ConfigError, match=f"tariff 1 lacks {key}"):
        parse({name: value for name, value in TARIFF.items() if name != key})


def test_two_tariffs_of_the_same_are_refused() -> None:
    with pytest.raises(ConfigError, match="tariff 2 has the same beneficiary, category, resource and since"):
        parse(TARIFF, TARIFF | {"price": '"0.06"'})
    assert len(parse(TARIFF, TARIFF | {"category": '"business"'}).tariffs) == 2


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("report", "min_organisations", "9", "wants a whole number from 1 to 5"),
        ("report", "name_organisations", '"yes"', "wants true or false"),
        ("report", "region", '{ nl = "Noord" }', "a table with one for each of en, nl"),
        ("privacy", "pseudonymise_after", '"7d"', "wants at least 30d"),
        ("expertise", "target_share", "25", "wants a number between 0 and 1"),
    ],
)
def test_a_wrong_value_is_refused(section: str, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration.parse_config(f'[cluster]\nname = "c"\n[{section}]\n{key} = {value}\n', "f")


def test_a_region_has_one_name_or_one_in_each_language() -> None:
    def named(value: str) -> object:
        return configuration.parse_config(
            f'[cluster]\nname = "c"\n[report]\nregion = {value}\n', "f"
        ).report.region

    assert named('"Noord"') == {"nl": "Noord", "en": "Noord"}
    assert named('{ nl = "Noord", en = "North" }') == {"nl": "Noord", "en": "North"}
