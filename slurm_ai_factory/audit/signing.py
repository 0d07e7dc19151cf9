"""Signatures with an Ed25519 key (RFC 8032) that the ledger's owner does not have.

Needs ``cryptography``, from the optional extra ``sign``. Tested in tests/cli/ledger/test_verify.py and
tests/cli/test_hub.py.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

from slurm_ai_factory.errors import SafError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MISSING = "signatures need cryptography; run in the checkout: pip install '.[sign]'"


def head_signature(key_file: Path, entry: int, head: str) -> str:
    """The signature of a head of the chain, in base64. Raises SafError as ``signature`` does."""
    return signature(key_file, _head_message(entry, head))


def is_head_signed(key_file: Path, entry: int, head: str, signed: str) -> bool:
    """Whether ``signed`` is a head's signature by the owner of the public key in a file. Raises SafError."""
    return is_signed(key_bytes(key_file), str(key_file), _head_message(entry, head), signed)


def signature(key_file: Path, message: str) -> str:
    """The signature of a message, in base64. Raises SafError where the key cannot be read or used."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise SafError(MISSING) from None
    try:
        key = load_pem_private_key(key_bytes(key_file), password=None)
    except (ValueError, TypeError) as error:
        raise SafError(
            f"{key_file} is not a private key in PEM format without a password; create one with: openssl "
            "genpkey -algorithm ed25519"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SafError(
            f"{key_file} is not an Ed25519 key; create one with: openssl genpkey -algorithm ed25519"
        )
    return base64.b64encode(key.sign(message.encode())).decode()


def is_signed(public_key: bytes, where: str, message: str, signed: str) -> bool:
    """Whether ``signed``, in base64, is a message's signature by the owner of a public key in PEM.

    ``where`` is the origin of the key, for errors. Raises SafError for one that cannot be used.
    """
    key = _public_key(public_key, where)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(signed, validate=True), message.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def public_key_text(file: Path) -> str:
    """The public key in a file, in PEM, without anything else in that file. Raises SafError."""
    key = _public_key(key_bytes(file), str(file))
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def key_bytes(file: Path) -> bytes:
    """The content of a key file. Raises SafError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise SafError(f"{file} cannot be read: {error.strerror}") from error


def _public_key(pem: bytes, where: str) -> Ed25519PublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise SafError(MISSING) from None
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise SafError(
            f"{where} is not a public key in PEM format; make one of the private key: openssl pkey -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SafError(
            f"{where} is not an Ed25519 key; give the public half of the key that made the signature"
        )
    return key


def _head_message(entry: int, head: str) -> str:
    return f"slurm-ai-factory head 1\n{entry}\n{head}\n"
