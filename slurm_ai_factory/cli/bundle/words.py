"""The words that a bundle may show: those that saf itself uses, and those of errors of the system.

Docstrings and comments do not count: they have names in their examples. Tested in tests/cli/test_bundle.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import CodeType

from slurm_ai_factory.core.masking import words_of

OF_OTHERS = """
    FATAL ERROR connection to server at port failed socket is the running locally and accepting that no such
    host database role user password authentication peer does not exist permission denied relation column
    already timeout expired terminating due administrator command shutting down starting up remaining slots
    reserved too many clients out of memory could write extend file left on device
    Unable contact slurm controller connect failure slurmdbd slurmctld slurmd munge plugin protocol version
    mismatch Invalid account partition QOS specified Unspecified Access Zero Bytes were transmitted received
    sending message establish resolve configuration source
    Started Stopped Stopping Starting Failed with result exit code status main process exited Deactivated
    successfully Consumed CPU time systemd python Linux Debian GNU
"""
"""Words in messages of PostgreSQL, Slurm and systemd."""

MODEL = ("simulation", "demo.py")
"""Their accounts and users have names that a site may have too."""


def shown_words() -> frozenset[str]:
    """Every word of a text or name in the package's code, in lower case."""
    words = words_of(OF_OTHERS) | words_of(" ".join(map(os.strerror, errno.errorcode)))
    for file in _modules(files("slurm_ai_factory")):
        code = compile(file.read_text(encoding="utf-8"), "", "exec", optimize=2)  # drops docstrings
        words |= words_of("\n".join(_texts(code)))
    return frozenset(words)


def _modules(folder: Traversable) -> Iterator[Traversable]:
    for file in folder.iterdir():
        if file.is_dir() and file.name not in MODEL:
            yield from _modules(file)
        elif file.name.endswith(".py") and file.name not in MODEL:
            yield file


def _texts(code: CodeType) -> Iterator[str]:
    """The names and the constants of a module and of every function in it."""
    yield from (*code.co_names, *code.co_varnames)
    constants = list(code.co_consts)
    while constants:
        constant = constants.pop()
        if isinstance(constant, CodeType):
            yield from _texts(constant)
        elif isinstance(constant, tuple | frozenset):
            constants += constant
        elif isinstance(constant, str):
            yield constant
