"""Several builders' attestations are counted by key; what cannot be used hinders nobody and is told."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager import agreement, attest, provenance
from packager.agreement import agree
from packager.errors import CheckError, PackagerError, SpecError
from tests.statements import CONTENT, TITLE, bundle, made
from tests.support import write

SAME = made()
PRODUCTS = SAME.products
TAR = f"{TITLE}.tar.zst"
OTHER = made({**CONTENT, TAR: "something else"})


@dataclass
class Builder:
    """Somebody with a key, who puts attestations into a folder."""

    folder: Path
    key: attest.PrivateKey

    @property
    def name(self) -> str:
        return attest.fingerprint(self.key.public_key())

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def publish(self) -> Path:
        return write(self.folder / f"{self.name[:8]}.pub.pem", self.pem)

    def signs(self, statement: provenance.Statement = SAME, *, name: str | None = None) -> Path:
        self.publish()
        envelope = attest.sign(provenance.encode(statement), self.key)
        return write(self.folder / (name or f"{TITLE}.dsse.{self.name[:8]}.json"), envelope)


Builders = Callable[[], Builder]


@pytest.fixture
def builder(tmp_path: Path) -> Builders:
    (tmp_path / "all").mkdir()
    return lambda: Builder(tmp_path / "all", Ed25519PrivateKey.generate())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "all"


def names(signers: tuple[agreement.Signer, ...]) -> set[str]:
    return {signer.fingerprint for signer in signers}


def test_keys_that_got_the_same_agree(builder: Builders, folder: Path) -> None:
    one, two = builder(), Builder(folder, generate_private_key(SECP256R1()))
    one.signs()
    two.signs()
    found = agree(folder, threshold=2)
    [outcome] = found.bundles
    assert (outcome.title, outcome.products, outcome.undecided) == (TITLE, PRODUCTS, False)
    assert names(outcome.agreeing) == {one.name, two.name}
    assert (outcome.differing, outcome.contradicting, outcome.notes) == ((), (), ())
    assert (found.rejected, found.keys_given) == ((), False)
    assert agree(folder, [one.publish(), two.publish()], 2).keys_given


def test_too_few_keys(builder: Builders, folder: Path) -> None:
    builder().signs()
    builder().signs()
    with pytest.raises(CheckError, match=f"{TITLE}: expected at least 3 keys that agree, found 2 of 2") as caught:
        agree(folder, threshold=3)
    assert any(line.startswith("  agrees: ") for line in caught.value.details)


def test_one_key_counts_once(builder: Builders, folder: Path) -> None:
    one = builder()
    one.signs()
    one.signs(name="again.dsse.json")
    write(folder / "copy-of-the-key.pem", one.pem)
    [outcome] = agree(folder, threshold=1).bundles
    assert [signer.files for signer in outcome.agreeing] == [("again.dsse.json", f"{TITLE}.dsse.{one.name[:8]}.json")]
    with pytest.raises(CheckError, match="expected at least 2 keys that agree, found 1 of 1"):
        agree(folder, threshold=2)


def edited(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def test_the_name_that_a_signature_gives_its_key_does_not_count(builder: Builders, folder: Path) -> None:
    one, two = builder(), builder()
    path = one.signs()
    two.publish()

    def rename(document: Any) -> None:
        [signature] = document["signatures"]
        document["signatures"] = [{**signature, "keyid": name} for name in ("mine", "", one.name, "another")]

    edited(path, rename)
    [outcome] = agree(folder).bundles
    assert names(outcome.agreeing) == {one.name}
    edited(path, lambda document: document["signatures"].pop(2))
    assert names(agree(folder).bundles[0].agreeing) == {one.name}
    edited(path, lambda document: document["signatures"][0].pop("keyid"))
    assert names(agree(folder).bundles[0].agreeing) == {one.name}


def test_a_minority_is_told(builder: Builders, folder: Path) -> None:
    agreeing, odd = [builder(), builder()], builder()
    for one in agreeing:
        one.signs()
    odd.signs(OTHER)
    found = agree(folder, threshold=2)
    [outcome] = found.bundles
    assert outcome.products == PRODUCTS
    [differing] = outcome.differing
    assert (differing.signer.fingerprint, differing.product) == (odd.name, TAR)
    assert (differing.theirs, differing.agreed) == (OTHER.products[TAR], PRODUCTS[TAR])
    assert any(line.startswith(f"  differs: {odd.name[:16]}") for line in agreement.lines(found))


def test_a_product_that_others_do_not_have_is_a_difference(builder: Builders, folder: Path) -> None:
    builder().signs()
    builder().signs()
    builder().signs(made({name: text for name, text in CONTENT.items() if not name.endswith(".zip")}))
    [differing] = agree(folder, threshold=2).bundles[0].differing
    assert (differing.product, differing.theirs) == (f"{TITLE}.zip", "nothing")


def test_as_many_against_as_many_decide_nothing(builder: Builders, folder: Path) -> None:
    builder().signs()
    builder().signs(OTHER)
    with pytest.raises(CheckError, match=f"{TITLE}: expected keys that agree, found 1 against as many"):
        agree(folder, threshold=1)
    found = agree(folder, threshold=1, products={TAR: OTHER.products[TAR]})
    assert found.bundles[0].products == OTHER.products


def test_a_key_that_says_two_things_counts_neither_way(builder: Builders, folder: Path) -> None:
    honest, liar = builder(), builder()
    honest.signs()
    liar.signs()
    liar.signs(OTHER, name="other.dsse.json")
    [outcome] = agree(folder).bundles
    assert names(outcome.agreeing) == {honest.name}
    assert names(outcome.contradicting) == {liar.name}
    with pytest.raises(CheckError, match="expected at least 2 keys that agree, found 1"):
        agree(folder, threshold=2)


def test_only_trusted_keys_count(builder: Builders, folder: Path, tmp_path: Path) -> None:
    one, stranger = builder(), builder()
    one.signs()
    stranger.signs()
    trusted = write(tmp_path / "trusted/one.pem", one.pem)
    found = agree(folder, [trusted.parent], 1)
    assert names(found.bundles[0].agreeing) == {one.name}
    assert [item.reason for item in found.rejected] == [f"signature of no known key (keyid {stranger.name[:16]})"]
    with pytest.raises(CheckError, match="expected at least 2 keys that agree, found 1 of 1"):
        agree(folder, [trusted], 2)


def test_keys_that_came_along_are_shown_with_their_fingerprints(builder: Builders, folder: Path) -> None:
    one = builder()
    one.signs()
    said = "\n".join(agreement.lines(agree(folder)))
    assert "the keys came with the attestations" in said
    assert one.name in said
    assert "the keys came" not in "\n".join(agreement.lines(agree(folder, [one.publish()])))


def test_what_is_at_hand_must_be_agreed_on(builder: Builders, folder: Path, tmp_path: Path) -> None:
    builder().signs()
    out = bundle(tmp_path / "dist").parent
    write(out / "SHA256SUMS", "".join(f"{'0' * 64}  {name}\n" for name in [*CONTENT, f"{TITLE}.intoto.json", "gone"]))
    assert agreement.at_hand([out]) == PRODUCTS
    assert agree(folder, products=agreement.at_hand([out])).bundles[0].products == PRODUCTS
    write(out / TAR, "changed")
    with pytest.raises(CheckError, match=f"{TAR}: expected sha256 {PRODUCTS[TAR]}, as is attested, found ") as caught:
        agree(folder, products=agreement.at_hand([out / TAR]))
    assert any(f"{TAR}: {PRODUCTS[TAR]} instead of " in line for line in caught.value.details)
    with pytest.raises(
        CheckError, match="expected attestations about what is at hand that a known key signed, found none"
    ):
        agree(folder, products={"unheard-of.zip": "0" * 64})
    with pytest.raises(CheckError, match=r"unheard-of\.zip: expected a product that the keys agree on, found none"):
        agree(folder, products={**PRODUCTS, "unheard-of.zip": "0" * 64})


def test_at_hand_wants_files_or_output_folders(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected an archive, a manifest or an output folder with SHA256SUMS"):
        agreement.at_hand([tmp_path])
    with pytest.raises(SpecError, match="no such file"):
        agreement.at_hand([tmp_path / "none"])


def test_several_bundles_are_each_checked(builder: Builders, folder: Path) -> None:
    second = made({name.replace("wallet", "other"): text for name, text in CONTENT.items()})
    one, two = builder(), builder()
    for key in (one, two):
        key.signs()
    one.signs(second, name="other.dsse.json")
    assert [item.title for item in agree(folder).bundles] == [second.title, TITLE]
    with pytest.raises(CheckError, match=f"{second.title}: expected at least 2 keys"):
        agree(folder, threshold=2)
    assert [item.title for item in agree(folder, threshold=2, products=PRODUCTS).bundles] == [TITLE]


def test_what_else_differs_is_told(builder: Builders, folder: Path) -> None:
    builder().signs()
    builder().signs(made(recipe="1" * 64, packager="2.0"))
    notes = agree(folder, threshold=2).bundles[0].notes
    assert [note.partition(" differs: ")[0] for note in notes] == ["packager", "recipe"]
    assert "1.0 says " in notes[0]
    assert "2.0 says " in notes[0]


def test_bundles_of_attestations_are_read_by_line(builder: Builders, folder: Path) -> None:
    keys = [builder(), builder()]
    found = [json.dumps(json.loads(key.signs().read_bytes())) for key in keys]
    for path in folder.glob("*.json"):
        path.unlink()
    write(folder / f"{TITLE}.intoto.jsonl", "\n".join([found[0], "", "{not json", found[1], ""]))
    result = agree(folder, threshold=2)
    assert names(result.bundles[0].agreeing) == {key.name for key in keys}
    assert [item.file for item in result.rejected] == [f"{TITLE}.intoto.jsonl:3"]


def spoiled_payload(document: Any) -> None:
    statement = json.loads(base64.b64decode(document["payload"]))
    statement["subject"][0]["digest"]["sha256"] = "f" * 64
    document["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


HOSTILE: Mapping[str, tuple[Callable[[Any], None], str]] = {
    "payload changed": (spoiled_payload, "bad signature of "),
    "payload type": (
        lambda d: d.update(payloadType="text/plain"),
        "expected a payload of type application/vnd.in-toto",
    ),
    "payload no base64": (lambda d: d.update(payload="***"), "not a DSSE envelope"),
    "no payload": (lambda d: d.pop("payload"), "not a DSSE envelope"),
    "no signatures": (lambda d: d.update(signatures=[]), "expected between 1 and 64 signatures, found 0"),
    "too many signatures": (
        lambda d: d.update(signatures=d["signatures"] * 65),
        "expected between 1 and 64 signatures, found 65",
    ),
    "signature no base64": (lambda d: d["signatures"][0].update(sig="\u2603"), "a signature that is not base64"),
    "signature empty": (lambda d: d["signatures"][0].update(sig=""), "bad signature of "),
    "signature a number": (lambda d: d["signatures"][0].update(sig=1), "not a DSSE envelope"),
    "escape sequences": (lambda d: d.update(payloadType="\x1b[2J"), "'\\x1b[2J'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_spoiled_envelopes_do_not_count(builder: Builders, folder: Path, case: str) -> None:
    good, bad = builder(), builder()
    good.signs()
    change, reason = HOSTILE[case]
    edited(bad.signs(), change)
    found = agree(folder)
    assert names(found.bundles[0].agreeing) == {good.name}
    assert reason in found.rejected[0].reason
    with pytest.raises(CheckError, match="expected at least 2 keys that agree, found 1 of 2"):
        agree(folder, threshold=2)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"null", b"[" * 500_000, b'{"a":' * 100_000, b"\xff\xfe\x00", b"x" * (attest.LARGEST + 1)],
    ids=["empty", "lines", "null", "deep list", "deep object", "binary", "large"],
)
def test_files_that_are_no_envelopes_do_not_count(builder: Builders, folder: Path, data: bytes) -> None:
    good = builder()
    good.signs()
    write(folder / "bad.dsse.json", data)
    write(folder / "bad.intoto.jsonl", data)
    assert names(agree(folder).bundles[0].agreeing) == {good.name}


def test_what_is_signed_must_be_a_statement_about_a_bundle(builder: Builders, folder: Path) -> None:
    good, bad = builder(), builder()
    good.signs()
    bad.publish()
    write(folder / "bad.dsse.json", attest.sign(b'{"_type": "https://in-toto.io/Statement/v1"}', bad.key))
    [rejected] = agree(folder).rejected
    assert rejected.file == "bad.dsse.json"
    assert rejected.reason.startswith("expected a statement about a bundle, found something else")


def test_what_is_no_file_is_passed_over(builder: Builders, folder: Path) -> None:
    good = builder()
    good.signs()
    os.mkfifo(folder / "pipe.dsse.json")
    (folder / "folder.dsse.json").mkdir()
    (folder / "gone.intoto.jsonl").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.pem")
    found = agree(folder)
    assert names(found.bundles[0].agreeing) == {good.name}
    assert {item.file for item in found.rejected} == {
        "pipe.dsse.json", "folder.dsse.json", "gone.intoto.jsonl", "pipe.pem",
    }  # fmt: skip


def test_keys_that_are_none_do_not_count(builder: Builders, folder: Path, tmp_path: Path) -> None:
    good = builder()
    good.signs()
    attest.new_key(folder / "private.pem")
    write(folder / "junk.pem", "junk")
    found = agree(folder)
    assert {item.file: item.reason for item in found.rejected} == {
        "private.pem": "expected a public key, found a private one",
        "junk.pem": "expected a PEM public key, found something else",
    }
    with pytest.raises(SpecError, match=r"junk\.pem: expected a PEM public key, found something else"):
        agree(folder, [folder])


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_means_nothing(builder: Builders, folder: Path, threshold: int) -> None:
    builder().signs()
    with pytest.raises(SpecError, match=f"--threshold: expected 1 or more keys, found {threshold}"):
        agree(folder, threshold=threshold)


def test_folders_without_anything(builder: Builders, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="all: expected public keys in PEM files, found none"):
        agree(folder)
    with pytest.raises(SpecError, match="expected a folder with attestations, found none"):
        agree(tmp_path / "none")
    (tmp_path / "keys").mkdir()
    with pytest.raises(SpecError, match="keys: expected public keys in PEM files, found none"):
        agree(folder, [tmp_path / "keys"])
    builder().publish()
    with pytest.raises(CheckError, match="expected attestations about a bundle that a known key signed, found none"):
        agree(folder)


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_mutation_of_an_envelope_counts_or_crashes(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "all"
    folder.mkdir(exist_ok=True)
    one = Builder(folder, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    whole = one.signs().read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    gone = data.draw(st.integers(0, 8))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[start + gone :]
    write(folder / f"{TITLE}.dsse.{one.name[:8]}.json", changed)
    try:
        [outcome] = agree(folder).bundles
    except PackagerError:
        return
    # What still counts says the same as what was signed.
    assert outcome.products == PRODUCTS
