"""Odd texts and numbers in every field: the other rows are read, and nothing out of range becomes a charge.

Each question is asked once, with a row for each odd value between two sound ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

import pytest

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import chargeable, elapsed, tasks
from slurm_ai_factory.core.live.demand import Queued, Standing, demand
from slurm_ai_factory.core.measure import capacity
from slurm_ai_factory.core.records import DAY, FOREVER, Run
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import queue
from tests.cases import standin
from tests.cases.conftest import Client, Told
from tests.cases.facts import (
    NOW,
    OTHERS,
    REGION,
    RESERVATION,
    TERMS,
    TREE,
    Row,
    event,
    facts,
    job,
    run,
    share,
    size,
)

NUMBERS = (
    "0", "-1", *map(str, (2**31 - 1, 2**32 - 2, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 10**30)),
    "9" * 400, "9" * 5000, "", "NaN", "-nan", "inf", "-inf", "1e999", "1e308", "1.5", "NO_VAL",
)  # fmt: skip
TEXTS = (
    "one\ntwo", "\n", "a\x1fb", "|", "a|b|c", ",", "\r", "\x1b[31m", "\u2028", "x\n1|2|3|4|5|6", "'", "%s",
    "", "x" * 70_000,
)  # fmt: skip
CPUS, HOUR = 4, 3600


def between(odd: Iterable[Row], first: Row, last: Row) -> list[Row]:
    return [first, *odd, last]


# --- runs ----------------------------------------------------------------------------------------------

RUN_NUMBERS = (
    "DBIndex", "JobIDRaw", "ReservationId", "Submit", "Eligible", "Start", "End", "ElapsedRaw", "Suspended",
)  # fmt: skip
TRES = ("billing", "cpu", "energy", "mem", "node", "gres/gpu", "license/x")


def charge(one: Run) -> float:
    """CPU-seconds."""
    return float(elapsed(one, NOW) * tres.parse_tres(one.alloc_tres).get("cpu", 0))


def charged(client: Client, odd: Sequence[Row]) -> list[Run]:
    """Those of the runs that are charged; each of the others is told, and the sound ones are as they are."""
    rows = between(odd, run(1), run(2))
    found = [chargeable(one, NOW) for one in client(runs=rows).runs(0, NOW)]
    assert len(found) == len(rows)
    sound = [found[0], found[-1]]
    assert [(one.db_index, charge(one)) for one in sound if isinstance(one, Run)] == [
        (number, CPUS * HOUR) for number in (1, 2)
    ]
    return [one for one in found[1:-1] if isinstance(one, Run)]


@pytest.mark.parametrize("state", ["COMPLETED", "RUNNING", "SUSPENDED"])
@pytest.mark.parametrize("field", RUN_NUMBERS)
def test_no_number_of_a_run_hides_another_or_is_charged_for_more_than_there_was(
    client: Client, field: str, state: str
) -> None:
    """An open run of two hours ago has at most these two hours, and a finished one its hour."""
    over = state == "COMPLETED"
    odd = [run(9, State=state, **({} if over else {"End": "Unknown"}) | {field: text}) for text in NUMBERS]
    for one in charged(client, odd):
        assert charge(one) <= CPUS * (HOUR if over else 2 * HOUR)
        assert one.end_at is None or one.end_at <= NOW + DAY


@pytest.mark.parametrize("name", TRES)
def test_no_count_out_of_range_becomes_a_charge(client: Client, name: str) -> None:
    rest = ",".join(f"{one}=4" for one in TRES if one != name)
    found = charged(client, [run(9, AllocTRES=f"{rest},{name}={text}") for text in NUMBERS])
    most = CPUS if name != "cpu" else 2**62
    assert {charge(one) for one in found} <= {
        HOUR * count for count in (0, 1.5, 4, 2**31 - 1) if count <= most
    }


@pytest.mark.parametrize("suffix", ["", "K", "P", ".5", "0" * 1_000_000 + "P"])
@pytest.mark.parametrize("name", ["mem", "cpu"])
def test_a_count_of_any_length_is_read_or_told(client: Client, name: str, suffix: str) -> None:
    charged(client, [run(9, AllocTRES=f"billing=4,{name}=1{suffix}"), run(9, ReqTRES=f"{name}=1{suffix}")])


FREE = ("JobID", "Account", "User", "Partition", "QOS", "WCKey", "Reservation", "Comment")


@pytest.mark.parametrize("field", FREE)
def test_no_text_of_a_run_hides_another_or_changes_its_charge(client: Client, field: str) -> None:
    found = charged(client, [run(9, **{field: text}) for text in TEXTS])
    assert [charge(one) for one in found] == [CPUS * HOUR] * len(TEXTS)


def test_no_list_of_tasks_is_longer_than_an_array(client: Client) -> None:
    lists = [text for one in NUMBERS for text in (one, f"0-{one}", f"0-9%{one}")]
    waits = {"State": "PENDING", "Start": "Unknown", "End": "Unknown", "ElapsedRaw": "0", "AllocTRES": ""}
    odd = [run(9, JobID=f"9_[{text}]", **waits) for text in lists]
    assert max(tasks(one.job_label) for one in charged(client, odd)) <= 2**32


# --- the queue, its priorities, slurmctld's health -----------------------------------------------------

JOB_NUMBERS = ("JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "PriorityLong", "EligibleTime", "TimeLimit")


def queued(client: Client, odd: Sequence[Row]) -> list[Queued]:
    """Each job is demand, stands elsewhere or is told; the sound ones are demand."""
    rows = between(odd, job(1), job(2))
    slurm = client(queue=rows)
    found = slurm.queue()
    assert [found[0].job_id, found[-1].job_id] == [1, 2]
    told = slurm.unreadable()
    assert len(found) + len(told) <= len(rows)
    assert bool(told) == (len(found) < len(rows))
    wanted = demand(found, lambda _: Beneficiary.REGIONAL, {"cpu": 1}, NOW, 7 * DAY, {"mail": 300.0})
    waiting = wanted.sum(Beneficiary.REGIONAL, Standing.WAITING)
    assert waiting.amount >= 2 * CPUS
    assert isfinite(float(waiting.charge))
    return found


@pytest.mark.parametrize("field", JOB_NUMBERS)
def test_no_number_of_a_job_hides_another(client: Client, field: str) -> None:
    array = {"ArrayTaskID": "3"} if field == "ArrayJobID" else {}
    queued(client, [job(one, **array, **{field: text}) for one, text in enumerate(NUMBERS, 9)])


@pytest.mark.parametrize("text", ["0-{}", "0-9%{}", "{}-{}", "0-9:{}"])
def test_no_array_is_without_end(client: Client, text: str) -> None:
    queued(
        client, [job(one, ArrayTaskID=text.replace("{}", number)) for one, number in enumerate(NUMBERS, 9)]
    )


@pytest.mark.parametrize("name", ["cpu", "mem", "gres/gpu"])
def test_no_count_of_a_job_hides_another(client: Client, name: str) -> None:
    queued(
        client,
        [job(one, **{"tres-alloc": f"billing=4,{name}={text}"}) for one, text in enumerate(NUMBERS, 9)],
    )


@pytest.mark.parametrize(
    "field", ["State", "Reason", "Account", "UserName", "Partition", "QOS", "WCKey", "Reservation"]
)
def test_no_text_of_a_job_hides_another(client: Client, field: str) -> None:
    found = queued(client, [job(one, **{field: text}) for one, text in enumerate(TEXTS, 9)])
    assert len(found) >= 2 + len(TEXTS) - (field in ("State", "Partition"))


@pytest.mark.parametrize("field", list(TERMS))
def test_no_term_of_a_priority_hides_another(client: Client, field: str) -> None:
    texts = TEXTS if field == "%r" else (*NUMBERS, *(f"cpu={one}" for one in NUMBERS))
    odd = [{"%i": "9", **TERMS, field: text} for text in texts]
    slurm = client(prio=between(odd, {"%i": "1", **TERMS}, {"%i": "2", **TERMS}))
    found = slurm.priority_terms()
    assert [found[0].job_id, found[-1].job_id] == [1, 2]
    assert all(isfinite(one.fairshare) and isfinite(one.others) for one in found)
    assert slurm.unreadable() or field == "%r"


def test_terms_that_add_up_to_no_number_hide_no_other(client: Client) -> None:
    vast = {"%i": "9", **TERMS, "%A": "1e308", "%B": "1e308"}
    slurm = client(prio=between([vast], {"%i": "1", **TERMS}, {"%i": "2", **TERMS}))
    assert [one.job_id for one in slurm.priority_terms()] == [1, 2]
    assert len(slurm.unreadable()) == 1


@pytest.mark.parametrize("name", ["DBD Agent queue size", "Last depth cycle", "Last queue length"])
def test_a_count_of_sdiag_is_read_or_refused_in_one_sentence(name: str) -> None:
    sound = facts()["sdiag"]
    for text in NUMBERS:
        said = {key: values | ({name: text} if name in values else {}) for key, values in sound.items()}
        lines = standin.sdiag({"sdiag": said}, []).splitlines(keepends=True)
        if text.isdigit() and len(text) < 20 and int(text) <= FOREVER:
            assert int(text) in queue.parse_diagnostics(lines)
        else:
            with pytest.raises(SlurmError, match="sdiag's answer cannot be read"):
                queue.parse_diagnostics(lines)


# --- associations --------------------------------------------------------------------------------------


def users(texts: Sequence[str]) -> dict[str, Row]:
    """A user of umcg for each text, by the id of its association."""
    sound = {"ParentID": "6", "Share": "1", "Account": "umcg"}
    return {str(one): {**sound, "ID": str(one), "User": f"u{one}"} for one in range(100, 100 + len(texts))}


@pytest.mark.parametrize("field", ["NormShares", "RawUsage", "EffectvUsage", "LevelFS"])
def test_usage_out_of_range_is_unknown_and_the_others_stand(client: Client, field: str) -> None:
    """An empty figure is one that Slurm has none of, but for RawUsage; inf is a LevelFS without usage."""
    odd = users(NUMBERS)
    usage = [share(one, **{field: text}) for one, text in zip(odd, NUMBERS, strict=True)]
    slurm = client(assoc=[*facts()["assoc"], *odd.values()], share=[*usage, *map(share, TREE)])
    found = {one.user: one for one in slurm.associations() if one.user}
    assert (found["lp"].raw_usage, found["mail"].raw_usage) == (10, 10)
    unknown = [one for one in found.values() if one.raw_usage is None]
    assert len(unknown) == len(slurm.unreadable()) > 0
    assert {one.raw_shares for one in unknown} == {1}


@pytest.mark.parametrize("field", ["ID", "RawShares"])
@pytest.mark.parametrize("text", ["-1", str(10**30), "NaN"])
def test_shares_that_cannot_be_told_are_refused_in_one_sentence(
    client: Client, field: str, text: str
) -> None:
    with pytest.raises(SlurmError, match=r"^sshare printed a row that cannot be read: [^\n]*$"):
        client(share=[share("3", **{field: text})]).associations()


@pytest.mark.parametrize("field", ["ID", "ParentID", "Share"])
def test_a_tree_that_cannot_be_told_is_refused_in_one_sentence(client: Client, field: str) -> None:
    assoc = [one | ({field: str(2**63)} if one["ID"] == "6" else {}) for one in facts()["assoc"]]
    with pytest.raises(SlurmError, match=r"^sacctmgr printed an association that cannot be read: [^\n]*$"):
        client(assoc=assoc).associations()


@pytest.mark.parametrize("field", ["Account", "User"])
def test_no_name_of_an_association_hides_another(client: Client, field: str) -> None:
    names = [one for one in TEXTS if one and len(one) < 256]
    odd = users(names)
    named = [row | {field: text} for row, text in zip(odd.values(), names, strict=True)]
    found = client(assoc=[*facts()["assoc"], *named]).associations()
    assert len(found) == len(TREE) + len(names)
    first, rest = found[: len(TREE)], found[len(TREE) :]
    assert [(one.account, one.user or "") for one in first] == [one[1:3] for one in TREE.values()]
    assert {one.raw_shares for one in rest} == {1}


# --- what a cluster is and was ---------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["TimeStart", "TimeEnd", "cpu", "node"])
def test_no_number_of_an_event_hides_another(client: Client, field: str) -> None:
    time = field.startswith("Time")
    odd = [event(f"odd{number}", **({field: text} if time else {"TRES": f"{field}={text},mem=1M"}))
           for number, text in enumerate(NUMBERS)]  # fmt: skip
    rows = [size(2 * DAY, 100, 400), *between(odd, event("n1"), event("n2"))]
    slurm = client(event=rows)
    sizes, outages = slurm.events(NOW - DAY, NOW)
    assert [outages[0].node, outages[-1].node] == ["n1", "n2"]
    assert len(sizes) + len(outages) + len(slurm.unreadable()) == len(rows)
    up = capacity.capacity_by_hour(sizes, outages, {"cpu": 1}, NOW - DAY, NOW)
    assert up is not None
    assert all(0 <= one <= 400 * HOUR for one in up.values())


@pytest.mark.parametrize("text", ["one\ntwo", "a|b", "\x1f", "\u2028", ""])
def test_no_name_of_a_node_hides_another(client: Client, text: str) -> None:
    slurm = client(event=[size(2 * DAY, 100, 400), *between([event(text)], event("n1"), event("n2"))])
    sizes, outages = slurm.events(NOW - DAY, NOW)
    assert {"n1", "n2"} <= {one.node for one in outages}
    assert sizes[0].tres == "billing=400,cpu=400,node=100"


RESERVED = between([], {**RESERVATION, "ID": "1", "Name": "a"}, {**RESERVATION, "ID": "2", "Name": "b"})


@pytest.mark.parametrize("field", ["ID", "Start", "End", "Associations", "TRES", "Name"])
def test_no_reservation_hides_another(client: Client, field: str) -> None:
    texts = TEXTS if field == "Name" else [f"cpu={one}" if field == "TRES" else one for one in NUMBERS]
    slurm = client(reservation=between([{**RESERVED[0], field: text} for text in texts], *RESERVED))
    found = slurm.reservations(NOW - DAY, NOW)
    assert [found[0].name, found[-1].name] == ["a", "b"]
    assert all(0 <= count < 2**63 for one in found for _, count in one.tres)


def test_no_usage_factor_that_is_no_number_is_one(client: Client) -> None:
    odd = [{"Name": f"q{number}", "UsageFactor": text} for number, text in enumerate(NUMBERS)]
    named = [{"Name": one, "UsageFactor": "0.5"} for one in ("first", "last")]
    slurm = client(qos=between(odd, *named))
    found = slurm.usage_factors()
    assert (found["first"], found["last"]) == (0.5, 0.5)
    assert all(isfinite(one) and one >= 0 for one in found.values())
    assert slurm.unreadable()


def test_no_number_of_sreport_hides_another(client: Client) -> None:
    row = {"TresName": "cpu", "Login": "", "Accounts": " astro", "Used": "7"}
    root = {**row, "Accounts": "root", "Used": "7"}
    slurm = client(
        utilization=between([{**row, "Accounts": " odd", "Used": text} for text in NUMBERS], root, row)
    )
    found = slurm.utilization(NOW - DAY, NOW)
    assert found["astro", "cpu"] == 7
    assert slurm.unreadable()


# --- all of it at once -----------------------------------------------------------------------------------


def test_all_odd_rows_together_end_no_cycle_and_change_no_charge_of_the_region(told: Told) -> None:
    values = [*((one, text) for one in RUN_NUMBERS for text in NUMBERS),
              *((one, text) for one in FREE for text in TEXTS)]  # fmt: skip
    runs = [run(one, **{field: text}) for one, (field, text) in enumerate(values, 100)]
    values = [(one, text) for one in JOB_NUMBERS for text in NUMBERS]
    jobs = [job(one, **{field: text}) for one, (field, text) in enumerate(values, 100)]
    odd = users(NUMBERS)
    usage = [share(one, RawUsage=text) for one, text in zip(odd, NUMBERS, strict=True)]
    cycle, measured = told(
        runs=[REGION, *runs, OTHERS],
        queue=[job(1), *jobs],
        assoc=[*facts()["assoc"], *odd.values()],
        share=[*facts()["share"], *usage],
        event=[size(2 * DAY, 100, 400), *(event(f"n{text[:20]}", TimeStart=text) for text in NUMBERS)],
        prio=[{"%i": "1", **TERMS}, *({"%i": "9", **TERMS, "%F": text} for text in NUMBERS)],
    )
    assert cycle["rejected"]
    assert measured["regional_charge"] == CPUS * HOUR
    assert 2 * CPUS * HOUR < measured["total_charge"] <= CPUS * HOUR * (2 + len(runs))
    assert cycle["decision"]["reason"] != "usage_unknown", "usage of users is not steered on"
