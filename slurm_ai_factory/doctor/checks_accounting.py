"""Checks of ``saf doctor``: whether what is read is all there is, and means what the promise says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.control.level import Refusal, find_level
from slurm_ai_factory.core.escaped import for_shell
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.live.rights import ANY
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, CheckResult, Facts, want

HALVINGS = 8
"""The reader halves an interval three times before it gives up."""

NOT_COMPARED = ("mem", "billing")
"""Nodes may have registered more memory than configured; billing follows weights, which pyslurm has not."""


def clock(facts: Facts) -> CheckResult:
    off, most = facts.now - facts.diagnostics.at, facts.clock_tolerance
    wanted = f"within {most} s of slurmctld's"
    fix = "chronyc makestep, here and on the host of slurmctld"
    return want(abs(off) <= most, PROBLEM, f"{off:+} s", wanted, fix)


def private_data(facts: Facts) -> CheckResult:
    """Slurm leaves out what a user may not see, and does not say so."""
    of_dbd = facts.slurmdbd.private_data if facts.slurmdbd else ()
    hidden = ANY.hidden(facts.priority.private_data, of_dbd)
    found = f"PrivateData has {', '.join(hidden)}" if hidden else "nothing is hidden"
    wanted = f"nothing hidden from {facts.user}"
    return want(not hidden or facts.privileged, PROBLEM, found, wanted, facts.remedy)


def rights(facts: Facts) -> CheckResult:
    fine = facts.privileged or facts.mode != "enforce"
    found = (
        f"{facts.user} has AdminLevel {facts.admin_level}" if facts.admin_level else f"no user {facts.user}"
    )
    return want(fine, PROBLEM, found, "AdminLevel=Operator, when control.mode is enforce", facts.remedy)


def tracked(facts: Facts) -> CheckResult:
    missing = health.untracked(facts.priority, facts.weights)
    wanted = f"{', '.join(facts.weights)} in AccountingStorageTRES"
    slurm = f"AccountingStorageTRES={','.join(missing)} as well, and systemctl restart slurmctld"
    fix = f"saf promise set --resource; or slurm.conf: {slurm}"
    found = f"lacks {', '.join(missing)}: no such charge is recorded" if missing else "tracked"
    return want(not missing, PROBLEM, found, wanted, fix)


def promise(facts: Facts) -> CheckResult:
    found = facts.contradiction or "saf.toml and the promise's term agree"
    fix = "remove these keys from saf.toml, or change the promise: saf promise set"
    return want(not facts.contradiction, WARNING, found, "one promise", fix)


def billing_weights(facts: Facts) -> CheckResult:
    """Where a partition has no weights, billing is the number of CPUs."""
    wanted = "TRESBillingWeights on every partition or on none, when the promise is in billing"
    bare = [one.name for one in facts.partitions or () if not one.weights]
    mixed = bool(bare) and len(bare) < len(facts.partitions or ())
    if "billing" not in facts.weights:
        return CheckResult(OK, "the promise is not in billing", wanted)
    found = f"none on {', '.join(bare)}: billing is CPUs there" if bare else "on every partition"
    weights = next((one.weights for one in facts.partitions or () if one.weights), "")
    fix = "saf promise set --resource gres/gpu or cpu, which no partition weighs"
    conf = f'TRESBillingWeights="{weights}" for {", ".join(bare)}; then scontrol reconfigure'
    fix += f"\nor, which changes usage and limits of everybody there: slurm.conf: {conf}"
    return want(not mixed, PROBLEM, found, wanted, fix)


def het_billing(facts: Facts) -> CheckResult:
    """Slurm 26.05.5 leaves billing out of AllocTRES of the parts of heterogeneous jobs; 24.11.5 does not."""
    version = facts.priority.version
    hit = version.startswith("26.05.") and "billing" in facts.weights
    found = f"Slurm {version} records no billing for heterogeneous jobs" if hit else f"Slurm {version}"
    wanted = "the billing of every job in its record, when the promise is in billing"
    fix = "saf promise set --resource cpu, node or gres/gpu"
    return want(not hit, WARNING, found, wanted, fix)


def usage_resource(facts: Facts) -> CheckResult:
    """A partition without TRESBillingWeights has its CPUs counted, and GPUs that are promised are not."""
    wanted = f"TRESBillingWeights that count {', '.join(facts.weights)} on every partition"
    blind = [one.name for one in facts.partitions or () if not _counts(one.weights, facts.weights)]
    if not blind:
        return CheckResult(OK, "usage counts what was promised", wanted)
    shares = (_usage_share(facts), facts.lever.delivered_share if facts.lever else None)
    usage, delivered = ("not known" if one is None else f"{one:.1%}" for one in shares)
    found = (
        f"Fair Tree does not count {', '.join(facts.weights)} on {', '.join(blind)}: by its usage the region "
        f"has {usage}, by the promise it was delivered {delivered}"
    )
    fix = (
        "saf promise set --resource, one that is counted, if the promise allows it\n"
        "slurm.conf: TRESBillingWeights on these partitions, which changes the usage and limits of all users"
    )
    return CheckResult(WARNING, found, wanted, fix)


def _counts(weights: str, promised: Collection[str]) -> bool:
    """Whether a partition's TRESBillingWeights count any of the promised TRES."""
    named = {entry.partition("=")[0].strip().lower() for entry in weights.split(",")} - {""}
    counted = named or {"cpu"}
    return any(name == "billing" or name in counted or name.partition(":")[0] in counted for name in promised)


