"""Every reason a decision can have, in words. Tested in tests/core/control/test_controller.py."""

from __future__ import annotations

REASONS = {
    "raise": "the region is owed more than its shares will give",
    "follow": "usage ran ahead of the shares, which follow it so that soaking idle nodes is not punished",
    "lower": "the region is owed less than its shares would give",
    "cap": "the cap leaves less than the shares would give",
    "cap_over": "the cap leaves more again; no more than the operator's own shares",
    "ratio": "the shares of the steered accounts have left the ratio that the operator gave them",
    "at_set_point": "the shares are already as wanted",
    "same_order": "a write would not affect the order of jobs now",
    "switch_on": "the region has had less than it is owed, so its jobs go first",
    "switch_off": "the region has had what it is owed, so its jobs no longer go first",
    "switch_stays": "the region is near what it is owed, or the switch is already as wanted",
    "write_budget": "the day's writes are used up",
    "no_account": "the steered account is not in the association tree",
    "not_top_level": "the association tree does not show the steered account below root",
    "mixed_parents": "the steered accounts are not all directly below the same account",
    "not_steerable": "the steered account has Fairshare=parent or 0",
    "mixed_level": "an account beside or above the steered one has Fairshare=parent",
    "no_competition": "no account beside the steered one has shares",
    "usage_unknown": "sshare does not list the usage of every account on the level",
    "out_of_reach": "the parent of the steered account gets too little of the machine to keep the promise",
    "no_decay": "PriorityDecayHalfLife is 0 or priority/multifactor is not in use; usage must decay",
    "no_switch": "Slurm does not have the QOS or partition that control.lever is about",
    "no_switch_weight": "the weight of the QOS or partition is 0, so the switch does not order the queue",
    "no_room": "control.raised is not above the value that was found before the first change",
    "nothing_delivered": "nothing was delivered in the window yet, so there is no usage to steer by",
    "resource_untracked": "Slurm keeps no account of the promise's resource",
    "limits_not_enforced": "AccountingStorageEnforce has no limits, so Slurm does not charge every job",
    "incr_only": "PriorityFlags has INCR_ONLY, so no waiting job's priority can go down",
    "no_fair_tree": "PriorityFlags has NO_FAIR_TREE, and the law steers Fair Tree",
    "no_fairshare_weight": "PriorityWeightFairshare is 0, so shares do not order the queue",
    "agent_queue": "slurmctld could not deliver its accounting to slurmdbd",
    "scheduler_stalled": "jobs wait and Slurm's backfill does not run",
    "read_failed": "Slurm or the ledger could not be read completely",
    "clock": "the clocks of this machine, of slurmctld and of the ledger disagree",
    "blind": "Slurm hides rows from this user",
    "answers_differ": "sacct contradicts squeue, or what it listed before",
    "not_regional": "a steered account is not regional by the rules",
    "not_of_promise": "a steered account does not count for its promise",
    "standby": "another saf is active for the cluster",
    "foreign_change": "another user changed what is steered, and saf leaves it alone",
    "reassert": "another user changed it, and saf writes its own value back",
    "paused": "an operator paused the control",
    "promise_ended": "the promise has ended",
    "guards": "a raise would be at the expense of another promise",
    "restore_baseline": "the operator asked for the shares found before the first change",
}
"""Every reason a decision can have."""

HOLDS = frozenset(REASONS) - {
    "raise", "follow", "lower", "cap", "cap_over", "ratio", "at_set_point", "same_order", "restore_baseline",
    "reassert", "switch_on", "switch_off", "switch_stays",
}  # fmt: skip
"""Reasons that mean the control is not steering although it should."""
