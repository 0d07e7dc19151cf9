"""The short form of `make tamper`: columns on which a published figure rests, and one of each way to end."""

from __future__ import annotations

import pytest

from slurm_ai_factory.ledger import Store
from tests.report.year import Year
from tests.tamper import campaign
from tests.tamper.campaign import EMPTY, IRRELEVANT, OTHERWISE, REFUSED

FOUND = {
    ("runs", "elapsed_seconds"): "reads",
    ("subjects", "account"): "reads",
    ("allocations", "tres"): "reads",
    ("allocation_tres", "count"): "TRES sets",
    ("classifications", "beneficiary"): "classification",
    ("hourly_usage", "delivered"): "hourly usage",
    ("hourly_sums", "delivered"): "sums of usage",
    ("daily_sums", "delivered"): "sums of usage",
    ("organisations", "municipality"): "records",
    ("promise_terms", "share"): "records",
    ("reports", "document"): "records",
    ("chain", "digest"): "chain",
    ("subjects", "key"): REFUSED,
    ("withdrawals", "reason"): EMPTY,
    ("rule_sets", "used"): IRRELEVANT,
}  # fmt: skip


def test_every_type_of_the_schema_can_be_tampered_with(made: Year) -> None:
    assert {one.type for one in campaign.columns(made.url)} <= OTHERWISE.keys()


@pytest.mark.timeout(900)
def test_a_change_by_hand_is_found_or_changes_no_published_report(made: Year) -> None:
    with Store(made.url) as store:
        store.connection.close()  # a database that is in use cannot be copied
    known = {(one.table, one.name): one for one in campaign.columns(made.url)}
    ended = {key: campaign.tried(made, known[key]).outcome for key in FOUND}
    assert {key: outcome.partition(":")[0] for key, outcome in ended.items()} == FOUND
