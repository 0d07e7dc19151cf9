"""Makes waits with a timeout work in Python on a fast clock; a copy of this named sitecustomize.py is put on
PYTHONPATH, from where Python imports it by itself.

Python 3.11 waits for locks with sem_clockwait(), which libfaketime knows only from 0.9.11 on: before that the
deadline is one of the fast clock but the kernel waits on its own, so Event.wait(), Condition.wait() and
Queue.get() with a timeout never end. poll() is understood, so here such waits poll an eventfd.
Rule: only the waiters inside threading.Condition are replaced. A timeout given to Lock.acquire() or
Thread.join(), and signal.sigtimedwait(), still wait by the kernel's clock and must not be used there.
"""

from __future__ import annotations

import os
import select
import threading


class PolledLock:
    """What threading.Condition needs of a lock."""

    def __init__(self) -> None:
        self._free = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._free)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        poll = select.poll()
        poll.register(self._free, select.POLLIN)
        if not blocking:
            timeout = 0
        ready = poll.poll(None if timeout < 0 else timeout * 1000)
        if ready:
            os.eventfd_read(self._free)
        return bool(ready)

    def release(self) -> None:
        os.eventfd_write(self._free, 1)


if "FAKETIME" in os.environ:
    threading._allocate_lock = PolledLock  # type: ignore[attr-defined]
