"""A signed file against ours: LIEF's hash and the bytes, told apart from signature, padding and checksum."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from packager.errors import CheckError, PEError
from packager.pe.checksum import checksum
from packager.pe.layout import Directory, read_layout
from packager.signed import SignedVerdict, compare_signed
from tests.pe.build import ARM64, X86, Exports, Spec, build
from tests.support import write

PLAIN = Spec(exports=Exports(), text=b"some code" * 100)
#: An entry of the certificate table: length, revision 2.0, PKCS #7; what it holds is no signature.
BLOB = struct.pack("<IHH", 24, 0x200, 2) + b"no signature\0\0\0\0"


def signed_by_hand(data: bytes, blob: bytes = BLOB, padding: int | None = None) -> bytes:
    """Append a certificate table as a signer does: padding to 8 bytes, the entry, another checksum."""
    body = data + bytes(-len(data) % 8 if padding is None else padding)
    entry = read_layout(data).directories[Directory.CERTIFICATE].offset
    whole = body[:entry] + struct.pack("<II", len(body), len(blob)) + body[entry + 8 :] + blob
    at = read_layout(data).checksum_offset
    return whole[:at] + checksum(whole, at).to_bytes(4, "little") + whole[at + 4 :]


def compared(tmp_path: Path, signed: bytes, ours: bytes) -> SignedVerdict:
    return compare_signed(write(tmp_path / "signed/setup.exe", signed), write(tmp_path / "ours/setup.exe", ours))


@pytest.mark.parametrize("extra", range(9))
@pytest.mark.parametrize("spec", [PLAIN, replace(PLAIN, plus=False, machine=X86), replace(PLAIN, machine=ARM64)])
def test_signature_padding_and_checksum_do_not_count(tmp_path: Path, spec: Spec, extra: int) -> None:
    ours = build(spec, overlay=b"x" * extra)
    found = compared(tmp_path, signed_by_hand(ours), ours)
    assert found.same
    assert found.bytewise
    assert found.hash_signed == found.hash_ours
    assert found.differences == ()


def test_what_is_no_signature_is_said_to_be_none(tmp_path: Path) -> None:
    found = compared(tmp_path, signed_by_hand(build(PLAIN)), build(PLAIN))
    assert not found.intact
    assert found.signatures == ()
    assert found.notes == (
        "the certificate table holds no signature that LIEF can read",
        "9 bytes or more of the certificate table belong to no signature; nothing covers them",
    )


def test_a_wrong_checksum_is_noted(tmp_path: Path) -> None:
    ours = build(PLAIN)
    signed = bytearray(signed_by_hand(ours))
    at = read_layout(bytes(signed)).checksum_offset
    signed[at : at + 4] = b"\x01\0\0\0"
    found = compared(tmp_path, bytes(signed), ours)
    assert found.same
    assert found.notes[0].startswith("the signed file's checksum is 0x00000001, expected 0x")


@pytest.mark.parametrize("where", [0x50, 0x500, -1])
def test_any_other_byte_counts_and_is_explained(tmp_path: Path, where: int) -> None:
    ours = build(PLAIN)
    other = bytearray(ours)
    other[where] ^= 0x10
    found = compared(tmp_path, signed_by_hand(bytes(other)), ours)
    assert not found.same
    assert not found.bytewise
    assert found.hash_signed != found.hash_ours
    assert found.differences


def test_another_stamp_is_named(tmp_path: Path) -> None:
    found = compared(tmp_path, signed_by_hand(build(PLAIN, stamp=0x5F5E1000)), build(PLAIN))
    assert not found.same
    assert any("TimeDateStamp" in difference.what for difference in found.differences)


@pytest.mark.parametrize("padding", [8, 16])
def test_more_padding_than_the_alignment_needs_is_a_difference(tmp_path: Path, padding: int) -> None:
    ours = build(PLAIN)
    assert len(ours) % 8 == 0
    found = compared(tmp_path, signed_by_hand(ours, padding=padding), ours)
    assert not found.same
    assert found.differences


def test_padding_that_is_not_zero_is_a_difference(tmp_path: Path) -> None:
    ours = build(PLAIN, overlay=b"abc")
    assert not compared(tmp_path, signed_by_hand(ours + b"hello"), ours).same


def test_a_file_that_is_not_signed(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="expected a signed file, found no signature"):
        compared(tmp_path, build(PLAIN), build(PLAIN))


def test_ours_is_signed_too(tmp_path: Path) -> None:
    signed = signed_by_hand(build(PLAIN))
    with pytest.raises(CheckError, match="expected our file, which is not signed, found a signature") as caught:
        compared(tmp_path, signed, signed)
    assert "--signed strip" in str(caught.value.hint)


def test_another_machine(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"expected a program for x86_64 like .*, found arm64"):
        compared(tmp_path, signed_by_hand(build(PLAIN, machine=ARM64)), build(PLAIN))


def test_bytes_behind_the_certificate_table(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"expected a certificate table that ends the file .* with 4 bytes behind it"):
        compared(tmp_path, signed_by_hand(build(PLAIN)) + b"more", build(PLAIN))


def test_a_certificate_table_past_the_end(tmp_path: Path) -> None:
    signed = signed_by_hand(build(PLAIN))
    with pytest.raises(CheckError, match="certificate table"):
        compared(tmp_path, signed[:-8], build(PLAIN))


@pytest.mark.parametrize("data", [b"", b"MZ", b"#!/bin/sh\n" * 20])
def test_what_is_no_pe_file(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PEError, match=r"signed/setup\.exe: "):
        compared(tmp_path, data, build(PLAIN))
    with pytest.raises(PEError, match=r"ours/setup\.exe: "):
        compared(tmp_path, signed_by_hand(build(PLAIN)), data)


class Signer:
    """Signs with osslsigncode and a certificate of its own making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, subject in (("key", "/CN=Test Signer/O=Nobody"), ("second", "/CN=Another Signer")):
            self._run(
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9999", "-subj", subject,
                "-keyout", folder / f"{name}.pem", "-out", folder / f"{name}.crt",
            )  # fmt: skip

    def sign(self, data: bytes, *options: str | Path, key: str = "key") -> bytes:
        source, target = write(self.folder / "in.exe", data), self.folder / "out.exe"
        target.unlink(missing_ok=True)
        credentials = ("-certs", self.folder / f"{key}.crt", "-key", self.folder / f"{key}.pem")
        self._run("osslsigncode", "sign", *credentials, *options, "-in", source, "-out", target)
        return target.read_bytes()

    @staticmethod
    def _run(*command: str | Path) -> None:
        done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    for program in ("osslsigncode", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")
    return Signer(tmp_path_factory.mktemp("signer"))


@pytest.mark.parametrize("extra", [0, 1, 3, 8])
def test_a_real_signature(tmp_path: Path, signer: Signer, extra: int) -> None:
    ours = build(PLAIN, overlay=b"y" * extra)
    found = compared(tmp_path, signer.sign(ours, "-h", "sha256"), ours)
    assert found.same
    assert found.intact
    assert found.notes == ()
    (signature,) = found.signatures
    assert signature.subject == "CN=Test Signer, O=Nobody"
    assert (signature.algorithm, signature.digest) == ("SHA-256", found.hash_ours)
    assert (signature.timestamp, signature.nested, signature.trouble) == (False, False, "")


def test_a_real_signature_with_another_hash(tmp_path: Path, signer: Signer) -> None:
    ours = build(PLAIN)
    found = compared(tmp_path, signer.sign(ours, "-h", "sha384"), ours)
    assert found.same
    assert found.intact
    assert found.signatures[0].algorithm == "SHA-384"


def test_a_real_signature_within_a_signature(tmp_path: Path, signer: Signer) -> None:
    ours = build(PLAIN)
    found = compared(tmp_path, signer.sign(signer.sign(ours), "-nest", key="second"), ours)
    assert found.same
    assert found.intact
    assert [(item.subject, item.nested) for item in found.signatures] == [
        ("CN=Test Signer, O=Nobody", False),
        ("CN=Another Signer", True),
    ]


def test_a_real_signature_of_another_file(tmp_path: Path, signer: Signer) -> None:
    """The file was changed after it was signed: neither is it ours nor does the signature hold."""
    ours = build(PLAIN)
    signed = bytearray(signer.sign(ours))
    signed[0x500] ^= 1
    found = compared(tmp_path, bytes(signed), ours)
    assert not found.same
    assert not found.intact
    assert not found.signatures[0].matches
    assert "BAD_DIGEST" in found.signatures[0].trouble


def test_a_real_signature_put_on_our_file(tmp_path: Path, signer: Signer) -> None:
    """The file is ours; the signature is somebody's, of something else."""
    ours, other = build(PLAIN), build(PLAIN, stamp=1)
    signed = signer.sign(other)
    found = compared(tmp_path, signed_by_hand(ours, signed[len(other) :]), ours)
    assert found.same
    assert not found.intact
    assert not found.signatures[0].matches
