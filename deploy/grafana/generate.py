"""Writes dashboards/*.json: python -m deploy.grafana.generate, or with --check to name files out of date.

The rule: this code alone defines the dashboards; repeat edits made in Grafana here. Tested in
tests/monitor/test_dashboards.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana import control, grid, promise, service
from deploy.grafana.panels import REGION, SOURCE, Panel

FOLDER = Path(__file__).parent / "dashboards"
COLUMNS = 24
DECISIONS = (
    "sum by (reason) "
    '(increase(saf_decisions_total{cluster="$cluster",reason!~"at_set_point|same_order"}[5m])) > 0 '
    'unless on (reason) max by (reason) (saf_hold{cluster="$cluster"})'
)
"""Decisions that asked for a change: neither quiet ones nor those that hold."""


class Made(NamedTuple):
    """A dashboard to be written."""

    title: str
    about: str
    since: str
    panels: Callable[[], list[tuple[int, int, Panel]]]
    windows: bool = False


DASHBOARDS = {
    "saf-promise": Made(
        "Promise", "The region's share against its floor.", "now-90d", promise.panels, windows=True
    ),
    "saf-control": Made("Control", "What the control does, and on what evidence.", "now-7d", control.panels),
    "saf-grid": Made("Grid", "Power and water against what is allowed.", "now-7d", grid.panels, windows=True),
    "saf-service": Made("Service", "Whether saf is well.", "now-24h", service.panels),
}


def dashboard(uid: str) -> dict[str, Any]:
    """A dashboard as JSON."""
    made = DASHBOARDS[uid]
    link = DashboardLink("saf").type(DashboardLinkType.DASHBOARDS).tags(["saf"]).include_vars(True)
    marks = AnnotationQuery().name("Decisions").datasource(SOURCE).enable(True).icon_color(REGION)
    built = (
        Dashboard(f"saf: {made.title}").uid(uid).description(made.about).tags(["saf"]).time(made.since, "now")
        .refresh("1m").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR).readonly()
        .link(link).annotation(marks.expr(DECISIONS))
    )  # fmt: skip
    for variable in _variables(windows=made.windows):
        built = built.with_variable(variable)
    for panel in placed(made.panels()):
        built = built.with_panel(panel)
    plain: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder, sort_keys=True))
    for annotation in plain["annotations"]["list"]:
        annotation["titleFormat"] = (
            "{{reason}}"  # the data source's own key, which the schema has no word for
        )
    return plain


def placed(panels: Sequence[tuple[int, int, Any]]) -> Iterator[Panel]:
    """Each panel where it fits first, from the top and the left, as one would lay tiles."""
    floor = [0] * COLUMNS
    for number, (width, height, panel) in enumerate(panels, 1):
        x = min(range(COLUMNS - width + 1), key=lambda at: (max(floor[at : at + width]), at))
        y = max(floor[x : x + width])
        floor[x : x + width] = [y + height] * width
        yield panel.grid_pos(GridPos(h=height, w=width, x=x, y=y)).id(number)


def _variables(*, windows: bool) -> Iterator[Any]:
    yield DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield _values(
        "cluster", "Cluster", "label_values(saf_cycles_total, cluster)", VariableSort.ALPHABETICAL_ASC
    )
    if windows:
        query = 'label_values(saf_target_share_ratio{cluster="$cluster"}, window)'
        yield _values("window", "Window", query, VariableSort.ALPHABETICAL_DESC)


def _values(name: str, label: str, query: str, sort: VariableSort) -> QueryVariable:
    asked = {"query": query, "refId": name, "qryType": 1}
    made = QueryVariable(name).label(label).datasource(SOURCE).query(asked).sort(sort)
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).include_all(False).multi(False)


def text(uid: str) -> str:
    """The text a file should have."""
    return json.dumps(dashboard(uid), indent=2, sort_keys=True) + "\n"


def stale() -> list[str]:
    """Dashboards whose file is not what the code says now."""
    return [uid for uid in DASHBOARDS if _present(FOLDER / f"{uid}.json") != text(uid)]


def _present(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: Sequence[str]) -> int:
    """Write the files that changed; with --check only name them, and fail when there are any."""
    changed = stale()
    check = "--check" in arguments
    for uid in changed:
        sys.stderr.write(f"{FOLDER.name}/{uid}.json {'is out of date' if check else 'written'}\n")
        if not check:
            (FOLDER / f"{uid}.json").write_text(text(uid), encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
