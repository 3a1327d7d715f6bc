"""Which keys say that they got the same bundle: read signed statements, verify them, and count.

Statements are compared by their products' sha256, not by their bytes: two builders with different packagers may have
got the same files, and what else differs is told. A key counts once however often it signs, and not at all where it
says two things of one bundle. What cannot be used is told, too, and hinders nobody else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]  # exported, but not by __all__

from packager import provenance
from packager.attest import LARGEST, PAYLOAD_TYPE, PUBLIC, fingerprint, load_public, verifier
from packager.errors import CheckError, SpecError
from packager.manifest import SUMS, parse_sums
from packager.trees import file_sha256

#: in-toto's names for files with one envelope, and for bundles with one on each line.
_ENVELOPE = re.compile(r"\.dsse(\.[0-9a-f]{8})?\.json$")
_BUNDLE = ".intoto.jsonl"
_STANDARD = str.maketrans("-_", "+/")
#: Files read, signatures of one envelope, and bytes of a file with many envelopes: far more than anybody needs.
MOST_FILES = 1000
MOST_SIGNATURES = 64
LARGEST_BUNDLE = 16 << 20


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, by its fingerprint and the name of its file, and the files in which it signed."""

    fingerprint: str
    key: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.fingerprint[:16]} ({self.key})"


@dataclass(frozen=True, slots=True)
class Differing:
    """A key that got something else: the first product that differs, what it says of it and what the others say."""

    signer: Signer
    product: str
    theirs: str
    agreed: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file, or a signature in it, that does not count, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the keys say of one bundle: the products that most agree on, who agrees, who does not, what else differs.

    ``undecided`` says that as many keys agree on other products, and nothing at hand decides. ``contradicting`` are
    keys that signed two different sets of products; they count neither way.
    """

    title: str
    products: Mapping[str, str]
    undecided: bool
    agreeing: tuple[Signer, ...]
    differing: tuple[Differing, ...]
    contradicting: tuple[Signer, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What :func:`agree` found, one outcome for each bundle.

    ``keys_given`` is False when the keys came with the attestations: then only whoever holds those keys agrees, and
    anybody can make keys.
    """

    threshold: int
    keys_given: bool
    keys: tuple[Signer, ...]
    bundles: tuple[Outcome, ...]
    rejected: tuple[Rejected, ...]


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    fingerprint: str
    public: SSlibKey


@dataclass(frozen=True, slots=True)
class _Vote:
    """A statement that a key has signed, and the file that it was in."""

    key: _Key
    file: str
    statement: provenance.Statement


def agree(
    folder: Path,
    trusted: Sequence[Path] | None = None,
    threshold: int = 1,
    products: Mapping[str, str] | None = None,
) -> Agreement:
    """Whether ``threshold`` different keys agree on every bundle that the attestations in ``folder`` are about.

    ``trusted`` are public keys, as PEM files or folders of them; without it, those in ``folder`` are taken. With
    ``products``, the sha256 of files at hand by name (:func:`at_hand`), only their bundles are looked at, and each
    must be among what is agreed on. Raises CheckError with all that was found if not, SpecError for a folder, key or
    threshold that cannot be used.
    """
    if threshold < 1:
        raise SpecError(f"--threshold: expected 1 or more keys, found {threshold}")
    if not folder.is_dir():
        raise SpecError(f"{folder}: expected a folder with attestations, found none")
    rejected: list[Rejected] = []
    keys = _trusted_keys(trusted) if trusted is not None else _found_keys(folder, rejected)
    if not keys:
        raise CheckError(
            f"{folder}: expected public keys in PEM files, found none",
            details=[f"does not count: {item.file}: {item.reason}" for item in rejected],
            hint=f"put the builders' *{PUBLIC} files there, or name the keys that you trust",
        )
    votes = tuple(_votes(folder, keys, rejected))
    titles = sorted({vote.statement.title for vote in votes})
    if products is not None:
        titles = [title for title in titles if any(name.startswith(f"{title}.") for name in products)]
    agreement = Agreement(
        threshold=threshold,
        keys_given=trusted is not None,
        keys=tuple(Signer(key.fingerprint, key.name) for key in keys),
        bundles=tuple(_outcome(title, votes, products) for title in titles),
        rejected=tuple(rejected),
    )
    _check(agreement, folder, products)
    return agreement


