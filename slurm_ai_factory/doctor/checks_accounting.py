"""Checks of ``saf doctor``: whether reads are complete, and mean what the promise says.

Tested in tests/doctor/test_checks.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.control.level import Refusal, find_level
from slurm_ai_factory.core.escaped import for_shell
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.live.rights import ANY
from slurm_ai_factory.core.records import GatheredEnergy, Mode
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor.defects import adding_tres
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, CheckResult, Facts, doctor_check, want
from slurm_ai_factory.slurm import shares

HALVINGS = 8
"""The reader halves an interval three times before it gives up."""

NOT_COMPARED = ("mem", "billing")
"""Nodes may register more memory than configured; billing follows weights, which pyslurm does not have."""


@doctor_check("clock", "windows and waiting times are measured by this machine's clock")
def clock_check(facts: Facts) -> CheckResult:
    offset, most = facts.now - facts.diagnostics.at, facts.clock_tolerance
    wanted = f"within {most} s of slurmctld's"
    fix = "chronyc makestep, here and on the host of slurmctld"
    return want(abs(offset) <= most, PROBLEM, f"{offset:+} s", wanted, fix)


@doctor_check(
    "private_data",
    "Slurm leaves out rows without saying so, and a partial answer looks complete",
    ("slurmdbd", "admin_level"),
)
def private_data_check(facts: Facts) -> CheckResult:
    of_dbd = facts.slurmdbd.private_data if facts.slurmdbd else ()
    hidden = ANY.hidden(facts.priority.private_data, of_dbd)
    state = f"PrivateData has {', '.join(hidden)}" if hidden else "nothing is hidden"
    wanted = f"nothing hidden from {facts.user}"
    return want(not hidden or facts.privileged, PROBLEM, state, wanted, facts.remedy)


@doctor_check("rights", "without AdminLevel=Operator Slurm refuses every write", ("admin_level",))
def rights_check(facts: Facts) -> CheckResult:
    fine = facts.privileged or facts.mode != Mode.ENFORCE
    level = facts.admin_level
    state = f"{facts.user} has AdminLevel {level}" if level else f"no user {facts.user}"
    return want(fine, PROBLEM, state, "AdminLevel=Operator, when control.mode is enforce", facts.remedy)


@doctor_check("tracked", "Slurm records only the TRES that AccountingStorageTRES names")
def tracked_check(facts: Facts) -> CheckResult:
    missing = health.untracked(facts.priority, facts.weights)
    wanted = f"{', '.join(facts.weights)} in AccountingStorageTRES"
    slurm = f"AccountingStorageTRES={','.join(missing)} as well, and systemctl restart slurmctld"
    fix = f"saf promise set --resource; or slurm.conf: {slurm}{adding_tres(facts.priority.version)}"
    state = f"lacks {', '.join(missing)}: no such charge is recorded" if missing else "tracked"
    return want(not missing, PROBLEM, state, wanted, fix)


@doctor_check(
    "billing_weights",
    "without weights a partition bills its CPUs, whatever else it provides",
    ("partitions",),
)
def billing_weights_check(facts: Facts) -> CheckResult:
    wanted = "TRESBillingWeights on every partition or on none, when the promise is in billing"
    bare = [partition.name for partition in facts.partitions or () if not partition.weights]
    mixed = bool(bare) and len(bare) < len(facts.partitions or ())
    if "billing" not in facts.weights:
        return CheckResult(OK, "the promise is not in billing", wanted)
    state = f"none on {', '.join(bare)}: billing is CPUs there" if bare else "on every partition"
    weights = next((partition.weights for partition in facts.partitions or () if partition.weights), "")
    conf = f'TRESBillingWeights="{weights}" for {", ".join(bare)}; then scontrol reconfigure'
    fix = (
        "saf promise set --resource gres/gpu or cpu, which no partition weighs\n"
        f"or, which changes the usage and limits of all users there: slurm.conf: {conf}"
    )
    return want(not mixed, PROBLEM, state, wanted, fix)


@doctor_check(
    "usage_resource",
    "Fair Tree orders by what TRESBillingWeights count, whatever was promised",
    ("partitions",),
)
def usage_resource_check(facts: Facts) -> CheckResult:
    wanted = f"TRESBillingWeights that count {', '.join(facts.weights)} on every partition"
    partitions = facts.partitions or ()
    blind = [row.name for row in partitions if not _counts(row.weights, facts.weights)]
    if not blind:
        return CheckResult(OK, "usage counts what was promised", wanted)
    level = find_level(facts.accounts, facts.associations)
    usage = None if isinstance(level, Refusal) else level.usage_share
    delivered = facts.lever.delivered_share if facts.lever else None
    by_usage, by_promise = (
        "an unknown part" if share is None else f"{share:.1%}" for share in (usage, delivered)
    )
    state = (
        f"Fair Tree does not count {', '.join(facts.weights)} on {', '.join(blind)}: the region has "
        f"{by_usage} of the usage, and was delivered {by_promise} of the promised resource"
    )
    fix = (
        "saf promise set --resource, with a resource that is counted, if the promise allows it\n"
        "slurm.conf: TRESBillingWeights on these partitions, which changes the usage and limits of all users"
    )
    return CheckResult(WARNING, state, wanted, fix)


def _counts(weights: str, promised: Collection[str]) -> bool:
    """Whether a partition's TRESBillingWeights count any of the promised TRES; without weights CPUs count."""
    named = {entry.partition("=")[0].strip().lower() for entry in weights.split(",")} - {""}
    counted = named or {"cpu"}
    return any(name == "billing" or name in counted or name.partition(":")[0] in counted for name in promised)


