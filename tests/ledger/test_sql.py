"""Every named query stands in the .sql file of a module that uses it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import psycopg

from slurm_ai_factory.ledger import Store, sql
from tests.ledger.servers import private_server

FOLDER = Path(sql.__file__).parent
FILES = {
    file.stem: dict(
        re.findall(r"^-- (\w+) --\n((?:.*\n)*?)(?=-- \w+ --\n|\Z)", file.read_text(), re.MULTILINE)
    )
    for file in FOLDER.glob("*.sql")
}
"""The blocks of each file by their names."""

PLACES = ("cluster_id", "at")
"""The parameters of open_indexes in the order in which it is prepared below."""

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


def test_a_read_asks_an_index_whether_there_is_a_later_one() -> None:
    """Also by a plan for any instant, as PostgreSQL makes after some reads."""
    query = re.sub(
        r"%\((\w+)\)s", lambda match: f"${PLACES.index(match[1]) + 1}", sql.queries()["open_indexes"]
    )
    with private_server() as server, Store(server.url) as store, psycopg.connect(server.url) as connection:
        store.migrate()
        connection.execute("SET session_replication_role = replica")  # no chain for so many
        connection.execute("INSERT INTO clusters (name) VALUES ('c')")
        connection.execute(
            "INSERT INTO reads (cluster_id, at, since, until, runs, changed, rejected) "
            "SELECT 1, at, at - 1, at, 0, 0, 0 FROM generate_series(1, 20000) AS at"
        )
        connection.execute("ANALYZE reads")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(f"PREPARE asked (smallint, bigint) AS {query}".encode())
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN EXECUTE asked (1, 20001)"))
    assert "Scan Backward using reads_at" in plan
    assert "Seq Scan on reads" not in plan