def _usage_share(facts: Facts) -> float | None:
    """The steered accounts' part of the usage that Fair Tree works with; None where it is not told."""
    found = find_level(facts.accounts, facts.associations)
    return None if isinstance(found, Refusal) else found.usage_share


def usage_factor(facts: Facts) -> CheckResult:
    odd = {name: factor for name, factor in (facts.usage_factors or {}).items() if factor != 1}
    found = ", ".join(f"{name} {factor:g}" for name, factor in odd.items()) or "1 for every QOS"
    wanted = "UsageFactor 1: with another, usage is not what was delivered, and with 0 it is free"
    fix = "\n".join(
        f"sacctmgr -i modify qos where {for_shell(f'name={name}')} set UsageFactor=1" for name in odd
    )
    return want(not odd, WARNING, found, wanted, fix)


def oversubscribe(facts: Facts) -> CheckResult:
    odd = [one for one in facts.partitions or () if one.oversubscribe.startswith(("FORCE", "YES"))]
    found = ", ".join(f"{one.name} {one.oversubscribe}" for one in odd) or "no partition"
    fix = "\n".join(f"slurm.conf: PartitionName={one.name} OverSubscribe=NO" for one in odd)
    return want(not odd, WARNING, found, "no OverSubscribe: the same CPU is charged twice", fix)


def agent_queue(facts: Facts) -> CheckResult:
    found = facts.diagnostics.agent_queue
    fix = "see whether slurmdbd runs and answers: sacctmgr ping; systemctl restart slurmdbd"
    wanted = f"at most {health.AGENT_QUEUE_MOST} messages to slurmdbd undelivered"
    return want(found <= health.AGENT_QUEUE_MOST, PROBLEM, str(found), wanted, fix)


def query_range(facts: Facts) -> CheckResult:
    """Operators are not bound by it."""
    most, asked = facts.slurmdbd.query_seconds if facts.slurmdbd else None, facts.read_window_seconds
    fine = facts.privileged or most is None or asked <= most
    hopeless = most is not None and asked > HALVINGS * most
    fix = f'saf.toml: slurm.read_window = "{most}s"\n{facts.remedy}'
    wanted = f"MaxQueryTimeRange of at least slurm.read_window, {asked} s"
    found = "no limit" if most is None else f"{most} s"
    return want(fine, PROBLEM if hopeless else WARNING, found, wanted, fix)


def purge(facts: Facts) -> CheckResult:
    kept, window = facts.slurmdbd.kept_seconds if facts.slurmdbd else None, facts.window_seconds
    wanted = f"jobs kept longer than the window of {window // 86400} days"
    fix = f"slurmdbd.conf: PurgeJobAfter={window // 86400 * 2 + 30}days; then systemctl restart slurmdbd"
    found = "for ever" if kept is None else f"{kept // 86400} days"
    return want(kept is None or kept > window, WARNING, found, wanted, fix)


def coordinators(facts: Facts) -> CheckResult:
    """Coordinators of an account may set the shares of what is below it, not its own."""
    found = (facts.coordinators or {}).get("root", ())
    fix = "\n".join(
        f"sacctmgr -i delete coordinator where {for_shell(f'name={one}')} account=root" for one in found
    )
    said = f"{', '.join(found)} may change RawShares at the top" if found else "none over the steered row"
    return want(not found, WARNING, said, "no coordinator of root", fix)


