"""Runs a command that writes, before its deadline or not at all: ``python fence.py DEADLINE COMMAND ...``.

The process that decided to write may have been frozen since, and another may have written meanwhile. So the
process that becomes the command checks the deadline (``time.monotonic``, in seconds) at the last moment, and
sets an alarm that ends the command at the deadline. A timer outlives execve; one that expires during a freeze
kills the command when it is thawed, before its next instruction. Imports nothing of the package, so that it
starts at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

LATE = 75
"""EX_TEMPFAIL of sysexits.h."""


def main(deadline: str, *command: str) -> None:
    left = float(deadline) - time.monotonic()
    if left <= 0:
        name = os.path.basename(command[0])  # noqa: PTH119 - pathlib takes longer to import than all the rest
        sys.stderr.write(f"{name}: error: not run: its deadline passed {-left:.1f} s before it could start\n")
        sys.exit(LATE)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, left)
    try:
        os.execvp(command[0], command)  # noqa: S606 - an argument list, without a shell
    except OSError as error:
        sys.exit(f"{command[0]}: error: cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
