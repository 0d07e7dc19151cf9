"""The published JSON Schemas: one for every command that answers in JSON, and each is valid."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs.schemas import ANSWERS, FILES, schemas
from slurm_ai_factory.cli import cli
from slurm_ai_factory.core.measure.figures import SCHEMA, share_value
from tests import schemas as shapes
from tests.cli.test_hostile import _names
from tests.docs.markdown import ROOT
from tests.monitor import examples

WITHOUT = {"init", "run"}
"""They print no JSON: one writes a file, the other a log."""


def test_every_command_with_json_has_a_schema() -> None:
    assert set(_names(cli.with_all())) - WITHOUT == ANSWERS.keys()


@pytest.mark.parametrize(("name", "schema"), list(schemas()), ids=[name for name, _ in schemas()])
def test_a_schema_is_valid_and_wants_its_number(name: str, schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert not validator.is_valid({})
    assert not validator.is_valid({"schema": SCHEMA + 1})
    assert name in {**ANSWERS, **FILES}


def share() -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        **share_value(examples.measurement(0.2), 0.01),
        "promises": [],
        "held_by_grid": None,
    }


def test_an_answer_with_its_keys_passes() -> None:
    assert shapes.content(["share"], share())["window"] == "2027Q1"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"schema": None}, "1 was expected"),
        ({"delivered_share": "20 %"}, "'20 %' is not of type 'number'"),
        ({"delivered": 0.2}, "'delivered' was unexpected"),
        ({"as_of": 3}, "3 is not of type 'string'"),
    ],
)
def test_another_shape_is_found(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(fault)):
        shapes.content(["share"], share() | changes)


def test_a_key_that_is_gone_is_found() -> None:
    lacking = {key: value for key, value in share().items() if key != "verdict"}
    with pytest.raises(AssertionError, match="'verdict' is a required property"):
        shapes.content(["share"], lacking)


def test_the_rule_of_what_may_change_is_published() -> None:
    assert f"{SCHEMA} in this version" in (ROOT / "docs/reference/json.md").read_text(encoding="utf-8")
