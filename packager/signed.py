"""Whether a signed PE file is one of ours but for its signature, padding and checksum.

Two independent ways have to agree: the Authenticode hash of both files as LIEF computes it, and the bytes themselves.
Whether the signer's certificate deserves trust is not judged.

A signer puts zeros before the certificate table so that it begins at a multiple of 8 bytes, and hashes them with the
rest; our file has none of them and is compared as if it had. (Microsoft, "Windows Authenticode Portable Executable
Signature Format", and "PE Format", the attribute certificate table.)
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lief

from packager.diff.compare import compare
from packager.diff.model import Difference
from packager.errors import CheckError, PEError
from packager.pe.checksum import checksum
from packager.pe.layout import DataDirectory, Layout, read_layout
from packager.pe.signature import certificate_table

_ALIGNMENT = 8
#: Length, revision and type of one entry of the certificate table.
_WIN_CERTIFICATE = struct.Struct("<IHH")
_HASHES = {
    lief.PE.ALGORITHMS.MD5: "MD5",
    lief.PE.ALGORITHMS.SHA_1: "SHA-1",
    lief.PE.ALGORITHMS.SHA_256: "SHA-256",
    lief.PE.ALGORITHMS.SHA_384: "SHA-384",
    lief.PE.ALGORITHMS.SHA_512: "SHA-512",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: who signed, by the certificate's subject and issuer, and what it says of the file.

    ``matches``: the digest in it is the file's. ``intact``: it also verifies with the certificate that comes with it,
    whatever that one is worth and even if it has expired; ``trouble`` has LIEF's words where it does not.
    ``timestamp``: somebody countersigned the time. ``nested``: it lies inside another signature.
    """

    subject: str
    issuer: str
    serial: str
    algorithm: str
    digest: str
    matches: bool
    intact: bool
    trouble: str
    timestamp: bool
    nested: bool


