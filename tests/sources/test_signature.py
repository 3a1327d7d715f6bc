from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from packager.errors import SourceError, SpecError
from packager.sources.signature import dearmour, judge, verify
from tests.sources.gpg import Gpg

pytestmark = pytest.mark.skipif(
    shutil.which("gpg") is None or shutil.which("gpgv") is None, reason="needs gpg to make keys, and gpgv"
)


@pytest.fixture(scope="module")
def alice(gpg: Gpg) -> str:
    return gpg.key("alice")


@pytest.fixture(scope="module")
def bob(gpg: Gpg) -> str:
    return gpg.key("bob")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "release.tar"
    path.write_bytes(b"release")
    return path


def test_good(gpg: Gpg, alice: str, bob: str, file: Path, tmp_path: Path) -> None:
    keyring = gpg.export(tmp_path / "keys.asc", "alice", "bob")
    result = verify(file, gpg.sign(file, "alice"), keyring=keyring, fingerprints=[bob, alice])
    assert (result.fingerprint, result.primary, result.key_expired) == (alice, alice, None)
    assert result.signed_at == datetime(2020, 6, 1, tzinfo=UTC)
    assert str(result) == f"signed by {alice} on 2020-06-01"


def test_binary_keyring(gpg: Gpg, alice: str, file: Path, tmp_path: Path) -> None:
    keyring = tmp_path / "keys.gpg"
    keyring.write_bytes(gpg.run("--export", "alice@example.org"))
    assert verify(file, gpg.sign(file, "alice"), keyring=keyring, fingerprints=[alice]).primary == alice


def test_signing_subkey_is_known_by_either_fingerprint(gpg: Gpg, file: Path, tmp_path: Path) -> None:
    primary = gpg.key("carol")
    gpg.run("--faked-system-time=20200101T000000!", "--quick-add-key", primary, "ed25519", "sign", "never")
    listing = gpg.run("--with-colons", "--list-keys", primary).decode()
    subkey = re.findall(r"^fpr:+([0-9A-F]{40}):", listing, re.MULTILINE)[1]
    signature = gpg.sign(file, "carol")
    keyring = gpg.export(tmp_path / "keys.asc", "carol")
    for pinned in (primary, subkey):
        result = verify(file, signature, keyring=keyring, fingerprints=[pinned])
        assert (result.fingerprint, result.primary) == (subkey, primary)


def test_changed_file(gpg: Gpg, alice: str, file: Path, tmp_path: Path) -> None:
    signature = gpg.sign(file, "alice")
    file.write_bytes(b"released")
    with pytest.raises(
        SourceError, match=r"release.tar: signature release.tar.asc: the signature does not fit the file"
    ):
        verify(file, signature, keyring=gpg.export(tmp_path / "k", "alice"), fingerprints=[alice])


def test_key_not_in_keyring(gpg: Gpg, alice: str, bob: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"signed by a key that is not in the keyring: {alice[-16:]}"):
        verify(file, gpg.sign(file, "alice"), keyring=gpg.export(tmp_path / "k", "bob"), fingerprints=[alice])


def test_key_in_keyring_but_not_pinned(gpg: Gpg, alice: str, bob: str, file: Path, tmp_path: Path) -> None:
    keyring = gpg.export(tmp_path / "k", "alice", "bob")
    with pytest.raises(SourceError, match=f"expected a signature by {bob}, found one by {alice}"):
        verify(file, gpg.sign(file, "alice"), keyring=keyring, fingerprints=[bob])


def test_expired_since(gpg: Gpg, file: Path, tmp_path: Path) -> None:
    dora = gpg.key("dora", expires="20210101T000000")
    keyring = gpg.export(tmp_path / "k", "dora")
    result = verify(file, gpg.sign(file, "dora"), keyring=keyring, fingerprints=[dora])
    assert result.key_expired is not None
    assert f"{result.key_expired:%Y-%m}" in ("2020-12", "2021-01")
    assert "(the key was valid then and has expired on 202" in str(result)


def test_expired_before_it_signed() -> None:
    key = "A" * 40
    status = (
        "[GNUPG:] NEWSIG\n[GNUPG:] KEYEXPIRED 1600000000\n[GNUPG:] EXPKEYSIG AAAA x\n"
        f"[GNUPG:] VALIDSIG {key} 2020-10-01 1600000001 0 4 0 22 8 00 {key}\n"
    )
    with pytest.raises(SourceError, match="the key had expired before it signed"):
        judge(status, [key])
    assert judge(status.replace("1600000001", "1599999999"), [key]).primary == key


def test_revoked(gpg: Gpg, file: Path, tmp_path: Path) -> None:
    erin = gpg.key("erin")
    signature = gpg.sign(file, "erin")
    revocation = (gpg.home / "openpgp-revocs.d" / f"{erin}.rev").read_text()
    gpg.run("--import", stdin=revocation[revocation.index(":-----") + 1 :].encode())
    with pytest.raises(SourceError, match="the key that signed is revoked"):
        verify(file, signature, keyring=gpg.export(tmp_path / "k", "erin"), fingerprints=[erin])


def test_one_of_several_signatures(gpg: Gpg, alice: str, bob: str, file: Path, tmp_path: Path) -> None:
    both = b""
    for name in ("alice", "bob"):
        both += gpg.run("--dearmor", stdin=gpg.sign(file, name).read_bytes())
    signature = tmp_path / "both.sig"
    signature.write_bytes(both)
    keyring = gpg.export(tmp_path / "k", "bob")
    assert verify(file, signature, keyring=keyring, fingerprints=[bob]).primary == bob
    file.write_bytes(b"changed")
    with pytest.raises(SourceError, match="does not fit"):
        verify(file, signature, keyring=keyring, fingerprints=[bob])


def test_a_bad_signature_beside_a_good_one() -> None:
    key = "A" * 40
    good = f"[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG A x\n[GNUPG:] VALIDSIG {key} 2020-10-01 1600000001 0 4 0 22 8 00 {key}\n"
    assert judge(good, [key]).primary == key
    with pytest.raises(SourceError, match="does not fit"):
        judge(f"{good}[GNUPG:] NEWSIG\n[GNUPG:] BADSIG B y\n", [key])


@pytest.mark.parametrize("content", [b"", b"no signature", b"-----BEGIN PGP SIGNATURE-----\n\n!\n"])
def test_not_a_signature(gpg: Gpg, alice: str, file: Path, tmp_path: Path, content: bytes) -> None:
    signature = tmp_path / "x.asc"
    signature.write_bytes(content)
    with pytest.raises(SourceError, match="there is no signature in it"):
        verify(file, signature, keyring=gpg.export(tmp_path / "k", "alice"), fingerprints=[alice])


def test_several_armoured_blocks(gpg: Gpg, alice: str, bob: str, tmp_path: Path) -> None:
    one, two = (gpg.export(tmp_path / name, name).read_bytes() for name in ("alice", "bob"))
    both = tmp_path / "both.asc"
    both.write_bytes(
        b"Keys of the project\n" + one.replace(b"\n", b"\r\n") + two.replace(b"\n\n", b"\nComment: b\n\n", 1)
    )
    assert dearmour(both) == gpg.run("--export", "alice@example.org") + gpg.run("--export", "bob@example.org")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found none"),
        (b"<html>", "found none"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAA-A\n-----END PGP PUBLIC KEY BLOCK-----\n", "found broken base64"),
    ],
)
def test_broken_keyring(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(SpecError, match=f"k: expected armoured public keys, {found}"):
        dearmour(tmp_path / "k")


def test_missing_keyring(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="k: expected a keyring, found No such file"):
        dearmour(tmp_path / "k")