def at_hand(paths: Iterable[Path]) -> dict[str, str]:
    """The sha256 of files that attestations can be about, by name: the files themselves, or all of an output folder.

    Of a folder those that its SHA256SUMS names and that are there count; their sums are taken anew. SpecError for a
    folder without that file, or a path that is not there.
    """
    found: dict[str, str] = {}
    for path in paths:
        if path.is_dir():
            if not (path / SUMS).is_file():
                raise SpecError(f"{path}: expected an archive, a manifest or an output folder with {SUMS}")
            names = parse_sums((path / SUMS).read_text("utf-8", "replace"))
            files = [path / name for name in names if "/" not in name and (path / name).is_file()]
        elif path.is_file():
            files = [path]
        else:
            raise SpecError(f"{path}: no such file")
        found |= {file.name: file_sha256(file) for file in files if not file.name.endswith(provenance.SUFFIX)}
    return found


def lines(agreement: Agreement) -> list[str]:
    """What was found, for people: a line for each bundle, each key and each thing that does not count."""
    said: list[str] = []
    for outcome in agreement.bundles:
        said.append(f"{outcome.title}: {len(outcome.agreeing)} of {len(agreement.keys)} keys agree")
        said += [f"  {digest}  {name}" for name, digest in sorted(outcome.products.items())]
        said += [f"  agrees: {signer}" for signer in outcome.agreeing]
        said += [
            f"  differs: {item.signer}: {item.product}: {item.theirs} instead of {item.agreed}"
            for item in outcome.differing
        ]
        said += [f"  does not count: {signer}: says different things" for signer in outcome.contradicting]
        said += [f"  note: {note}" for note in outcome.notes]
    said += [f"does not count: {item.file}: {item.reason}" for item in agreement.rejected]
    if not agreement.keys_given:
        said.append("the keys came with the attestations: compare these fingerprints with what their holders tell you")
        said += [f"  {key.fingerprint}  {key.key}" for key in agreement.keys]
    return said


def _check(agreement: Agreement, folder: Path, products: Mapping[str, str] | None) -> None:
    """CheckError unless every bundle has enough keys and everything at hand is agreed on."""
    if not agreement.bundles:
        about = "a bundle" if products is None else "what is at hand"
        raise CheckError(
            f"{folder}: expected attestations about {about} that a known key signed, found none",
            details=lines(agreement),
            hint="put the builders' *.dsse.*.json files there, and name their public keys",
        )
    for outcome in agreement.bundles:
        problem = _problem(outcome, agreement, products)
        if problem is not None:
            raise CheckError(
                f"{outcome.title}: {problem}",
                details=lines(agreement),
                hint="get further attestations, or compare the builds with `packager diff`",
            )
    agreed = {name for outcome in agreement.bundles for name in outcome.products}
    for name in products or {}:
        if name not in agreed:
            raise CheckError(f"{name}: expected a product that the keys agree on, found none", details=lines(agreement))


def _problem(outcome: Outcome, agreement: Agreement, products: Mapping[str, str] | None) -> str | None:
    if outcome.undecided:
        return f"expected keys that agree, found {len(outcome.agreeing)} against as many"
    if products is not None and not outcome.agreeing and outcome.differing:
        first = outcome.differing[0]
        return f"{first.product}: expected sha256 {first.theirs}, as is attested, found {first.agreed}"
    if len(outcome.agreeing) < agreement.threshold:
        return (
            f"expected at least {agreement.threshold} keys that agree,"
            f" found {len(outcome.agreeing)} of {len(agreement.keys)}"
        )
    return None