@dataclass(frozen=True, slots=True)
class SignedVerdict:
    """What was found. ``hash_signed`` and ``hash_ours`` are Authenticode hashes (SHA-256) by LIEF.

    ``bytewise``: the bytes are the same but for signature, padding and checksum. ``differences`` tells the rest, down
    to the field, where they are not.
    """

    signed: Path
    ours: Path
    hash_signed: str
    hash_ours: str
    bytewise: bool
    signatures: tuple[Signature, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """The signed file is ours: both ways say so."""
        return self.bytewise and self.hash_signed == self.hash_ours

    @property
    def intact(self) -> bool:
        """Every signature is of this file and verifies."""
        return bool(self.signatures) and all(item.matches and item.intact for item in self.signatures)


def compare_signed(signed: Path, ours: Path) -> SignedVerdict:
    """Compare a signed file with an unsigned one.

    Raises CheckError when ``signed`` has no signature or one that is not laid out as signers do, when ``ours`` has one,
    or when they are for different machines; PEError when either is no PE file that can be read.
    """
    theirs, layout = _read(signed)
    plain, our_layout = _read(ours)
    if layout.machine != our_layout.machine:
        raise CheckError(
            f"{signed}: expected a program for {our_layout.machine_name} like {ours}, found {layout.machine_name}"
        )
    table = _certificates(signed, layout)
    if table is None:
        raise CheckError(f"{signed}: expected a signed file, found no signature", hint="compare them with `diff`")
    if _certificates(ours, our_layout) is not None:
        raise CheckError(
            f"{ours}: expected our file, which is not signed, found a signature",
            hint="strip it with `normalise --signed strip`, or swap the two",
        )
    body = _body(signed, theirs, layout, table, our_layout.checksum)
    padded = plain + bytes(-len(plain) % _ALIGNMENT)
    bytewise = body == padded
    image, other = _parse(signed, theirs), _parse(ours, padded)
    hash_signed, hash_ours = (item.authentihash(lief.PE.ALGORITHMS.SHA_256).hex() for item in (image, other))
    return SignedVerdict(
        signed,
        ours,
        hash_signed,
        hash_ours,
        bytewise,
        tuple(_signatures(image)),
        () if bytewise else _explain(body, padded, ours.name),
        tuple(_notes(theirs, layout, table, image, bytewise=bytewise, hashes=hash_signed == hash_ours)),
    )


def _read(path: Path) -> tuple[bytes, Layout]:
    data = path.read_bytes()
    try:
        return data, read_layout(data)
    except PEError as exc:
        raise PEError(f"{path}: {exc.message}") from exc


def _certificates(path: Path, layout: Layout) -> DataDirectory | None:
    try:
        return certificate_table(layout)
    except PEError as exc:
        raise CheckError(f"{path}: {exc.message}") from exc


def _body(path: Path, data: bytes, layout: Layout, table: DataDirectory, stored: int) -> bytes:
    """What is signed: the file up to its certificate table, without that table's entry, and with our checksum."""
    after = layout.size - (table.rva + table.size)
    if table.rva % _ALIGNMENT or after:
        raise CheckError(
            f"{path}: expected a certificate table that ends the file and begins at a multiple of {_ALIGNMENT}, found "
            f"it at {table.rva:#x} with {after} bytes behind it"
        )
    at = layout.checksum_offset
    return b"".join(
        (
            data[:at],
            stored.to_bytes(4, "little"),
            data[at + 4 : table.offset],
            bytes(8),
            data[table.offset + 8 : table.rva],
        )
    )


def _parse(path: Path, data: bytes) -> lief.PE.Binary:
    lief.logging.disable()
    config = lief.PE.ParserConfig()
    config.parse_imports = config.parse_exports = config.parse_reloc = config.parse_exceptions = False
    config.parse_rsrc = False
    image = lief.PE.parse(data, config)
    if image is None:
        raise PEError(f"{path}: expected LIEF to read the file as well, found that it cannot")
    return image


def _signatures(image: lief.PE.Binary) -> Iterator[Signature]:
    waiting = [(signature, False) for signature in image.signatures]
    while waiting:
        signature, nested = waiting.pop(0)
        content = signature.content_info
        flags = image.verify_signature(signature, lief.PE.Signature.VERIFICATION_CHECKS.SKIP_CERT_TIME)
        digest = bytes(content.digest)
        for signer in signature.signers:
            inner, timestamp = _unauthenticated(signer)
            waiting += [(item, True) for item in inner]
            certificate = signer.cert
            yield Signature(
                subject=str(certificate.subject) if certificate is not None else "",
                issuer=str(signer.issuer),
                serial=bytes(signer.serial_number).hex(),
                algorithm=_HASHES.get(content.digest_algorithm, str(content.digest_algorithm)),
                digest=digest.hex(),
                matches=content.digest_algorithm in _HASHES and image.authentihash(content.digest_algorithm) == digest,
                intact=flags == lief.PE.Signature.VERIFICATION_FLAGS.OK,
                trouble=_flags(flags),
                timestamp=timestamp,
                nested=nested,
            )


def _unauthenticated(signer: lief.PE.SignerInfo) -> tuple[list[lief.PE.Signature], bool]:
    """What a signer's unauthenticated attributes hold: nested signatures, and whether one countersigns the time."""
    nested = []
    timestamp = False
    for attribute in signer.unauthenticated_attributes:
        if isinstance(attribute, lief.PE.MsSpcNestedSignature):
            nested.append(attribute.signature)
        timestamp |= isinstance(attribute, (lief.PE.MsCounterSign, lief.PE.PKCS9CounterSignature))
    return nested, timestamp


def _flags(flags: lief.PE.Signature.VERIFICATION_FLAGS) -> str:
    every = lief.PE.Signature.VERIFICATION_FLAGS
    names = [name for name in dir(every) if name.isupper() and name != "OK"]
    return ", ".join(name for name in names if int(flags) & int(getattr(every, name)))


def _explain(body: bytes, ours: bytes, name: str) -> tuple[Difference, ...]:
    with tempfile.TemporaryDirectory(prefix="packager-") as scratch:
        paths = (Path(scratch, "signed", name), Path(scratch, "ours", name))
        for path, data in zip(paths, (body, ours), strict=True):
            path.parent.mkdir()
            path.write_bytes(data)
        return compare(*paths)


def _notes(
    data: bytes, layout: Layout, table: DataDirectory, image: lief.PE.Binary, *, bytewise: bool, hashes: bool
) -> Iterator[str]:
    if bytewise != hashes:
        yes, no = ("the bytes", "LIEF's hashes") if bytewise else ("LIEF's hashes", "the bytes")
        yield f"{yes} agree, {no} do not: the file is unusual, do not take it for ours"
    found = checksum(data, layout.checksum_offset)
    if layout.checksum != found:
        yield f"the signed file's checksum is {layout.checksum:#010x}, expected {found:#010x}"
    if not image.signatures:
        yield "the certificate table holds no signature that LIEF can read"
    spare = _room(data, table) - sum(len(bytes(signature.raw_der)) for signature in image.signatures)
    if spare > 0:
        yield f"{spare} bytes or more of the certificate table belong to no signature; nothing covers them"


def _room(data: bytes, table: DataDirectory) -> int:
    """The least bytes that the table's entries hold: the padding that each may have for its alignment is left out."""
    at, end, room = table.rva, table.rva + table.size, 0
    while at + _WIN_CERTIFICATE.size <= end:
        length, _revision, _kind = _WIN_CERTIFICATE.unpack_from(data, at)
        if length < _WIN_CERTIFICATE.size:
            break
        room += max(length - _WIN_CERTIFICATE.size - (_ALIGNMENT - 1), 0)
        at += length + -length % _ALIGNMENT
    return room
