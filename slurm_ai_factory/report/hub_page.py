"""The report over all sites for people: one self-contained HTML page, with small cells suppressed.

The rule: the share in the programme's own unit stands beside the promised one only where every site is shown:
two sums of the same sites with different weights disclose the sites. Tested in tests/cli/test_hub.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.figures import share_value
from slurm_ai_factory.language import language
from slurm_ai_factory.report.front import template_environment
from slurm_ai_factory.report.hubs import HubAnswer, reached_over_hubs
from slurm_ai_factory.report.page import Page
from slurm_ai_factory.report.tables import tables
from slurm_ai_factory.report.values import table_value

TABLES = {"site": True, "category": True, "sector": True}
"""The tables, the most important first; all are of the region."""


def hub_page_value(answer: HubAnswer) -> dict[str, Any]:
    """Everything that the page shows."""
    config, together = answer.config, answer.together
    smallest, total = config.report.min_organisations, together.raw.total_charge
    made = tables(reached_over_hubs(answer), TABLES, smallest)
    sites_shown = made[0].hidden is None
    return {
        "report": {
            "facility": config.report.facility or config.cluster.name,
            "region": config.report.region,
            "as_of": windows.iso(answer.as_of),
            "smallest": smallest,
        },
        "share": share_value(together.raw, config.promise.margin),
        "weighted_share": together.weighted.delivered_share if sites_shown else None,
        "tables": {table.name: table_value(table, total) for table in made},
        "sites": [
            {
                "name": f"{each.site}/{each.cluster}",
                "weights": "; ".join(
                    term.weights
                    for _, term in answer.books.hubs[each.site, each.cluster].spans(
                        answer.window.since, answer.window.until
                    )
                ),
                "unread": len(each.unread),
            }
            for each in answer.figures[:-1]
        ],
    }


def hub_page(answer: HubAnswer, code: str, labels: Mapping[str, str]) -> str:
    """The page in a language; ``labels``: CBS code -> name of the municipality."""
    values = hub_page_value(answer)
    speech = language(code, answer.config.promise.time_zone)
    names = {"p": Page(speech, values, labels), "r": values, "say": speech.say, "l": speech}
    return template_environment().get_template("hubs.html.j2").render(names)
