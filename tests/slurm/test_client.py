"""The client's reads: an answer is asked for again, resizes are looked up, and what is hidden is not missed.

Small scripts stand at the place of Slurm's commands, and of the user who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slurm_ai_factory.core.records import Rejected, Run
from slurm_ai_factory.errors import BlindError, GarbledError, SlurmError
from slurm_ai_factory.slurm import Slurm, parse, queue
from slurm_ai_factory.slurm.commands import Commands
from tests.scratch import program
from tests.slurm.test_parse import FIELDS, FIRST, LATER
from tests.slurm.test_queue import FIELDS as JOB

Client = Callable[..., Slurm]
SEPARATED = 'for one; do case "$one" in --delimiter=*) d="${one#*=}";; esac; done'
"""In a script: $d is the separator that was drawn."""


def row(**difference: str) -> str:
    fields = FIELDS | difference
    return "@".join((*fields.values(), fields["DBIndex"]))


def printed(*rows: str) -> str:
    """A command that prints these rows with the separator that was drawn in the place of @."""
    text = "\\n".join(rows)
    return f"printf '%b\\n' '{text}' | sed \"s/@/$d/g\""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client whose commands have these bodies, used by a user."""

    def make(user: str = "root", **bodies: str) -> Slurm:
        for name, body in bodies.items():
            program(tmp_path / name, f"cd {tmp_path}\n{body}")
        monkeypatch.setattr("slurm_ai_factory.slurm.client.user_name", lambda: user)
        return Slurm("loop", Commands(directory=tmp_path, timeout_seconds=120))

    return make


def test_each_answer_has_a_separator_of_its_own(client: Client, tmp_path: Path) -> None:
    slurm = client(sacct=f'{SEPARATED}; echo "$d" >>drawn; {printed(row())}')
    for _ in range(2):
        assert len(list(slurm.runs(0, 1))) == 1
    first, second, _ = (tmp_path / "drawn").read_text().split("\n")
    assert first != second
    assert len(first) >= len("\x1f") + 24


def test_a_garbled_answer_is_asked_for_again(client: Client, tmp_path: Path) -> None:
    garbled = printed(row(Comment="x@y"))
    slurm = client(
        sacct=f"{SEPARATED}; echo >>asked; [ $(wc -l <asked) = 3 ] && {printed(row())} || {garbled}"
    )
    assert len(list(slurm.runs(0, 1))) == 1
    assert (tmp_path / "asked").read_text() == "\n" * 3


@pytest.mark.parametrize("body", [printed(row(Comment="x@y")), "echo a warning"])
def test_an_answer_that_stays_garbled_is_none(client: Client, body: str, tmp_path: Path) -> None:
    with pytest.raises(GarbledError, match="sacct did not print the fields it was asked for"):
        client(sacct=f"{SEPARATED}; echo >>asked; {body}").runs(0, 1)
    assert (tmp_path / "asked").read_text() == "\n" * 3


def test_garbage_without_end_is_no_answer_and_takes_no_memory(client: Client) -> None:
    with pytest.raises(GarbledError):
        client(sacct="head -c 100000000 /dev/zero | tr '\\0' x; echo").runs(0, 1)


def test_a_failure_is_not_asked_again(client: Client, tmp_path: Path) -> None:
    with pytest.raises(SlurmError, match="slurmdbd is down"):
        client(sacct="echo >>asked; echo part; echo 'sacct: error: slurmdbd is down' >&2; exit 1").runs(0, 1)
    assert (tmp_path / "asked").read_text() == "\n"


def test_squeue_is_given_its_separator_where_no_other_user_reads_it(client: Client, tmp_path: Path) -> None:
    d = 'd=$(printf %s "$SQUEUE_FORMAT2" | sed "s/^JobID:\\([^,]*\\),.*/\\1/")'
    sound, odd_one = ("@".join((one, *list(JOB.values())[1:], one)) for one in ("12", "x"))
    slurm = client(squeue=f'echo "$*" >args; {d}; {printed(sound, odd_one)}')
    assert [one.job_id for one in slurm.queue()] == [12]
    assert (tmp_path / "args").read_text() == "-h -a --local\n"
    (odd,) = slurm.unreadable()
    assert odd.line.startswith("x|12|")
    assert slurm.unreadable() == []
    assert queue.QUEUE_FIELDS[0] == queue.QUEUE_FIELDS[-1]


# --- resized jobs --------------------------------------------------------------------------------------


def starts(slurm: Slurm) -> list[int | None]:
    return [one.start_at for one in slurm.runs(0, 1) if isinstance(one, Run)]


@pytest.mark.parametrize(
    ("version", "rows", "earlier", "expected"),
    [
        ("22.05.8", [FIRST, LATER], [], [1795474100, 1795475000]),
        ("22.05.8", [LATER], [FIRST, LATER], [1795475000]),
        ("22.05.8", [LATER], [LATER], [1795474100]),
        ("22.05.8", [LATER], [], [1795474100]),
        ("24.11.5", [FIRST, LATER], [FIRST], [1795474100, 1795474100]),
    ],
    ids=["in the same answer", "of another interval", "no resize", "nothing before", "a Start of its own"],
)
def test_only_a_resize_moves_the_start_of_a_run(
    client: Client, version: str, rows: list[dict[str, str]], earlier: list[dict[str, str]],
    expected: list[int],
) -> None:  # fmt: skip
    then, now = (printed(*(row(**one) for one in some)) if some else "true" for some in (earlier, rows))
    sacct = (
        f'{SEPARATED}; case "$*" in *" -j 4021 -S uts1795474100 -E uts1795475001 "*) {then};; *) {now};; esac'
    )
    assert starts(client(sacct=sacct, sshare=f"echo slurm {version}")) == expected


