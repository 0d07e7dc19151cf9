"""A real headless Chromium: pictures of pages, what is on them, what it said meanwhile, how they print.

Rule: each look is taken with a new, empty profile; where Chromium is not installed, tests skip with the
reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


def unavailable() -> str | None:
    """Why there can be no pictures here; None when there can."""
    return None if shutil.which("chromium") else "chromium is missing: install the Debian package chromium"


def picture(url: str, file: Path, width: int, height: int, *more: str) -> str:
    """A screenshot of a page as PNG; what Chromium said on stderr."""
    done = _run(url, f"--window-size={width},{height}", f"--screenshot={file}", *more)
    assert file.exists(), done.stderr
    return done.stderr


def printed(url: str, file: Path) -> None:
    """The page as it prints, as PDF."""
    done = _run(url, "--no-pdf-header-footer", f"--print-to-pdf={file}")
    assert file.exists(), done.stderr


def asked(page: Path, script: str, width: int, height: int = 1200) -> Any:
    """What a script answers on a page: it calls ``answer(value)``. The page is left as it is."""
    said = (
        "<script>function answer(v) { const t = document.createElement('pre'); t.id = 'answer'; "
        "t.textContent = JSON.stringify(v); document.body.append(t); }"
        f"window.addEventListener('load', () => {{ {script} }});</script>"
    )
    with TemporaryDirectory(prefix="saf-page-") as folder:
        copy = Path(folder) / page.name
        copy.write_text(page.read_text(encoding="utf-8") + said, encoding="utf-8")
        text = _run(copy.as_uri(), f"--window-size={width},{height}", "--dump-dom").stdout
    _, found, rest = text.partition('<pre id="answer">')
    assert found, f"the script did not answer: {text[-500:]}"
    plain = rest.partition("</pre>")[0]
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\u00a0"), ("&amp;", "&")):
        plain = plain.replace(entity, sign)
    return json.loads(plain)


def _run(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory(prefix="saf-chromium-") as profile:
        done = subprocess.run(
            ["chromium", *FLAGS, f"--user-data-dir={profile}", *options, url],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done
