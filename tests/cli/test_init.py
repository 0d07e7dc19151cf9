"""The file that `saf init` writes, from what was found on a cluster."""

from __future__ import annotations

import pytest

from slurm_ai_factory.cli import sample
from slurm_ai_factory.config import parse
from slurm_ai_factory.core.records import Association
from slurm_ai_factory.errors import ConfigError
from tests.core.test_health import CONFIG

TREE = [
    Association(cluster="c", account=account, parent=parent, raw_shares=1)
    for account, parent in (("root", None), ("noord", "root"), ("national", "root"), ("umcg", "noord"))
]


def test_the_account_that_holds_the_region_is_the_one_that_is_named() -> None:
    config = parse(sample.text(CONFIG, TREE, ["noord"], {}), "saf.toml")
    assert config.control.account == ("noord",)
    sides = {str(rule.beneficiary): set(rule.conditions["account_subtree"]) for rule in config.rules}
    assert sides == {"regional": {"noord"}, "non_regional": {"national"}}


@pytest.mark.parametrize("account", ["nord", "umcg"])
def test_an_account_that_is_not_directly_under_root_is_refused(account: str) -> None:
    said = f"no account {account} directly under root; there are noord, national"
    with pytest.raises(ConfigError, match=said):
        sample.text(CONFIG, TREE, [account], {})