def test_runs_without_a_late_submit_cost_no_other_question(client: Client) -> None:
    assert starts(client(sacct=f"{SEPARATED}; {printed(row())}")) == [1795474100]


# --- rights --------------------------------------------------------------------------------------------

CONFIG = """\
ClusterName = loop
SLURM_VERSION = 22.05.8
PriorityType = priority/multifactor
SlurmUser = slurm(64030)
PrivateData = {}"""
SLURMDBD = """\
PrivateData = jobs
SlurmDBD configuration:
PrivateData = {}
MaxQueryTimeRange = UNLIMITED
PurgeJobAfter = NONE"""
TREE = "case $* in *ParentID*) echo '1|0|1';; *) echo 'root|||1';; esac"
TRES = "1||0.000000|300|1.000000|"


def hiding(client: Client, user: str, level: str, slurmctld: str = "none", slurmdbd: str = "none") -> Slurm:
    sacctmgr = (
        f'case "$*" in *configuration*) echo "{SLURMDBD.format(slurmdbd)}";; '
        f'*AdminLevel*) [ {level} ] && echo "{level}|{user}";; *) {TREE};; esac; true'
    )
    return client(
        user, scontrol=f'echo "{CONFIG.format(slurmctld)}"', sacctmgr=sacctmgr, sacct="true", squeue="true",
        sreport="true", sshare=f"case $* in -V) echo slurm 22.05.8;; *) echo '{TRES}';; esac",
    )  # fmt: skip


READS: dict[str, Callable[[Slurm], object]] = {
    "runs": lambda slurm: slurm.runs(0, 1),
    "queue": Slurm.queue,
    "associations": Slurm.associations,
    "utilization": lambda slurm: slurm.utilization(0, 3600),
}
HIDDEN = [("runs", "slurmdbd", "jobs"), ("runs", "slurmdbd", "usage,jobs"), ("queue", "slurmctld", "jobs"),
          ("associations", "slurmctld", "usage"), ("associations", "slurmdbd", "users"),
          ("utilization", "slurmdbd", "usage"), ("queue", "slurmctld", "all")]  # fmt: skip


@pytest.mark.parametrize(("read", "where", "words"), HIDDEN)
def test_an_answer_that_hides_rows_is_no_answer(client: Client, read: str, where: str, words: str) -> None:
    with pytest.raises(
        BlindError, match=r"PrivateData=\w+ hides .* from saf .*nothing was read; run: sacctmgr"
    ):
        READS[read](hiding(client, "saf", "None", **{where: words}))


def test_what_to_do_is_said(client: Client) -> None:
    with pytest.raises(BlindError) as caught:
        hiding(client, "saf", "None", slurmdbd="jobs").runs(0, 1)
    assert str(caught.value) == (
        "PrivateData=jobs hides other users' jobs from saf (AdminLevel None), so nothing was read; "
        "run: sacctmgr -i modify user where name=saf set adminlevel=Operator"
    )
    with pytest.raises(BlindError, match=r"from saf \(no user of slurmdbd\).*add user name=saf"):
        hiding(client, "saf", "", slurmdbd="jobs").runs(0, 1)


@pytest.mark.parametrize(("read", "where", "words"), HIDDEN)
@pytest.mark.parametrize(
    ("user", "level"), [("root", ""), ("slurm", ""), ("saf", "Operator"), ("saf", "Administrator")]
)
def test_who_is_shown_everything_reads_everything(
    client: Client, read: str, where: str, words: str, user: str, level: str
) -> None:
    READS[read](hiding(client, user, level, **{where: words}))


@pytest.mark.parametrize(("read", "where"), [
    ("runs", "slurmctld"), ("queue", "slurmdbd"), ("associations", ""), ("utilization", ""),
])  # fmt: skip
def test_what_hides_nothing_of_a_read_is_no_obstacle(client: Client, read: str, where: str) -> None:
    READS[read](hiding(client, "saf", "None", **({where: "jobs"} if where else {})))


def test_where_it_cannot_be_told_whether_rows_are_hidden_nothing_is_read(client: Client) -> None:
    slurm = hiding(client, "saf", "None")
    client("saf", sacctmgr="echo 'sacctmgr: error: slurmdbd is down' >&2; exit 1")
    with pytest.raises(SlurmError, match="slurmdbd is down"):
        slurm.runs(0, 1)


def test_a_run_that_cannot_be_read_is_told_among_the_runs(client: Client) -> None:
    slurm = client(sacct=f"{SEPARATED}; {printed(row(), row(DBIndex='2', State=''))}")
    found = list(slurm.runs(0, 1))
    assert [type(one) for one in found] == [Run, Rejected]
    assert slurm.unreadable() == []
    assert parse.RUN_FIELDS[0] == parse.RUN_FIELDS[-1]