@doctor_check("usage_factor", "with another UsageFactor usage is not what was delivered", ("usage_factors",))
def usage_factor_check(facts: Facts) -> CheckResult:
    odd = {name: factor for name, factor in (facts.usage_factors or {}).items() if factor != 1}
    state = ", ".join(f"{name} {factor:g}" for name, factor in odd.items()) or "1 for every QOS"
    wanted = "UsageFactor 1: with another, usage is not what was delivered, and with 0 it is free"
    fix = "\n".join(
        f"sacctmgr -i modify qos where {for_shell(f'name={name}')} set UsageFactor=1" for name in odd
    )
    return want(not odd, WARNING, state, wanted, fix)


@doctor_check("oversubscribe", "more is charged than exists", ("partitions",))
def oversubscribe_check(facts: Facts) -> CheckResult:
    odd = [row for row in facts.partitions or () if row.oversubscribe.startswith(("FORCE", "YES"))]
    state = ", ".join(f"{row.name} {row.oversubscribe}" for row in odd) or "no partition"
    fix = "\n".join(f"slurm.conf: PartitionName={row.name} OverSubscribe=NO" for row in odd)
    return want(not odd, WARNING, state, "no OverSubscribe: it charges the same CPU twice", fix)


@doctor_check("agent_queue", "accounting lags behind, and every measurement with it")
def agent_queue_check(facts: Facts) -> CheckResult:
    queued = facts.diagnostics.agent_queue
    fix = "check that slurmdbd runs and answers: sacctmgr ping; systemctl restart slurmdbd"
    wanted = f"at most {health.AGENT_QUEUE_MOST} messages to slurmdbd undelivered"
    return want(queued <= health.AGENT_QUEUE_MOST, PROBLEM, str(queued), wanted, fix)


@doctor_check(
    "query_range", "slurmdbd refuses wider queries: `Too wide of a date range in query`", ("slurmdbd",)
)
def query_range_check(facts: Facts) -> CheckResult:
    """MaxQueryTimeRange does not bind operators."""
    most, asked = facts.slurmdbd.query_seconds if facts.slurmdbd else None, facts.read_window_seconds
    fine = facts.privileged or most is None or asked <= most
    hopeless = most is not None and asked > HALVINGS * most
    fix = f'saf.toml: slurm.read_window = "{most}s"\n{facts.remedy}'
    wanted = f"MaxQueryTimeRange of at least slurm.read_window, {asked} s"
    state = "no limit" if most is None else f"{most} s"
    return want(fine, PROBLEM if hopeless else WARNING, state, wanted, fix)


@doctor_check("purge", "history that slurmdbd has purged cannot be read any more", ("slurmdbd",))
def purge_check(facts: Facts) -> CheckResult:
    kept, window = facts.slurmdbd.kept_seconds if facts.slurmdbd else None, facts.window_seconds
    wanted = f"jobs kept longer than the window of {window // 86400} days"
    fix = f"slurmdbd.conf: PurgeJobAfter={window // 86400 * 2 + 30}days; then systemctl restart slurmdbd"
    state = "forever" if kept is None else f"{kept // 86400} days"
    return want(kept is None or kept > window, WARNING, state, wanted, fix)


