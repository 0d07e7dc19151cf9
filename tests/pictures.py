"""python -m tests.pictures: writes docs/pictures, the two pictures of the README.

Rule: the status page is the product's own, on two weeks of the model cluster, and the shares are the first
draw of the evaluation's scenario `holiday`; nothing is drawn by hand, so both can be made again at any time.
"""

from __future__ import annotations

import time
from pathlib import Path

from slurm_ai_factory.ledger import Store
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.monitor.page import status_html
from slurm_ai_factory.monitor.web import serving
from tests import browser
from tests.benchmarks import evaluate, evaluation_page
from tests.monitor.life import configuration, living
from tests.scratch import scratch_server

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SHOWN = ("floor", "static:0.25")
DAYS = 16
SIZE = (1180, 690)


def status(file: Path) -> None:
    """The status page after two weeks, as a laptop shows its upper part."""
    with scratch_server() as (_, url):
        with Store(url) as store:
            store.migrate()
        with living(url, time.perf_counter, configuration()) as life:
            for _ in range(DAYS * 8):
                life.beat(3 * 3600)
            board, at = life.board, life.model.now
    page = lambda code: status_html(board, at, code=code)  # noqa: E731
    with serving("127.0.0.1:0", {"/": page}, Exposition(board).text, {}) as web:
        browser.picture(f"http://127.0.0.1:{web.port}/?lang=en", file, *SIZE)


def shares(file: Path) -> None:
    """The share of each window under static shares and under the control law."""
    task = evaluate.Task(kind="scenario", case="holiday", seed=0)
    rows = [row for row in evaluate.run(task) if row["policy"] in SHOWN]
    evaluation_page.draw(rows, task.kind, task.case, task.label, file)


def main() -> None:
    """Write both, and say how large they are."""
    FOLDER.mkdir(exist_ok=True)
    for draw, name in ((status, "status.png"), (shares, "share.svg")):
        draw(FOLDER / name)
        print(f"docs/pictures/{name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
