"""A real Prometheus of the tests' own: a child process on a free loopback port, with its own data directory.

Rule: it is given history with promtool, as an operator would backfill it, and asked over its own API; where
the Debian package is not installed, tests skip with the reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.processes import free_ports, wait_until
from tests.docs.markdown import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
INTERVAL = "1s"
LOOKBACK = "6h"
"""The model's cycles are hours apart."""
RECORDED = 3600
WIDE = "--max-block-duration=2000h"


def unavailable() -> str | None:
    """Why there can be no Prometheus here; None when there can."""
    for command in ("prometheus", "promtool"):
        if shutil.which(command) is None:
            return f"{command} is missing: install the Debian package prometheus"
    return None


def promtool(*arguments: str, stdin: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """promtool's answer, whatever its exit code."""
    return subprocess.run(
        ["promtool", *arguments], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=180
    )


@dataclass
class Prometheus:
    """One that runs."""

    url: str
    process: subprocess.Popen[bytes]

    def api(self, path: str, **parameters: object) -> Any:
        """What an endpoint of the API answers; raises ValueError with Prometheus' own words."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=120) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {json.load(error)['error']}") from error

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an expression, now or at an instant."""
        found: list[dict[str, Any]] = self.api("query", query=expr, **({} if at is None else {"time": at}))[
            "result"
        ]
        return found

    def knows(self, expr: str) -> bool:
        """Whether an expression has an answer now."""
        return bool(self.query(expr))

    def over(self, expr: str, since: float, until: float, step: float) -> list[dict[str, Any]]:
        """The series of an expression over time."""
        values = {"query": expr, "start": since, "end": until, "step": step}
        found: list[dict[str, Any]] = self.api("query_range", **values)["result"]
        return found


@contextmanager
def prometheus(
    directory: Path, targets: Sequence[str] = (), told: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the targets every second, with the product's rules, and this history."""
    data = directory / "data"
    data.mkdir(parents=True)
    scrapes = [{"job_name": "saf", "static_configs": [{"targets": list(targets)}]}] if targets else []
    every = {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL}
    (directory / "prometheus.yml").write_text(
        json.dumps({"global": every, "rule_files": [str(RULES)], "scrape_configs": scrapes})
    )
    if told:
        _backfill(directory, data, merged(told))
        with _running(directory, data) as first:
            recorded = _recorded(first, told)
        _backfill(directory, data, recorded)
    with _running(directory, data) as found:
        yield found


@contextmanager
def _running(directory: Path, data: Path) -> Iterator[Prometheus]:
    (port,) = free_ports(1)
    log = directory / "prometheus.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(_argv(directory, data, port), stderr=stderr, stdout=stderr)
    found = Prometheus(f"http://127.0.0.1:{port}", process)
    try:
        wait_until(lambda: _ready(found), "Prometheus", 180, log=log)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=180)


def _argv(directory: Path, data: Path, port: int) -> list[str]:
    return [
        "prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
        f"--query.lookback-delta={LOOKBACK}", "--log.level=warn",
    ]  # fmt: skip


def _ready(found: Prometheus) -> bool:
    assert found.process.poll() is None, "Prometheus ended"
    try:
        with urllib.request.urlopen(f"{found.url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _backfill(directory: Path, data: Path, text: str) -> None:
    """Blocks of history from OpenMetrics."""
    file = directory / "told.txt"
    file.write_text(text)
    done = promtool("tsdb", "create-blocks-from", "openmetrics", WIDE, str(file), str(data))
    assert done.returncode == 0, done.stderr[-2000:]


def _recorded(running: Prometheus, told: Sequence[str]) -> str:
    """What the recording rules would have recorded, as OpenMetrics."""
    first, last = (float(one.splitlines()[-1].split()[-1]) for one in (told[0], told[-1]))
    lines = []
    for rule in (rule for rule in rules() if "record" in rule):
        lines.append(f"# TYPE {rule['record']} gauge")
        for one in running.over(rule["expr"], first, last, RECORDED):
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(one["metric"].items()))
            lines += [f"{rule['record']}{{{labels}}} {value} {at}" for at, value in one["values"]]
    return "\n".join([*lines, "# EOF", ""])


def rules() -> list[dict[str, Any]]:
    """The rules of the product."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Those that alert, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def merged(told: Sequence[str]) -> str:
    """Many scrapes as one: each family once, its samples of all instants after it."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for scrape in told:
        family = ""
        for line in scrape.splitlines():
            if line.startswith("# "):
                family = line.split()[2]
                if line not in heads.setdefault(family, []):
                    heads[family].append(line)
            else:
                samples.setdefault(family, []).append(line)
    lines = [line for family, head in heads.items() for line in (*head, *samples.get(family, []))]
    return "\n".join([*lines, "# EOF", ""])
