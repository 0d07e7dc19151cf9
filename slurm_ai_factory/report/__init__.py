"""The governance report: values in, files out. No ledger, no clock: the same values make the same bytes."""

from __future__ import annotations

from slurm_ai_factory.question import Reached
from slurm_ai_factory.report.page import LANGUAGES, html
from slurm_ai_factory.report.sheets import as_csv, as_json
from slurm_ai_factory.report.tables import tables
from slurm_ai_factory.report.values import (
    Audited,
    Basis,
    Control,
    Earlier,
    Month,
    Report,
    Restatement,
    Sender,
    value,
)

__all__ = [
    "LANGUAGES", "Audited", "Basis", "Control", "Earlier", "Month", "Reached", "Report", "Restatement",
    "Sender", "as_csv", "as_json", "html", "tables", "value",
]  # fmt: skip
