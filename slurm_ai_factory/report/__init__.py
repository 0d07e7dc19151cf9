"""The governance report. Its files depend on its values alone: the same values make the same bytes."""

from __future__ import annotations

from slurm_ai_factory.language import LANGUAGES
from slurm_ai_factory.report.front import report_html
from slurm_ai_factory.report.sheets import as_csv, report_json
from slurm_ai_factory.report.tables import tables
from slurm_ai_factory.report.values import (
    Audited,
    Basis,
    ControlHistory,
    Earlier,
    Month,
    Report,
    Restatement,
    Sender,
    value,
)

__all__ = [
    "LANGUAGES", "Audited", "Basis", "ControlHistory", "Earlier", "Month", "Report", "Restatement", "Sender",
    "as_csv", "report_html", "report_json", "tables", "value",
]  # fmt: skip
