"""Who may see what is served: TLS and basic authentication, in the format of Prometheus' web configuration.

https://prometheus.io/docs/prometheus/latest/configuration/https/ describes the file. The rule: a key that
cannot be honoured is an error and never ignored, because what it was to protect would be open. Relative paths
are relative to the file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import Any

import bcrypt
import yaml

from slurm_ai_factory.errors import ConfigError

KEYS: dict[str, set[str]] = {
    "tls_server_config": {
        "cert_file",
        "key_file",
        "client_auth_type",
        "client_ca_file",
        "min_version",
        "max_version",
    },
    "http_server_config": {"http2", "headers"},
    "basic_auth_users": set(),
}  # fmt: skip
"""What saf honours of the format; basic_auth_users has names of its own."""

HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)
"""The headers that the format allows to be set."""

CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

REMEMBERED = 100
PENALTY = 10
"""Who was wrong waits so many times as long as the check took, so that one peer takes a tenth of a core."""

PATIENCE_SECONDS = 5
"""How long a check waits for the one before it."""


class Admission(Enum):
    """Whether a request may be answered."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    LATER = "later"  #: its password was not looked at


@dataclass(slots=True)
class Turnstile:
    """One password is checked at a time, since each check is a core's work; a peer that was wrong waits."""

    stopwatch: Callable[[], float] = time.monotonic
    turn: Lock = field(default_factory=Lock)
    barred: dict[str, float] = field(default_factory=dict)  #: peer -> until when

    def passed(self, peer: str, check: Callable[[], bool]) -> Admission:
        """What the check says, when it is this peer's turn."""
        if self._barred(peer) or not self.turn.acquire(timeout=PATIENCE_SECONDS):
            return Admission.LATER
        try:
            if self._barred(peer):  # wrong while this one waited
                return Admission.LATER
            began = self.stopwatch()
            if check():
                return Admission.ADMITTED
            ended = self.stopwatch()  # checks come one by one, so few are barred at any time
            self.barred = {one: until for one, until in self.barred.items() if until > ended}
            self.barred[peer] = ended + PENALTY * (ended - began)
            return Admission.REFUSED
        finally:
            self.turn.release()

    def _barred(self, peer: str) -> bool:
        return self.barred.get(peer, 0.0) > self.stopwatch()


@dataclass(frozen=True, slots=True)
class Access:
    """A web configuration, read and checked."""

    file: Path = Path()
    tls: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)  #: name -> bcrypt hash
    headers: Mapping[str, str] = field(default_factory=dict)
    admitted: set[bytes] = field(default_factory=set, repr=False)  #: digests of what was let in before
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    turnstile: Turnstile = field(default_factory=Turnstile, repr=False)

    @property
    def open(self) -> bool:
        """Whether anybody who reaches the port may read."""
        return not self.users and self.tls.get("client_auth_type") != "RequireAndVerifyClientCert"

    @property
    def in_clear(self) -> bool:
        """Whether passwords travel readable by whoever is on the way."""
        return bool(self.users) and not self.tls

    def entry(self, authorization: str, peer: str) -> Admission:
        """Whether a request of this peer with this Authorization header may be answered."""
        if not self.users:
            return Admission.ADMITTED
        digest = hmac.digest(self.salt, authorization.encode("latin-1", "replace"), hashlib.sha256)
        if digest in self.admitted:
            return Admission.ADMITTED
        given = _given(authorization)
        if given is None:
            return Admission.REFUSED
        entry = self.turnstile.passed(peer, lambda: self._known(*given))
        if entry is Admission.ADMITTED and len(self.admitted) < REMEMBERED:
            self.admitted.add(digest)
        return entry

    def _known(self, name: str, password: bytes) -> bool:
        """Every name costs the same: one check of each cost, with the name's own hash if it has one."""
        wanted = self.users.get(name)
        each = {_cost(one): one for one in (*self.users.values(), *([wanted] if wanted else []))}
        return wanted in [one for one in each.values() if _checks(password, one)]

    def context(self) -> ssl.SSLContext | None:
        """TLS as configured, None without it. Raises ConfigError."""
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[self.tls.get("min_version", "TLS12")]
        context.maximum_version = VERSIONS[self.tls.get("max_version", "TLS13")]
        try:
            context.load_cert_chain(self._path("cert_file"), self._path("key_file"), _no_password)
            context.verify_mode = CLIENTS[self.tls.get("client_auth_type", "NoClientCert")]
            if "client_ca_file" in self.tls:
                context.load_verify_locations(self._path("client_ca_file"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.file}: [tls_server_config] certificate cannot be used: {error}"
            ) from error
        return context

    def _path(self, key: str) -> Path:
        return self.file.parent / self.tls[key]