@doctor_check("coordinators", "a coordinator may change the steered shares", ("coordinators",))
def coordinators_check(facts: Facts) -> CheckResult:
    """Coordinators of an account may set the shares below it, not its own."""
    pairs = [(name, account) for account, names in (facts.coordinators or {}).items() for name in names]
    fix = "\n".join(
        f"sacctmgr -i delete coordinator where {for_shell(f'name={name}')} {for_shell(f'account={account}')}"
        for name, account in pairs
    )
    names = ", ".join(f"{name} ({account})" for name, account in pairs)
    state = f"{names} may change the steered RawShares" if pairs else "none over the steered row"
    return want(not pairs, WARNING, state, "no coordinator of an account above the steered ones", fix)


@doctor_check("foreign_writer", "two writers of one row undo each other's changes", ("transactions",))
def foreign_writer_check(facts: Facts) -> CheckResult:
    """Only changes after saf's own last one count: a user who set the shares before that is not a rival."""
    log = list(facts.transactions or ())
    own = [place for place, change in enumerate(log) if change.actor == facts.user]
    foreign = log[own[-1] + 1 :] if own else []
    wanted = f"only {facts.user} sets RawShares of {facts.steered}"
    if not foreign:
        state = (
            f"no change by others since {facts.user}'s last" if own else f"none by {facts.user} in 30 days"
        )
        return CheckResult(OK, state, wanted)
    last = foreign[-1]
    days = max(0, facts.now - last.at) // 86400
    state = (
        f"{count(len(foreign), 'change')} by {', '.join(sorted({change.actor for change in foreign}))}; "
        f"the last set {last.raw_shares}, {count(days, 'day')} ago"
    )
    fix = f"stop {last.actor} from setting RawShares of {facts.steered}, or set control.mode to observe"
    return CheckResult(WARNING, state, wanted, fix)


@doctor_check(
    "capacity", "a share of capacity rests on the size that slurmdbd has of the cluster", ("nodes", "size")
)
def capacity_check(facts: Facts) -> CheckResult:
    """Compares the TRES that both have; slurmctld reports its nodes to slurmdbd when it reads slurm.conf."""
    now: Counter[str] = Counter()
    for node in facts.nodes or ():
        now.update(tres.parse_tres(node.tres))
    stored = tres.parse_tres(facts.size or "")
    names = [name for name in sorted(stored) if name in now and name not in NOT_COMPARED]
    odd = [
        f"{name} {stored[name]}, its nodes have {now[name]}" for name in names if stored[name] != now[name]
    ]
    state = f"slurmdbd has {'; '.join(odd)}" if odd else "slurmdbd has what the nodes have"
    wanted = "the same TRES in slurmdbd as in the nodes of slurmctld"
    return want(not odd, WARNING, state if stored else "slurmdbd has no size", wanted, "scontrol reconfigure")


@doctor_check("source", "reads that fall back to Slurm's commands are right, but cost more")
def source_check(facts: Facts) -> CheckResult:
    wanted = f"every read that slurm.source = {facts.source} is for"
    if not facts.refused:
        return CheckResult(OK, facts.source, wanted)
    by_reason: dict[str, list[str]] = {}
    for what, why in sorted(facts.refused.items()):
        by_reason.setdefault(why, []).append(what)
    reasons = "; ".join(f"{', '.join(whats)}: {why}" for why, whats in by_reason.items())
    fix = 'remove the reason, or saf.toml: slurm.source = "commands"'
    return CheckResult(WARNING, f"Slurm's commands were asked instead for {reasons}", wanted, fix)


@doctor_check(
    "usage_digits", "text has six decimals, too few for the shares of a small account", ("shares_schema",)
)
def usage_digits_check(facts: Facts) -> CheckResult:
    """Text is all that old releases have; from 24.11 on JSON is only missing where a package is."""
    wanted = "shares and usage from sshare in JSON, with all digits"
    if facts.shares_schema:
        return CheckResult(OK, f"JSON, schema {facts.shares_schema}", wanted)
    version = facts.priority.version
    state = f"sshare of Slurm {version} is read as text: NormShares, EffectvUsage and LevelFS to 0.000001"
    expected = bool(shares.schemas(f"slurm {version}"))
    fix = "install Slurm's JSON plugins (serializer_json, data_parser); sshare --json=list shows its schemas"
    return want(not expected, WARNING, state, wanted, fix)