def _outcome(title: str, votes: Iterable[_Vote], products: Mapping[str, str] | None) -> Outcome:
    """Count the votes on one bundle."""
    by_key: dict[str, list[_Vote]] = {}
    for vote in votes:
        if vote.statement.title == title:
            by_key.setdefault(vote.key.fingerprint, []).append(vote)
    contradicting = {name for name, cast in by_key.items() if any(_differ(cast[0], vote) for vote in cast)}
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in sorted(by_key.keys() - contradicting):
        groups.setdefault(tuple(sorted(by_key[name][0].statement.products.items())), []).append(name)
    mine = {name: digest for name, digest in (products or {}).items() if name.startswith(f"{title}.")}
    # What is at hand decides before what most say.
    fitting = {group: names for group, names in groups.items() if mine.items() <= dict(group).items()}
    most = max((len(names) for names in fitting.values()), default=0)
    best = sorted(group for group, names in fitting.items() if len(names) == most)
    agreed = dict(best[0]) if best else mine
    signers = {name: Signer(name, cast[0].key.name, tuple(vote.file for vote in cast)) for name, cast in by_key.items()}
    return Outcome(
        title=title,
        products=agreed,
        undecided=len(best) > 1,
        agreeing=tuple(signers[name] for name in groups[best[0]]) if best else (),
        differing=tuple(
            Differing(signers[name], *_first_difference(dict(group), agreed, names=() if best else mine))
            for group, names in groups.items()
            if dict(group) != agreed
            for name in names
        ),
        contradicting=tuple(signers[name] for name in sorted(contradicting)),
        notes=tuple(_notes([by_key[name][0] for name in groups[best[0]]])) if best else (),
    )


def _differ(one: _Vote, other: _Vote) -> bool:
    return one.statement.products != other.statement.products


def _first_difference(
    theirs: Mapping[str, str], agreed: Mapping[str, str], *, names: Iterable[str] = ()
) -> tuple[str, str, str]:
    """The first product, by name, that two sets of products say different things of; and what they say.

    Only ``names`` are looked at, if there are any.
    """
    return next(
        (name, theirs.get(name, "nothing"), agreed.get(name, "nothing"))
        for name in sorted(names or {*theirs, *agreed})
        if theirs.get(name) != agreed.get(name)
    )


def _notes(votes: Sequence[_Vote]) -> Iterator[str]:
    """What keys that agree on the products say differently of how they were made."""
    for what, told in _TOLD.items():
        said: dict[str, list[str]] = {}
        for vote in votes:
            said.setdefault(_shown(told(vote.statement)), []).append(vote.key.fingerprint[:16])
        if len(said) > 1:
            yield f"{what} differs: " + "; ".join(f"{value} says {', '.join(keys)}" for value, keys in said.items())


def _dependencies(statement: provenance.Statement) -> str:
    found = statement.predicate.build_definition.resolved_dependencies
    digest = hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()
    return f"{len(found)} sources and inputs ({digest[:16]})"


_TOLD: Mapping[str, Callable[[provenance.Statement], str]] = {
    "spec": lambda said: said.predicate.build_definition.external_parameters.spec,
    "target": lambda said: said.predicate.build_definition.external_parameters.target,
    "epoch": lambda said: str(said.predicate.build_definition.external_parameters.epoch),
    "packager": lambda said: said.predicate.build_definition.internal_parameters.packager,
    "recipe": lambda said: said.predicate.build_definition.internal_parameters.recipe[:16],
    "dependencies": _dependencies,
}


def _votes(folder: Path, keys: Sequence[_Key], rejected: list[Rejected]) -> Iterator[_Vote]:
    """Every statement in the folder with every key that signed it; what does not count goes to ``rejected``."""
    files = sorted(path for path in folder.iterdir() if _ENVELOPE.search(path.name) or path.name.endswith(_BUNDLE))
    for path in files[MOST_FILES:]:
        rejected.append(Rejected(_shown(path.name), f"only the first {MOST_FILES} files are read"))
    for path in files[:MOST_FILES]:
        many = path.name.endswith(_BUNDLE)
        try:
            data = _read(path, LARGEST_BUNDLE if many else LARGEST)
        except CheckError as exc:
            rejected.append(Rejected(_shown(path.name), exc.message))
            continue
        for number, text in enumerate(data.splitlines() if many else [data], 1):
            if text.strip():
                name = f"{_shown(path.name)}:{number}" if many else _shown(path.name)
                yield from _read_envelope(name, text, keys, rejected)


