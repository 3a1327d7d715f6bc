"""Sign a bundle's provenance statement, so that others can see who got the same: DSSE envelopes and PEM keys.

Signatures and envelopes are securesystemslib's. A key is known by its fingerprint, the sha256 of the public key's DER
form, which `openssl pkey -pubin -in KEY.pub.pem -outform DER | sha256sum` prints; an envelope's ``keyid`` is the same.

As in-toto's envelope specification asks, an envelope is called ``<title>.dsse.<first 8 digits>.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # exported, but not by __all__

from packager import provenance
from packager.errors import CheckError, SpecError
from packager.trees import file_sha256

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PUBLIC = ".pub.pem"
#: Statements, envelopes and keys are smaller than this, in bytes.
LARGEST = 1 << 20
#: RSA keys below this many bits are not taken; ed25519 keys and the curves P-256, P-384 and P-521 are.
LEAST_RSA_BITS = 2048
_KINDS = "ed25519, ECDSA P-256, P-384 or P-521, or RSA of at least 2048 bits"

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Signed:
    """What :func:`attest` wrote: the envelope, the public key beside it, its fingerprint, and what to be warned of."""

    envelope: Path
    public_key: Path
    fingerprint: str
    warnings: tuple[str, ...]


def new_key(path: Path, passphrase: str | None = None) -> str:
    """Make an ed25519 key as a PKCS #8 PEM file that only its owner may read; returns its fingerprint.

    With ``passphrase`` the file is encrypted. SpecError if ``path`` is there already or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    locked: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as exc:
        raise SpecError(f"{path}: expected a new file, found one that is there: a key is never overwritten") from exc
    except OSError as exc:
        raise SpecError(f"{path}: cannot be written: {exc.strerror}") from exc
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    return fingerprint(key.public_key())


def attest(statement: Path, key: Path, out: Path | None = None, passphrase: Callable[[], str] | None = None) -> Signed:
    """Sign a bundle's statement whose products lie beside it, and write the envelope and the public key to ``out``.

    ``out`` is the statement's folder if not given; ``passphrase`` is called when the key file is encrypted. Raises
    CheckError if the statement is none or a product is not what it says, SpecError for a key that cannot be used.
    """
    data = _read(statement, "statement")
    said = provenance.decode(data, str(statement))
    check_products(said, statement.parent)
    private = load_private(key, passphrase)
    identity = fingerprint(private.public_key())
    folder = statement.parent if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    envelope = folder / f"{said.title}.dsse.{identity[:8]}.json"
    public = folder / f"{identity[:8]}{PUBLIC}"
    if public.exists() and fingerprint(load_public(public)) != identity:
        raise SpecError(f"{public}: expected the public key of {key}, found another one", hint="use another --out")
    _write(public, private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    _write(envelope, sign(data, private))
    return Signed(envelope, public, identity, _warnings(key))


def sign(statement: bytes, key: PrivateKey) -> bytes:
    """A DSSE envelope with the statement, as JSON, signed by one key."""
    envelope = Envelope(statement, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(key, verifier(key.public_key())))
    return (json.dumps(envelope.to_dict(), indent=1, sort_keys=True) + "\n").encode("ascii")


def check_products(statement: provenance.Statement, folder: Path) -> None:
    """CheckError unless every product of the statement lies in ``folder`` and is what the statement says."""
    for name, expected in statement.products.items():
        path = folder / name
        found = file_sha256(path) if path.is_file() else "no such file"
        if found != expected:
            raise CheckError(
                f"{path}: expected sha256 {expected}, as the statement says, found {found}",
                hint="sign only what you have built: run `packager build`, and attest in its output folder",
            )


def load_private(path: Path, passphrase: Callable[[], str] | None = None) -> PrivateKey:
    """The private key in a PEM file. SpecError if there is none, it cannot be decrypted, or it is of another kind."""
    data = _read(path, "key")
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError as exc:  # it is encrypted
            if passphrase is None:
                raise SpecError(f"{path}: expected a passphrase for this encrypted key, found none") from exc
            key = load_pem_private_key(data, passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise SpecError(
            f"{path}: expected a PEM private key and its passphrase, found something else",
            hint="`packager attest --new-key PATH` makes a key",
        ) from exc
    if not isinstance(key, PrivateKey):
        raise SpecError(f"{path}: expected a key of one of the kinds {_KINDS}, found another one")
    _usable(key.public_key(), path)
    return key


def load_public(path: Path) -> PublicKey:
    """The public key in a PEM file. SpecError if it has none, or is a private key's."""
    data = _read(path, "public key")
    if b"PRIVATE KEY-----" in data:
        raise SpecError(
            f"{path}: expected a public key, found a private one",
            hint=f"keep it where nobody else can read it; `packager attest` writes the public key as *{PUBLIC}",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise SpecError(f"{path}: expected a PEM public key, found something else") from exc
    return _usable(key, path)


def verifier(key: PublicKey) -> SSlibKey:
    """securesystemslib's form of a key; its ``keyid`` is our fingerprint."""
    return SSlibKey.from_crypto(key, keyid=fingerprint(key))


def fingerprint(key: PublicKey) -> str:
    """The sha256 of the key's SubjectPublicKeyInfo in DER, written anew: one key has one fingerprint."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _usable(key: object, path: Path) -> PublicKey:
    named = isinstance(key, EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1", "secp521r1")
    large = isinstance(key, RSAPublicKey) and key.key_size >= LEAST_RSA_BITS
    if not (isinstance(key, Ed25519PublicKey) or named or large):
        raise SpecError(f"{path}: expected a key of one of the kinds {_KINDS}, found another one")
    return key  # type: ignore[return-value]  # one of the three, as was just seen


def _warnings(key: Path) -> tuple[str, ...]:
    if key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (f"{key}: others than its owner may read or change this private key: chmod 600 it",)
    return ()


def _read(path: Path, what: str) -> bytes:
    try:
        if not path.is_file():
            raise SpecError(f"{path}: expected a {what}, found no such file")
        if path.stat().st_size > LARGEST:
            raise SpecError(f"{path}: expected a {what}, found a file of {path.stat().st_size} bytes")
        return path.read_bytes()
    except OSError as exc:
        raise SpecError(f"{path}: cannot be read: {exc.strerror}") from exc


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    os.replace(fresh, path)