@doctor_check("rules", "a rule with a mistyped account matches nothing")
def rules_match_check(facts: Facts) -> CheckResult:
    unknown, unmatched = facts.unknown_accounts, facts.unclassified_accounts
    parts = [
        (f"rules name {', '.join(unknown)}, which Slurm does not have", unknown),
        (f"no rule matches {', '.join(unmatched)}, so their charge counts as not regional", unmatched),
    ]
    state = "; ".join(text for text, names in parts if names) or "every account with users"
    wanted = "a rule for each account with users, and no rule for unknown accounts"
    return want(not (unknown or unmatched), WARNING, state, wanted, "saf.toml: correct [[rule]]")


@doctor_check("promise", "the term in the ledger is the promise, whatever saf.toml says", ("promise",))
def promise_check(facts: Facts) -> CheckResult:
    state = facts.contradiction or "saf.toml and the promise's term agree"
    fix = "remove these keys from saf.toml, or change the promise: saf promise set"
    return want(not facts.contradiction, WARNING, state, "one promise", fix)


@doctor_check("queue_words", "demand is recognised by Slurm's states and reasons")
def queue_words_check(facts: Facts) -> CheckResult:
    unknown = ", ".join(f"{word} ({jobs})" for word, jobs in facts.unknown_words.items())
    fix = "report these words; until saf knows them, their jobs count neither as waiting nor as running"
    wanted = "every state and reason in the queue known"
    return want(not unknown, WARNING, unknown or "all known", wanted, fix)


@doctor_check("retention", "names and texts past their retention are still stored", ("retained",))
def retention_check(facts: Facts) -> CheckResult:
    wanted = "`saf ledger pseudonymise` once a day, when [privacy] lets anything go"
    kept = facts.retained
    late = kept is not None and kept.overdue(facts.now)
    last = "never" if kept is None or kept.last is None else iso(kept.last)
    state = f"last complete pass: {last}" if late else "in time" if kept else "[privacy] lets nothing go"
    return want(not late, WARNING, state, wanted, "systemctl enable --now saf-pseudonymise.timer")


@doctor_check("standbys", "a standby that is promoted lacks the commits that did not wait for it")
def standbys_check(facts: Facts) -> CheckResult:
    wanted = "a commit waits for a standby of the ledger, if there is one"
    if facts.standbys is None:
        return CheckResult(OK, "not known: the ledger cannot be read", wanted)
    fix = "in PostgreSQL: synchronous_standby_names = 'ANY 1 (*)' and synchronous_commit = on, then reload"
    number, awaited = facts.standbys
    how = "a commit waits for one" if awaited else "no commit waits for one"
    state = f"{count(number, 'standby')}: {how}" if number else "no standby"
    return want(not number or awaited, WARNING, state, wanted, fix)


@doctor_check("proposals", "a proposal has no effect before a second person approves it")
def proposals_check(facts: Facts) -> CheckResult:
    wanted = "no proposal waiting"
    if facts.proposals is None:
        return CheckResult(OK, "not known: the ledger cannot be read", wanted)
    fix = "saf approval list; then, by another person: saf approval approve N, or reject N"
    return want(not facts.proposals, WARNING, f"{facts.proposals} waiting", wanted, fix)


@doctor_check(
    "acknowledgements", "an acknowledged finding does not count before its date", ("acknowledgements",)
)
def acknowledgements_check(facts: Facts) -> CheckResult:
    lasting = [name for name, row in facts.acknowledgements.items() if facts.now < row.until]
    return CheckResult(OK, ", ".join(lasting) or "none", "known, so that findings count or not")


@doctor_check("energy", "Slurm adds energy up by step, and may see a part of a node", ("gathered_energy",))
def energy_check(facts: Facts) -> CheckResult:
    """Without Contain the energy of batch and srun steps of a node adds up (stepmgr.c); rapl sees no GPU."""
    plugin, contained = facts.gathered_energy or GatheredEnergy("", contained=True)
    gpus = any("gres/gpu" in tres.parse_tres(node.tres) for node in facts.nodes or ())
    twice = "PrologFlags lacks Contain: a job's energy may be counted twice"
    faults = [twice] if plugin and not contained else []
    faults += ["rapl measures no GPU"] if plugin == "rapl" and gpus else []
    state = f"acct_gather_energy/{plugin}" if plugin else "Slurm gathers no energy"
    wanted = "PrologFlags=Contain, and a counter that sees the whole node"
    fix = "slurm.conf: PrologFlags=Contain; then import meters of nodes and GPUs: saf meter import"
    return want(not faults, WARNING, "; ".join([state, *faults]), wanted, fix)