def foreign_writer(facts: Facts) -> CheckResult:
    """Who sets shares before saf's first change, or before its last one took them up, is no rival of it."""
    log = list(facts.transactions or ())
    own = [place for place, one in enumerate(log) if one.actor == facts.user]
    foreign = log[own[-1] + 1 :] if own else []
    wanted = f"nobody but {facts.user} sets RawShares of {facts.steered}"
    if not foreign:
        found = f"nobody else since {facts.user} did" if own else f"{facts.user} itself set none in 30 days"
        return CheckResult(OK, found, wanted)
    last = foreign[-1]
    found = f"{count(len(foreign), 'change')} by {', '.join(sorted({one.actor for one in foreign}))}"
    days = max(0, facts.now - last.at) // 86400
    said = f"{found}; the last set {last.raw_shares}, {count(days, 'day')} ago"
    fix = f"let {last.actor} leave RawShares of {facts.steered} alone, or set control.mode to observe"
    return CheckResult(WARNING, said, wanted, fix)


def capacity(facts: Facts) -> CheckResult:
    """Of what both tell; slurmdbd is told of a change of nodes when slurmctld starts or reads slurm.conf."""
    now: Counter[str] = Counter()
    for one in facts.nodes or ():
        now.update(tres.parse_tres(one.tres))
    taken = tres.parse_tres(facts.size or "")
    names = [name for name in sorted(taken) if name in now and name not in NOT_COMPARED]
    odd = [f"{name} {taken[name]}, its nodes have {now[name]}" for name in names if taken[name] != now[name]]
    found = f"slurmdbd has {'; '.join(odd)}" if odd else "slurmdbd has what the nodes have"
    wanted = "the same TRES in slurmdbd as in the nodes of slurmctld"
    return want(not odd, WARNING, found if taken else "slurmdbd has no size", wanted, "scontrol reconfigure")


def source_check(facts: Facts) -> CheckResult:
    wanted = f"every read that slurm.source = {facts.source} is for"
    if not facts.refused:
        return CheckResult(OK, facts.source, wanted)
    by_reason: dict[str, list[str]] = {}
    for what, why in facts.refused.items():
        by_reason.setdefault(why, []).append(what)
    reasons = "; ".join(f"{', '.join(whats)}: {why}" for why, whats in by_reason.items())
    fix = 'see to the reason, or saf.toml: slurm.source = "commands"'
    return CheckResult(WARNING, f"Slurm's commands were asked instead for {reasons}", wanted, fix)


def rules(facts: Facts) -> CheckResult:
    unknown, unmatched = facts.unknown_accounts, facts.unclassified_accounts
    parts = [
        (f"rules name {', '.join(unknown)}, which Slurm does not have", unknown),
        (f"no rule matches {', '.join(unmatched)}, so their charge counts as not regional", unmatched),
    ]
    found = "; ".join(text for text, names in parts if names) or "every account with users"
    wanted = "each account with users matched by a rule, and no other named"
    return want(not (unknown or unmatched), WARNING, found, wanted, "saf.toml: correct [[rule]]")


def queue_words(facts: Facts) -> CheckResult:
    found = ", ".join(f"{word} ({jobs})" for word, jobs in facts.unknown_words.items())
    fix = "report these words; until they are known their jobs count neither as waiting nor as running"
    return want(not found, WARNING, found or "all known", "every state and reason in the queue known", fix)


def retention_check(facts: Facts) -> CheckResult:
    """Names and texts go by a command that a timer starts once a day."""
    wanted = "`saf ledger pseudonymise` once a day, when [privacy] lets anything go"
    kept = facts.retained
    late = kept is not None and kept.overdue(facts.now)
    last = "never" if kept is None or kept.last is None else iso(kept.last)
    found = f"it went through last: {last}" if late else "in time" if kept else "[privacy] lets nothing go"
    return want(not late, WARNING, found, wanted, "systemctl enable --now saf-pseudonymise.timer")


def proposals(facts: Facts) -> CheckResult:
    """Whether anything waits for a second person."""
    wanted = "no proposal that waits"
    if facts.proposals is None:
        return CheckResult(OK, "not known: the ledger cannot be read", wanted)
    fix = "saf approval list; then, by another person: saf approval approve N, or reject N"
    return want(not facts.proposals, WARNING, f"{facts.proposals} waiting", wanted, fix)
