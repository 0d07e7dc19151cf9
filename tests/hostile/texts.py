"""What a hostile user writes into a field: what Slurm's commands, their readers and terminals may take amiss.

No text has a NUL, which no argument of a command can have.
"""

from __future__ import annotations

from random import Random

FORGED_RUN = "9|9|0|1|1|1|9|8|00:00:00|cpu=99|cpu=99|COMPLETED|9|loop|umcg|games|main|normal||||9"
FORGED_ASSOCIATION = "regional|||3"
LONG = "x" * 65_000

KNOWN = (
    "a\nb", "\n", "a\r\nb", "\x1f", "a\x1fb\x1f\x1fc", "|", "a|b|c", ",", "a,b", "'", '"', "`id`", "$(id)",
    "\\", "\\n", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\u202etxt.exe", "\u2066\u2069\u200f",
    "\u2028\u2029", "\x85", "\ufeff", "\udcff\udcfe", "\udcc3", "caf\udce9", "\U0001f600", "--help", "-M",
    "cluster=x", "id=3", "where", "=1+1", "@x", " lead", "trail ", "\t", "#3", "#ID 3", "root", "regional",
    "None", "Unknown", "(null)", "N/A", "saf:forged", "NodeName=n9 CfgTRES=cpu=99", f"x\n{FORGED_RUN}",
    f"x\n{FORGED_RUN.replace('|', chr(31))}", f"x\n{FORGED_ASSOCIATION}", "x\nregional|||27\ny", "1\n1", LONG,
    f"{LONG}\n{LONG}"[:70_000], "\n" * 2000,
)  # fmt: skip
"""Format strings are apart: slurmdbd 22.05.8 may crash of an account of such a name."""

FORMATS = ("%s", "%n%s%d", "%1$s")

PIECES = (
    "\n", "|", "\x1f", "=", ",", " ", "\r", "\x1b[2J", "9", "regional", "\udcff", "\u202e", "'", '"', "x",
    "\\",
)  # fmt: skip


def texts(count: int, seed: int = 1) -> list[str]:
    """So many of the known ones or, where more are asked for, all of them and others made of pieces."""
    random = Random(seed)
    if count < len(KNOWN):
        return random.sample(KNOWN, count)
    made = ("".join(random.choices(PIECES, k=random.randint(1, 12))) for _ in range(count - len(KNOWN)))
    return [*KNOWN, *made]
