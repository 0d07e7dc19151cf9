"""A real headless Chromium: pictures of pages, what is on them, what it said meanwhile, how they print.

Rule: one ``Chromium`` looks at many pages, since its start takes longer than a look. Where what Chromium said
meanwhile matters, a picture is taken with a new one. Where none is installed, tests skip with the reason.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip

AXE = Path(__file__).parents[1] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PAPER = 794
"""CSS pixels across a sheet of A4."""
VIEWS = [
    ("phone", 390, "screen", "light"), ("phone", 390, "screen", "dark"), ("laptop", 1280, "screen", "light"),
    ("laptop", 1280, "screen", "dark"), ("paper", PAPER, "print", "light"), ("paper", PAPER, "print", "dark"),
]  # fmt: skip
"""How people see a page: name, width in CSS pixels, medium, colour scheme."""
BROKEN_RULES = """axe.run().then(done => done.violations.flatMap(rule => rule.nodes.map(
  node => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`)))"""


def unavailable() -> str | None:
    """Why there can be no pictures here; None when there can."""
    return None if shutil.which("chromium") else "chromium is missing: install the Debian package chromium"


def axe_unavailable() -> str | None:
    """Why axe-core cannot look at pages here; None when it can."""
    return unavailable() or (None if AXE.exists() else "axe-core is missing: run `make seen`")


def picture(url: str, file: Path, width: int, height: int, *more: str) -> str:
    """A screenshot of a page as PNG; what Chromium said on stderr."""
    done = _run(url, f"--window-size={width},{height}", f"--screenshot={file}", *more)
    assert file.exists(), done.stderr
    return done.stderr


def _run(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory(prefix="saf-chromium-", ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            ["chromium", *FLAGS, f"--user-data-dir={profile}", *options, url],
            capture_output=True, text=True, timeout=180,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


class Chromium:
    """A running Chromium with one empty tab, driven by the DevTools protocol over two pipes."""

    def __init__(self, to: int, answers: int) -> None:
        self.to, self.answers, self.number, self.buffer, self.session = to, answers, 0, b"", ""
        self.loaded: set[str] = set()  #: of documents, by their loader
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.ask("Page.setLifecycleEventsEnabled", enabled=True)

    def ask(self, method: str, **params: object) -> Any:
        """The result of a method of the protocol."""
        self.number += 1
        request: dict[str, object] = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while (answer := self._message()).get("id") != self.number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, url: str, width: int, *, media: str = "screen", scheme: str = "light") -> None:
        """Load a page as it looks at this width, in this medium and colour scheme."""
        size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        loader = self.ask("Page.navigate", url=url)["loaderId"]
        while loader not in self.loaded:
            self._message()

    def printed(self, url: str, file: Path) -> None:
        """The page as it prints, as PDF."""
        self.open(url, PAPER, media="")
        done = self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        file.write_bytes(b64decode(done["data"]))

    def run(self, script: str) -> Any:
        """The value of an expression on the page; of a promise, what it resolves to."""
        done = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page: rule, element, and what to mend."""
        self.run(AXE.read_text(encoding="utf-8") + "; 0")
        return [str(found) for found in self.run(BROKEN_RULES)]

    def _message(self) -> Any:
        """The next message; that a document was loaded is noted, whoever waits for it and when."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], 180)
            assert ready, "Chromium has said nothing for three minutes"
            part = os.read(self.answers, 1 << 16)
            assert part, "Chromium ended"
            self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Page.lifecycleEvent" and message["params"]["name"] == "load":
            self.loaded.add(message["params"]["loaderId"])
        return message


@contextmanager
def started() -> Iterator[Chromium]:
    """A Chromium that many pages are looked at with."""
    theirs, to = os.pipe()
    answers, ours = os.pipe()
    with TemporaryDirectory(prefix="saf-chromium-", ignore_cleanup_errors=True) as profile:
        pipes = f'exec chromium "$@" 3</dev/fd/{theirs} 4>/dev/fd/{ours}'
        argv = ["sh", "-c", pipes, "sh", *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        process = subprocess.Popen(argv, pass_fds=(theirs, ours), stderr=subprocess.DEVNULL)
        try:
            os.close(theirs)
            os.close(ours)
            yield Chromium(to, answers)
        finally:
            os.close(to)  # Chromium ends with the pipe
            os.close(answers)
            process.wait(timeout=180)
