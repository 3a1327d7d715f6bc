"""Statements are signed by keys that others can check, and only for what lies beside them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from packager import attest, provenance
from packager.errors import CheckError, SpecError
from tests.statements import bundle, made
from tests.support import write

KINDS: dict[str, Callable[[], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def key_file(path: Path, key: PrivateKeyTypes, passphrase: bytes | None = None) -> Path:
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_dsse_s_and_openssl_agrees(tmp_path: Path, kind: str) -> None:
    statement = bundle(tmp_path / "dist")
    signed = attest.attest(statement, key_file(tmp_path / "key.pem", KINDS[kind]()))
    assert signed.envelope == tmp_path / f"dist/{made().title}.dsse.{signed.fingerprint[:8]}.json"
    assert signed.public_key == tmp_path / f"dist/{signed.fingerprint[:8]}.pub.pem"
    assert signed.warnings == ()
    document = json.loads(signed.envelope.read_bytes())
    payload = base64.b64decode(document["payload"])
    assert payload == statement.read_bytes()
    assert document["payloadType"] == "application/vnd.in-toto+json"
    [signature] = document["signatures"]
    assert signature["keyid"] == signed.fingerprint
    head = f"DSSEv1 {len(document['payloadType'])} {document['payloadType']} {len(payload)} ".encode()
    data, sig = write(tmp_path / "pae", head + payload), write(tmp_path / "sig", base64.b64decode(signature["sig"]))
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(signed.public_key), "-sigfile", str(sig)]
    verify += ["-rawin", "-in", str(data)]
    if kind != "ed25519":
        verify += ["-digest", "sha256"]
    if kind == "rsa":
        verify += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
    done = subprocess.run(verify, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    der = ["openssl", "pkey", "-pubin", "-in", str(signed.public_key), "-outform", "DER"]
    assert hashlib.sha256(subprocess.run(der, capture_output=True, check=True).stdout).hexdigest() == signed.fingerprint


def test_a_new_key_is_its_owner_s_alone_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made_one = attest.new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert attest.attest(bundle(tmp_path / "dist"), path).fingerprint == made_one
    before = path.read_bytes()
    with pytest.raises(SpecError, match="a key is never overwritten"):
        attest.new_key(path)
    assert path.read_bytes() == before
    with pytest.raises(SpecError, match="cannot be written: No such file or directory"):
        attest.new_key(tmp_path / "none/key.pem")


def test_a_link_is_not_followed_for_a_new_key(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError):
        attest.new_key(tmp_path / "key.pem")
    assert not (tmp_path / "elsewhere").exists()


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path) -> None:
    statement, path = bundle(tmp_path / "dist"), tmp_path / "key.pem"
    fingerprint = attest.new_key(path, "sesame")
    assert b"ENCRYPTED" in path.read_bytes()
    assert attest.attest(statement, path, passphrase=lambda: "sesame").fingerprint == fingerprint
    with pytest.raises(SpecError, match="expected a passphrase for this encrypted key, found none"):
        attest.attest(statement, path)
    with pytest.raises(SpecError, match="expected a PEM private key and its passphrase"):
        attest.attest(statement, path, passphrase=lambda: "open")


def test_a_passphrase_is_not_asked_for_in_vain(tmp_path: Path) -> None:
    attest.new_key(tmp_path / "key.pem")

    def ask() -> str:
        raise AssertionError("asked")

    attest.attest(bundle(tmp_path / "dist"), tmp_path / "key.pem", passphrase=ask)


def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key.pem", KINDS["ed25519"]())
    path.chmod(0o640)
    signed = attest.attest(bundle(tmp_path / "dist"), path)
    assert signed.warnings == (f"{path}: others than its owner may read or change this private key: chmod 600 it",)


@pytest.mark.parametrize("spoil", ["changed", "missing"])
def test_only_what_lies_beside_it_is_attested(tmp_path: Path, spoil: str) -> None:
    statement, name = bundle(tmp_path / "dist"), next(iter(made().products))
    path = tmp_path / "dist" / name
    path.unlink() if spoil == "missing" else path.write_bytes(b"other")
    with pytest.raises(CheckError, match=r"expected sha256 .* as the statement says, found") as caught:
        attest.attest(statement, key_file(tmp_path / "key.pem", KINDS["ed25519"]()))
    assert "sign only what you have built" in str(caught.value.hint)
    assert not list((tmp_path / "dist").glob("*.dsse.*"))


def test_another_folder_for_attestations(tmp_path: Path) -> None:
    signed = attest.attest(
        bundle(tmp_path / "dist"), key_file(tmp_path / "key.pem", KINDS["ed25519"]()), tmp_path / "all/of/them"
    )
    assert sorted(path.name for path in (tmp_path / "all/of/them").iterdir()) == sorted(
        [signed.envelope.name, signed.public_key.name]
    )


def test_another_key_of_that_name_is_left_alone(tmp_path: Path) -> None:
    statement, path = bundle(tmp_path / "dist"), key_file(tmp_path / "key.pem", KINDS["ed25519"]())
    signed = attest.attest(statement, path)
    other = KINDS["ed25519"]().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed.public_key.write_bytes(other)
    with pytest.raises(SpecError, match=r"expected the public key of .*, found another one"):
        attest.attest(statement, path)
    assert signed.public_key.read_bytes() == other


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a PEM private key and its passphrase, found something else"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "expected a PEM private key"),
        (b"x" * (attest.LARGEST + 1), "expected a key, found a file of 1048577 bytes"),
    ],
)
def test_what_is_no_key(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attest.load_private(write(tmp_path / "key.pem", data))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), id="small RSA"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256K1()), id="another curve"),
        pytest.param(lambda: dsa.generate_private_key(1024), id="DSA"),
    ],
)
def test_weak_and_other_kinds_of_keys_are_not_taken(tmp_path: Path, key: Callable[[], PrivateKeyTypes]) -> None:
    path = key_file(tmp_path / "key.pem", key())
    with pytest.raises(SpecError, match="expected a key of one of the kinds ed25519, ECDSA"):
        attest.load_private(path)


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key.pem", KINDS["ed25519"]())
    with pytest.raises(SpecError, match="expected a public key, found a private one"):
        attest.load_public(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected a key, found no such file"):
        attest.load_private(tmp_path / "none")
    with pytest.raises(SpecError, match="expected a statement, found no such file"):
        attest.attest(tmp_path / "none", tmp_path / "none")
    with pytest.raises(CheckError, match="expected a statement about a bundle"):
        attest.attest(write(tmp_path / "s.intoto.json", b"{}"), tmp_path / "none")


def test_the_payload_is_the_statement_to_the_byte(tmp_path: Path) -> None:
    data = provenance.encode(made())
    key = attest.load_private(key_file(tmp_path / "key.pem", KINDS["ed25519"]()))
    once, twice = (json.loads(attest.sign(data, key)) for _ in range(2))
    assert once == twice
    assert base64.b64decode(once["payload"]) == data
