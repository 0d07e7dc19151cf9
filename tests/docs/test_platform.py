"""The rules that docs/howto/platform.md shows classify the accounts of a platform as it says."""

from __future__ import annotations

import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory.core.records import FOREVER, Subject
from slurm_ai_factory.core.rules.classify import Rules
from slurm_ai_factory.core.rules.organisations import Link, Organisation, Regional, Registry
from tests.docs import markdown
from tests.docs.markdown import ROOT

BY_TREE, BY_LINK = (
    block.text
    for block in markdown.blocks(markdown.read(ROOT / "docs" / "howto" / "platform.md"))
    if block.language == "toml"
)
PARENTS = {
    "root": None, "regional": "root", "eurohpc": "root", "allocations": "root", "hpc_2027-011": "regional",
    "hpc_ehpc-0042": "eurohpc", "hpc_flood-north": "allocations", "hpc_climate": "allocations",
    "hpc_new": "allocations",
}  # fmt: skip
NOW = 1_800_000_000


def answers(text: str, registry: Registry, *accounts: str) -> list[tuple[str, str]]:
    """Beneficiary and organisation of each account's jobs, by the rules of an example."""
    region = '[cluster]\nname = "c"\n[registry]\nregion = ["GM0014"]\n'
    rules = configuration.parse_config(region + text, "example").rules
    classes = Rules(rules, PARENTS, registry, frozenset({Regional("GM0014")}))
    found = (
        classes.classify(Subject("c", account, "jan", "main", "normal", "", ""), NOW)[0].classification
        for account in accounts
    )
    return [(str(one.beneficiary), one.organisation) for one in found]


def test_by_the_tree_an_allocation_is_of_its_offering() -> None:
    found = answers(BY_TREE, Registry(), "hpc_2027-011", "hpc_ehpc-0042", "hpc_new")
    assert found == [("regional", ""), ("non_regional", ""), ("unclassified", "")]


@pytest.mark.parametrize(("since", "regional"), [(NOW - 86400, "regional"), (NOW + 86400, "unclassified")])
def test_by_its_link_an_allocation_is_of_its_organisation_from_that_day_on(since: int, regional: str) -> None:
    """One in Groningen, one elsewhere, and one that nobody has linked."""
    registry = Registry(
        tuple(
            Organisation(
                organisation=key, name=key, category="knowledge_institution", sector="85",
                municipality=place, since=0, until=FOREVER,
            )
            for key, place in (("umcg", "GM0014"), ("kust", "GM0363"))
        ),
        (
            Link(organisation="umcg", account="hpc_flood-north", since=since),
            Link(organisation="kust", account="hpc_climate", since=0),
        ),
    )  # fmt: skip
    found = answers(BY_LINK, registry, "hpc_flood-north", "hpc_climate", "hpc_new")
    assert found == [
        (regional, "umcg" if regional == "regional" else ""), ("non_regional", "kust"), ("unclassified", "")
    ]  # fmt: skip
