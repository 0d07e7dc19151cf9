"""A signal that the kernel gives to another thread is heard while the main thread waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Thread, get_ident

import pytest

from slurm_ai_factory import signals

DEADLINE = 30


@pytest.fixture
def own_handlers() -> Iterator[None]:
    """The handlers of the tests, which have to be back afterwards."""
    ours = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in ours]
    yield
    assert [signal.getsignal(number) for number in ours] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.usefixtures("own_handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_given_to_another_thread_is_heard(number: signal.Signals) -> None:
    heard: SimpleQueue[str] = SimpleQueue()
    calls = {signal.SIGTERM: lambda: heard.put("SIGTERM"), signal.SIGHUP: lambda: heard.put("SIGHUP")}
    with signals.calling(calls):
        Thread(target=lambda: signal.pthread_kill(get_ident(), number)).start()
        assert heard.get(timeout=DEADLINE) == number.name
    with pytest.raises(Empty):
        heard.get_nowait()


@pytest.mark.usefixtures("own_handlers")
def test_a_body_that_fails_puts_the_handlers_back() -> None:
    with pytest.raises(ZeroDivisionError), signals.calling({signal.SIGTERM: lambda: None}):
        _ = 1 / 0
