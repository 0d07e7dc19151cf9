"""Answers of commands against the published JSON Schemas. Every answer a test reads comes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from docs.schemas import schemas


def content(arguments: Sequence[str], value: Mapping[str, Any]) -> Any:
    """What a command answered, once it has its shape: without the number of the schema, rows alone."""
    check(command(arguments), value)
    answer = {name: part for name, part in value.items() if name != "schema"}
    return answer["rows"] if answer.keys() == {"rows"} else answer


def command(arguments: Sequence[str]) -> str:
    """The first command with a schema among the arguments, by its longest name.

    >>> command(["--as", "ann", "ledger", "export", "--window", "2027Q1"]), command(["share"])
    ('ledger export', 'share')
    """
    names = (" ".join(arguments[at : at + words]) for at in range(len(arguments)) for words in (2, 1))
    return next(name for name in names if name in _validators())


def check(name: str, value: object) -> None:
    """Raise AssertionError where a value has another shape, or a key that its schema does not have."""
    faults = sorted(_validators()[name].iter_errors(value), key=str)
    assert not faults, f"{name}: " + "; ".join(f"{fault.json_path}: {_reason(fault)}" for fault in faults)


def _reason(fault: Any) -> str:
    inner = "; ".join(f"{each.json_path}: {each.message[:200]}" for each in fault.context or ())
    return inner or str(fault.message)[:300]


@cache
def _validators() -> Mapping[str, Draft202012Validator]:
    return {name: Draft202012Validator(strict(schema)) for name, schema in schemas()}


def strict(schema: Any) -> Any:
    """A schema that takes no key that it does not list."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: strict(part) for name, part in schema.items()}
    if "required" in inner and "properties" in inner and "type" in inner:
        inner["additionalProperties"] = False
        inner["properties"] |= {"schema": {}} if "schema" not in inner["properties"] else {}
    return inner
