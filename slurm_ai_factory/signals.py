"""Signals that call something in a thread of their own, whatever the main thread waits for.

The kernel may give a signal to any thread of the process. Python then notes it, and runs the handler only
once the main thread goes on. A main thread that waits for a lock, a queue or an event does not go on, and the
signal is lost until the next one. Python also writes the signal's number to a descriptor, at once and from
any thread; here a thread reads it.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread


@contextmanager
def calling(calls: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Call these on each such signal, until the body ends; to be entered in the main thread."""
    heard, written = socket.socketpair()
    with heard, written:
        written.setblocking(False)  # as Python demands of the descriptor
        thread = Thread(target=_call, args=(heard, calls), name="signals", daemon=True)
        thread.start()
        wakeup = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, _noted) for number in calls}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            written.close()
            thread.join()


def _noted(*_: object) -> None:
    """A handler that does nothing, for the number is written only where there is one."""


def _call(heard: socket.socket, calls: Mapping[signal.Signals, Callable[[], object]]) -> None:
    while numbers := heard.recv(1):
        if call := calls.get(signal.Signals(numbers[0])):
            call()
