"""Check upstream's detached OpenPGP signature with gpgv and a keyring of pinned keys.

Only a signature by a pinned fingerprint counts, whatever else the keyring holds. A key that has expired since it signed
is accepted, and the result says so: keys of releases expire, the release stays what it was.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packager import process
from packager.disk import disk_errors
from packager.errors import SourceError, SpecError

_ARMOUR = re.compile(
    r"^-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t\r]*\n(?P<head>(?:[^\n:]+: [^\n]*\n)*)\s*\n(?P<body>.*?)"
    r"^-----END PGP PUBLIC KEY BLOCK-----",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SignatureResult:
    """A good signature: the key that made it, the primary key it belongs to, and when.

    ``key_expired`` is the time at which the key has expired since, None if it has not.
    """

    fingerprint: str
    primary: str
    signed_at: datetime
    key_expired: datetime | None = None

    def __str__(self) -> str:
        text = f"signed by {self.primary} on {self.signed_at:%Y-%m-%d}"
        if self.key_expired is not None:
            text += f" (the key was valid then and has expired on {self.key_expired:%Y-%m-%d})"
        return text


def verify(file: Path, signature: Path, *, keyring: Path, fingerprints: Collection[str]) -> SignatureResult:
    """Check ``signature`` over ``file``; ``keyring`` holds public keys, armoured or not.

    Raises SourceError if it is not a good signature by one of ``fingerprints`` (primary keys or signing subkeys, 40
    upper-case hex digits), SpecError if the keyring cannot be read, MachineError without gpgv.
    """
    gpgv = process.which("gpgv")
    with tempfile.TemporaryDirectory(prefix="packager-gpgv-") as home:
        binary = Path(home) / "keyring.gpg"
        with disk_errors(binary.parent):
            binary.write_bytes(dearmour(keyring))
        result = process.call(
            [
                gpgv, f"--homedir={home}", f"--keyring={binary}", "--weak-digest=SHA1", "--status-fd=1",
                "--", str(signature), str(file),
            ],
            env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""},
        )  # fmt: skip
    try:
        return judge(result.stdout.decode("utf-8", "replace"), fingerprints)
    except SourceError as exc:
        raise SourceError(
            f"{file.name}: signature {signature.name}: {exc.message}",
            details=process.tail(result)[-4:],
            hint=f"do not use the file; if upstream signs with another key now, check that and pin it ({keyring.name})",
        ) from exc


def judge(status: str, fingerprints: Collection[str]) -> SignatureResult:
    """What gpgv's status lines come to. Raises SourceError with what is wrong, in a few words.

    The lines are described in GnuPG's doc/DETAILS. A file may hold several signatures: one by a pinned key must be
    good, and none may be bad.
    """
    pinned = {fingerprint.upper() for fingerprint in fingerprints}
    faults: list[str] = []
    groups = _signatures(status)
    if any(line[0] == "BADSIG" for words in groups for line in words):
        raise SourceError("the signature does not fit the file")
    for words in groups:
        names = {line[0] for line in words}
        valid = next((line for line in words if line[0] == "VALIDSIG" and len(line) >= 5), None)
        if "REVKEYSIG" in names:
            faults.append("the key that signed is revoked")
        elif "EXPSIG" in names:
            faults.append("the signature has expired")
        elif valid is None:
            keys = [line[1] for line in words if line[0] in ("NO_PUBKEY", "ERRSIG") and len(line) > 1]
            missing = any(line[0] == "NO_PUBKEY" or line[-2:-1] == ["9"] for line in words)
            what = "signed by a key that is not in the keyring" if missing else "the signature cannot be checked"
            faults.append(f"{what}: {keys[0]}" if keys else what)
        elif not {valid[1], valid[-1]} & pinned:
            faults.append(f"expected a signature by {' or '.join(sorted(pinned))}, found one by {valid[-1]}")
        elif "EXPKEYSIG" in names:
            expiries = [_time(line[1]) for line in words if line[0] == "KEYEXPIRED" and len(line) > 1]
            signed = _time(valid[3])
            if expiries and signed < min(expiries):
                return SignatureResult(valid[1], valid[-1], signed, min(expiries))
            faults.append("the key had expired before it signed")
        elif "GOODSIG" in names:
            return SignatureResult(valid[1], valid[-1], _time(valid[3]))
        else:
            faults.append("the signature cannot be checked")
    raise SourceError(faults[0] if faults else "there is no signature in it")


def _signatures(status: str) -> list[list[list[str]]]:
    """The words of the status lines, grouped by the signature that they are about."""
    groups: list[list[list[str]]] = []
    for line in status.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "[GNUPG:]":
            continue
        if words[1] == "NEWSIG" or not groups:
            groups.append([])
        groups[-1].append(words[1:])
    return [group for group in groups if any(line[0] != "NODATA" for line in group)]


def _time(text: str) -> datetime:
    """A time of the status lines: seconds since 1970, or ISO 8601 basic in UTC."""
    if "T" in text:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return datetime.fromtimestamp(int(text), UTC)


def dearmour(keyring: Path) -> bytes:
    """The keys of a keyring file as gpgv takes them: armour removed, several blocks joined. Raises SpecError."""
    try:
        content = keyring.read_bytes()
    except OSError as exc:
        raise SpecError(f"{keyring}: expected a keyring, found {exc.strerror}") from exc
    if content[:1] >= b"\x80":  # an OpenPGP packet begins with the top bit set
        return content
    keys = []
    for block in _ARMOUR.finditer(content.decode("latin-1").replace("\r\n", "\n")):
        lines = [line.strip() for line in block["body"].splitlines() if not line.startswith("=")]
        try:
            keys.append(base64.b64decode("".join(lines), validate=True))
        except binascii.Error as exc:
            raise SpecError(f"{keyring}: expected armoured public keys, found broken base64: {exc}") from exc
    if not keys:
        raise SpecError(f"{keyring}: expected armoured public keys, found none")
    return b"".join(keys)
