"""Every named query stands in the .sql file of a module that uses it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from slurm_ai_factory.ledger import sql

FOLDER = Path(sql.__file__).parent
FILES = {
    file.stem: dict(
        re.findall(r"^-- (\w+) --\n((?:.*\n)*?)(?=-- \w+ --\n|\Z)", file.read_text(), re.MULTILINE)
    )
    for file in FOLDER.glob("*.sql")
}
"""The blocks of each file by their names."""

FRAGMENTS = {
    name for blocks in FILES.values() for text in blocks.values() for name in re.findall(r"{(\w+)}", text)
}


def test_every_query_has_a_name_of_its_own_and_a_description() -> None:
    names = Counter(name for blocks in FILES.values() for name in blocks)
    assert names.keys() == sql.queries().keys()
    assert [name for name, times in names.items() if times > 1] == []
    undescribed = [name for blocks in FILES.values() for name, text in blocks.items() if text[:3] != "-- "]
    assert undescribed == []


def test_a_named_query_is_used_by_the_module_whose_file_it_is_in() -> None:
    misplaced = []
    for module, blocks in FILES.items():
        if module == "fragments":
            continue
        code = (FOLDER / f"{module}.py").read_text()
        text = "".join(blocks.values())
        misplaced += [
            f"{module}.sql {name}" for name in blocks if f'"{name}"' not in code and f"{{{name}}}" not in text
        ]
    assert misplaced == []


def test_a_fragment_of_one_module_is_in_its_file_and_one_of_several_is_in_fragments() -> None:
    users = {
        name: {module for module, blocks in FILES.items() if f"{{{name}}}" in "".join(blocks.values())}
        for name in FRAGMENTS
    }
    assert FILES["fragments"].keys() <= FRAGMENTS
    for module, blocks in FILES.items():
        for name in FRAGMENTS & blocks.keys():
            shared = "fragments" in users[name] or len(users[name]) > 1
            assert (module == "fragments") == shared, name


def test_migration_files_are_numbered_without_a_gap() -> None:
    numbers = [re.fullmatch(r"(\d{4})_[a-z_]+\.sql", migration.name) for migration in sql.migrations()]
    assert [int(match[1]) for match in numbers if match] == list(range(1, len(numbers) + 1))