OPEN = Access()
"""Without a web configuration: anybody who reaches the port, which is loopback unless said otherwise."""


def _given(authorization: str) -> tuple[str, bytes] | None:
    """Name and password of a header; None when it has none."""
    scheme, _, given = authorization.partition(" ")
    try:
        text = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(b":")
    return (name.decode("utf-8", "replace"), password) if scheme.lower() == "basic" and colon else None


def _cost(wanted: bytes) -> bytes:
    """Of a bcrypt hash, as it is written.

    >>> _cost(b"$2b$12$abcdefghijklmnopqrstuv")
    b'12'
    """
    return wanted.split(b"$")[2]


def _checks(password: bytes, wanted: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, wanted)
    except ValueError:  # longer than bcrypt can tell apart
        return False


def _no_password() -> str:
    raise ValueError("the key has a password; saf runs unattended, so give it one without")


def load_access(path: Path) -> Access:
    """Read and check a web configuration. Raises ConfigError."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"[daemon] web_config_file {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"[daemon] web_config_file {path} is not YAML: {error}") from error
    sections = _section(path, "the file", {} if found is None else found, set(KEYS))
    parts = {name: _section(path, name, sections.get(name) or {}, known) for name, known in KEYS.items()}
    http = parts["http_server_config"]
    return Access(
        file=path,
        tls=_tls(path, parts["tls_server_config"]),
        users={name: _hash(path, name, value) for name, value in parts["basic_auth_users"].items()},
        headers=_section(path, "headers", http.get("headers") or {}, set(HEADERS)),
    )


def _section(path: Path, name: str, found: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigError(f"{path}: {name} is not a mapping of names")
    for key in found:
        if known and key not in known:
            raise ConfigError(
                f"{path}: saf does not know {key!r} in {name}; it honours {', '.join(sorted(known))}"
            )
    return found


def _tls(path: Path, found: Mapping[str, object]) -> dict[str, str]:
    """TLS settings. An empty section is none at all, as in Prometheus."""
    if not found:
        return {}
    known: dict[str, Mapping[str, object]] = {
        "client_auth_type": CLIENTS, "min_version": VERSIONS, "max_version": VERSIONS
    }  # fmt: skip
    for key, value in found.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{path}: tls_server_config: {key} wants a text")
        if key in known and value not in known[key]:
            raise ConfigError(f"{path}: tls_server_config: {key} wants one of {', '.join(known[key])}")
    for key in ("cert_file", "key_file"):
        if key not in found:
            raise ConfigError(f"{path}: tls_server_config lacks {key}")
    tls = {key: str(value) for key, value in found.items()}
    if tls.get("client_auth_type", "NoClientCert") != "NoClientCert" and "client_ca_file" not in tls:
        raise ConfigError(f"{path}: tls_server_config: client_auth_type needs client_ca_file")
    return tls


def _hash(path: Path, name: str, value: object) -> bytes:
    text = value.encode() if isinstance(value, str) else b""
    try:
        bcrypt.checkpw(b"", text)
    except ValueError as error:
        raise ConfigError(
            f"{path}: basic_auth_users: {name} wants a bcrypt hash, as `htpasswd -nBC 10 {name}` makes it"
        ) from error
    return text