def _read_envelope(name: str, data: bytes, keys: Sequence[_Key], rejected: list[Rejected]) -> Iterator[_Vote]:
    """The votes of one envelope. The payload is not looked into before a known key's signature fits it."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        payload = _base64(envelope.payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        rejected.append(Rejected(name, _shown(f"not a DSSE envelope: {exc}")))
        return
    if envelope.payload_type != PAYLOAD_TYPE:
        found = _shown(envelope.payload_type)
        rejected.append(Rejected(name, f"expected a payload of type {PAYLOAD_TYPE}, found {found}"))
        return
    if not 1 <= len(envelope.signatures) <= MOST_SIGNATURES:
        found = str(len(envelope.signatures))
        rejected.append(Rejected(name, f"expected between 1 and {MOST_SIGNATURES} signatures, found {found}"))
        return
    signed = Envelope(payload, PAYLOAD_TYPE, {}).pae()
    signers: dict[str, _Key] = {}
    for signature in envelope.signatures:
        try:
            key = _signer(signature, signed, keys)
            signers[key.fingerprint] = key
        except CheckError as exc:
            rejected.append(Rejected(name, exc.message))
    try:
        statement = provenance.decode(payload, name) if signers else None
    except CheckError as exc:
        rejected.append(Rejected(name, _shown(exc.message.removeprefix(f"{name}: "))))
        return
    if statement is not None:
        yield from (_Vote(key, name, statement) for key in signers.values())


def _signer(signature: _Signature, signed: bytes, keys: Sequence[_Key]) -> _Key:
    """The key that made a signature. ``keyid`` is a hint that nobody has signed; CheckError if no known key fits."""
    try:
        value = _base64(signature.sig).hex()
    except ValueError as exc:
        raise CheckError("a signature that is not base64") from exc
    named = [key for key in keys if key.fingerprint == signature.keyid]
    for key in named or keys:
        with contextlib.suppress(UnverifiedSignatureError):
            key.public.verify_signature(Signature(key.fingerprint, value), signed)
            return key
    if named:
        raise CheckError(f"bad signature of {Signer(named[0].fingerprint, named[0].name)}")
    raise CheckError(f"signature of no known key (keyid {_shown(signature.keyid[:16]) or 'none'})")


def _trusted_keys(paths: Sequence[Path]) -> tuple[_Key, ...]:
    """The keys that somebody names; each must be one."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if not found:
            raise SpecError(f"{path}: expected public keys in PEM files, found none")
        files += found
    return _unique(_key(path) for path in files)


def _found_keys(folder: Path, rejected: list[Rejected]) -> tuple[_Key, ...]:
    """The keys that came with attestations; what is none is told."""
    found = []
    for path in sorted(folder.glob("*.pem"))[:MOST_FILES]:
        try:
            found.append(_key(path))
        except SpecError as exc:
            rejected.append(Rejected(_shown(path.name), _shown(exc.message.removeprefix(f"{path}: "))))
    return _unique(found)


def _key(path: Path) -> _Key:
    key = load_public(path)
    return _Key(_shown(path.name), fingerprint(key), verifier(key))


def _unique(keys: Iterable[_Key]) -> tuple[_Key, ...]:
    """Each key once, whatever number of files have it."""
    found: dict[str, _Key] = {}
    for key in keys:
        found.setdefault(key.fingerprint, key)
    return tuple(found[name] for name in sorted(found))


def _read(path: Path, most: int) -> bytes:
    """A file of at most ``most`` bytes. CheckError, with a message that does not repeat its name."""
    try:
        if not path.is_file():
            raise CheckError("not a file")
        if path.stat().st_size > most:
            raise CheckError(f"expected at most {most} bytes, found {path.stat().st_size}")
        return path.read_bytes()
    except OSError as exc:
        raise CheckError(f"cannot be read: {exc.strerror}") from exc


def _base64(text: str) -> bytes:
    """DSSE takes the standard and the URL-safe alphabet. ValueError for anything else."""
    return base64.b64decode(text.translate(_STANDARD), validate=True)


def _shown(text: str) -> str:
    """Somebody else's text, fit for a terminal and a line."""
    short = text if len(text) <= 200 else f"{text[:200]}..."
    return short if short.isprintable() else ascii(short)
