"""Reservations, nodes and the ends of jobs, as scontrol and squeue of 22.05 printed them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.energy.keeping import ActKind, NodeNow, ReservationAct, ReservedNow
from slurm_ai_factory.core.records import FOREVER, Rejected
from slurm_ai_factory.slurm import reserving

RESERVATION = (
    "ReservationName=saf-grid StartTime=1795853140 EndTime=1795853440 Duration=00:05:00 Nodes=n[1-3] "
    "NodeCnt=3 CoreCnt=12 Features=(null) PartitionName=(null) Flags=MAINT,IGNORE_JOBS,SPEC_NODES "
    "TRES=cpu=12 Users=root Groups=(null) Accounts=(null) Licenses=(null) State=ACTIVE "
    "BurstBuffer=(null) Watts=n/a\n"
)


def test_reservations_are_read() -> None:
    (read,) = reserving.reserved_now([RESERVATION, "\n"])
    flags = frozenset({"MAINT", "IGNORE_JOBS", "SPEC_NODES"})
    assert read == ReservedNow("saf-grid", 1795853140, 1795853440, frozenset({"n1", "n2", "n3"}), flags)
    assert list(reserving.reserved_now(["No reservations in the system\n"])) == []


@pytest.mark.parametrize("change", [("StartTime=1795853140", "StartTime=N/A"), ("n[1-3]", "n[1-")])
def test_a_reservation_that_cannot_be_read_is_not_none(change: tuple[str, str]) -> None:
    (read,) = reserving.reserved_now([RESERVATION.replace(*change)])
    assert isinstance(read, Rejected)


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        ("IDLE", True),
        ("ALLOCATED+MAINTENANCE+RESERVED", True),
        ("IDLE+MAINTENANCE+RESERVED+PLANNED", True),
        ("IDLE+CLOUD+POWERED_DOWN", True),
        ("IDLE+DRAIN", False),
        ("DOWN*", False),
        ("DOWN*+DRAIN", False),
        ("IDLE*+NOT_RESPONDING", False),
    ],
)
def test_a_node_on_which_no_job_can_start_is_of_no_use(state: str, usable: bool) -> None:
    line = f"NodeName=n1 Arch=x86_64 CfgTRES=cpu=4,mem=1000M,billing=4 State={state} Weight=1 Owner=N/A\n"
    assert [
        (node.name, node.usable) for node in reserving.nodes_now([line], []) if isinstance(node, NodeNow)
    ] == [("n1", usable)]


def test_the_last_job_of_a_node_counts() -> None:
    rows = list(reserving.job_ends(["1795853800|n[1-2]\n", "1795853900|n1\n", "N/A|n3\n", "N/A|\n"]))
    ends = [row for row in rows if not isinstance(row, Rejected)]
    lines = [f"NodeName=n{number} CPUAlloc=4 CfgTRES=cpu=4 State=IDLE Weight=1\n" for number in range(1, 5)]
    busy = {"n1": 1795853900, "n2": 1795853800, "n3": FOREVER, "n4": 0}
    assert list(reserving.nodes_now(lines, ends)) == [
        NodeNow(name, True, end, "cpu=4,node=1") for name, end in busy.items()
    ]


NAMES = st.lists(st.integers(0, 120), min_size=1, max_size=20, unique=True)


@given(NAMES, st.integers(1, 4))
def test_a_list_of_nodes_has_the_names_that_were_put_into_it(numbers: list[int], width: int) -> None:
    text = ",".join(str(number).zfill(width) for number in numbers)
    assert reserving.expanded(f"gpu[{text}]-x") == [f"gpu{str(n).zfill(width)}-x" for n in numbers]


@pytest.mark.parametrize("text", ["n[1-", "n]1[", "n[]", "n[1-x]", "n[3-1-2]", ",", "n[1-99999999]", "a,,b",
                                  f"n[{10**9}-{2 * 10**9}]", f"n[1-{10**12}]",
                                  "n[0-9999999]", "[1-9999][1-9999][1-9999]"])  # fmt: skip
def test_what_is_no_list_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nodes"):
        reserving.expanded(text)


def test_no_more_names_are_made_than_a_cluster_can_have() -> None:
    """The bound is on their number, which is known before: a wide range takes no memory."""
    most = f"n[1-{reserving.MOST_NAMES}]"
    assert len(reserving.expanded(most)) == reserving.MOST_NAMES
    tracemalloc.start()
    for wide in (f"n[0-{reserving.MOST_NAMES}]", "n[1-9999999]", "[0-9999]" * 9):
        with pytest.raises(ValueError, match="has more than 1000000 nodes"):
            reserving.expanded(wide)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    with pytest.raises(ValueError, match="has more than 1000000 nodes"):
        reserving.expanded(f"{most},a")


@pytest.mark.parametrize(
    ("kind", "since", "command"),
    [
        (ActKind.CREATE, 3600,
         "scontrol create reservation ReservationName=saf-grid StartTime=1970-01-01T01:00:00 "
         "EndTime=1970-01-01T02:00:00 Nodes=a,b Users=root Flags=IGNORE_JOBS,MAINT"),
        (ActKind.CREATE, 900,
         "scontrol create reservation ReservationName=saf-grid StartTime=now EndTime=1970-01-01T02:00:00 "
         "Nodes=a,b Users=root Flags=IGNORE_JOBS,MAINT"),
        (ActKind.CHANGE, 900,
         "scontrol update ReservationName=saf-grid EndTime=1970-01-01T02:00:00 Nodes=a,b"),
        (ActKind.CHANGE, 3600,
         "scontrol update ReservationName=saf-grid StartTime=1970-01-01T01:00:00 "
         "EndTime=1970-01-01T02:00:00 Nodes=a,b"),
        (ActKind.END, 900, "scontrol delete ReservationName=saf-grid"),
    ],
)  # fmt: skip
def test_the_command_of_an_act(kind: ActKind, since: int, command: str) -> None:
    act = ReservationAct(kind, "saf-grid", since, 7200, ("a", "b"))
    assert " ".join(reserving.command_of_act(act, 1000)) == command
