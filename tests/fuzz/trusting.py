"""Targets of what proves something: Merkle proofs, notes, checkpoints, log proofs, and the registry's replay.

Two oracles stand beside the code: the reader that was written from SPEC.md alone, and the registry's naive reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from typing import Any, Final

from protocol import merkle
from protocol.codec import encode
from protocol.errors import LogError, MalformedError, PeerError, ProofError, StandingError, ThresholdError
from protocol.signing import PrivateKey
from protocol.trust.checkpoint import Checkpoint, Cosigner, Ed25519Cosigner, LogKey, SignedCheckpoint
from protocol.trust.notes import KeyType, Note, NoteSignature, VerifierKey
from protocol.trust.registry import Registry, entry_bytes
from protocol.trust.statements import Charter, SignedStatement, statement_hash
from protocol.trust.tlog_proof import TlogProof
from tests.fuzz.mutate import Shape, unpack
from tests.fuzz.reading import one_of
from tests.fuzz.target import Target, refused_or, require
from tests.protocol.registry_reference import Leaf, Reference
from tests.protocol.vectors_primitives import load, seed
from tests.spec_reader import merkle as spec
from tests.spec_reader.refusal import Refused
from tests.support.world import DAY, START, World

MAX_LEAVES: Final = 70


# -- Merkle proofs ---------------------------------------------------------------------------------------
def merkle_proofs(data: bytes) -> None:
    """[kind, leaf or old root, index or old size, size, root, proof], judged by both readers alike."""
    try:
        kind, first, place, size, last, proof = unpack(data)
        if not all(type(each) is int and each < 1 << 64 for each in (place, size)):
            return
        if type(proof) is not list or not all(type(each) is bytes for each in (first, last, *proof)):
            return
    except (ValueError, TypeError):
        return
    check = _inclusion if kind == 0 else _consistency
    check(first, place, size, last, proof)


def _inclusion(leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> None:
    ours = _passes(lambda: merkle.verify_inclusion(leaf, index, size, path, root))
    theirs = len(leaf) == 32 and _agrees(lambda: spec.check_inclusion(leaf, index, size, path, root))
    require(ours == theirs, f"inclusion: {ours} here, {theirs} by the specification")
    if ours and size <= MAX_LEAVES and root == _tree(size):
        require(path == merkle.path(_leaves(size), index), "another path to a known root")


def _consistency(old_root: bytes, old_size: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    ours = _passes(lambda: merkle.verify_consistency(old_size, old_root, size, root, proof))
    sized = all(len(each) == 32 for each in (old_root, root, *proof))
    theirs = sized and _agrees(lambda: spec.check_consistency((old_size, old_root), (size, root), proof))
    require(ours == theirs, f"consistency: {ours} here, {theirs} by the specification")
    if ours and 0 < size <= MAX_LEAVES and root == _tree(size):
        require(old_root == _tree(old_size), "another old tree in a known one")


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except ProofError:
        return False
    return True


def _agrees(check: Callable[[], None]) -> bool:
    try:
        check()
    except Refused:
        return False
    return True


@cache
def _leaves(size: int) -> tuple[bytes, ...]:
    return tuple(merkle.leaf_hash(seed(f"leaf {number}")) for number in range(size))


@cache
def _tree(size: int) -> bytes:
    return merkle.root(_leaves(size))


def merkle_seeds() -> Iterator[bytes]:
    for size, index in ((1, 0), (2, 1), (3, 2), (7, 0), (8, 5), (11, 10), (64, 63), (65, 64), (65, 3)):
        leaves = _leaves(size)
        yield encode([0, leaves[index], index, size, _tree(size), merkle.path(leaves, index)])
        for old in {0, 1, index, size}:
            yield encode([1, _tree(old), old, size, _tree(size), merkle.consistency(leaves, old)])
    yield encode([0, seed("leaf"), (1 << 62) - 1, 1 << 62, seed("root"), [seed("hash")] * 62])


# -- notes, checkpoints, proofs --------------------------------------------------------------------------
@cache
def _log() -> LogKey:
    log = load("checkpoint")["log"]
    return LogKey(log["origin"], bytes.fromhex(log["mldsa44"]), bytes.fromhex(log["ed25519"]))


@cache
def _witness() -> Cosigner:
    witness = load("checkpoint")["witness"]
    return Cosigner(witness["name"], bytes.fromhex(witness["mldsa44"]))


@cache
def _genuine() -> frozenset[tuple[int, bytes]]:
    """Every size and root that the log of the vectors signed."""
    valid = [each for each in load("checkpoint")["valid"] if each["kind"] in {"note", "compact"}]
    proofs = [
        TlogProof.parse(each["proof"].encode()) for each in load("checkpoint")["valid"] if each["kind"] == "proof"
    ]
    told = [Checkpoint.parse(each.note.text) for each in proofs]
    return frozenset({(each["size"], bytes.fromhex(each["root"])) for each in valid} | {(t.size, t.root) for t in told})


def note(data: bytes) -> None:
    read = refused_or(lambda: Note.parse(data))
    if read is None:
        return
    require(read.encode() == data, "a note is written otherwise than it was read")
    for line in read.signatures:
        require(NoteSignature.parse(line.line()[:-1]) == line, "a line written otherwise")
    _opened(lambda: _log().open(read))
    checkpoint = refused_or(lambda: Checkpoint.parse(read.text))
    if checkpoint is not None:
        require(checkpoint.body() == read.text, "a checkpoint with two texts")
        refused_or(lambda: _witness().find(read, checkpoint))
    stock = Ed25519Cosigner(_log().origin, _log().ed25519)
    refused_or(lambda: stock.find(read))


def _opened(read: Callable[[], SignedCheckpoint]) -> None:
    signed = refused_or(read)
    if signed is not None:
        told = (signed.checkpoint.size, signed.checkpoint.root)
        require(told in _genuine(), "a checkpoint that the log never signed")


def proof(data: bytes) -> None:
    read = refused_or(lambda: TlogProof.parse(data))
    if read is not None:
        require(read.encode() == data, "a proof is written otherwise than it was read")
        leaf = bytes.fromhex(next(e["leaf_hash"] for e in load_cached("checkpoint")["valid"] if e["kind"] == "proof"))
        _opened(lambda: read.verify(leaf, _log()))


@cache
def load_cached(name: str) -> Any:
    return load(name)


def vkey(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    key = refused_or(lambda: VerifierKey.parse(text))
    require(key is None or key.encode() == text, "a verifier key with two texts")


def note_seeds() -> Iterator[bytes]:
    vectors = load("checkpoint")
    for case in (*vectors["valid"], *vectors["invalid"]):
        if "note" in case:
            yield b"\x00" + case["note"].encode()
        if "proof" in case:
            yield b"\x01" + case["proof"].encode()
        if "vkey" in case:
            yield b"\x02" + case["vkey"].encode()
    yield b"\x02" + VerifierKey("w", KeyType.MLDSA44_COSIGNATURE, bytes(1312)).encode().encode()


NOTE_WORDS: Final = tuple(
    each.encode()
    for each in (
        *(
            "\n",
            "\n\n",
            "— ",
            " ",
            "=",
            "==",
            "AAAA",
            "+",
            "index 0\n",
            "index 00\n",
            "extra \n",
            "\r",
            "\x00",
            "\u2028",
        ),
        *(
            "c2sp.org/tlog-proof@v1\n",
            "18446744073709551616",
            "-1",
            "9" * 19,
            "\n— x AAAAAAA=\n",
            "valija.example/vector",
        ),
    )
)


# -- the registry ----------------------------------------------------------------------------------------
class Office:
    """A world, and every key that may sign in it by number."""

    def __init__(self) -> None:
        self.world = World(members=("ar-mpf", "co-fgn"))
        it = self.world
        self.keys: list[PrivateKey] = [
            *it.stewards,
            it.hub_root,
            it.hub_key,
            *(it.root(member) for member in ("ar-mpf", "co-fgn")),
            *(it.key(member) for member in ("ar-mpf", "co-fgn")),
        ]
        self.sign = lru_cache(maxsize=4096)(self._sign)

    def _sign(self, body: bytes, signers: tuple[int, ...]) -> SignedStatement:
        # What a key signed verifies: a signature costs as much as all the rest, so it is remembered as verified instead.
        fingerprints = sorted(self.keys[number].public.fingerprint for number in signers)
        listed = [(fingerprint, bytes(64), bytes(3309)) for fingerprint in fingerprints]
        signed = SignedStatement.from_bytes(encode([body, listed]))
        signed._verified.update((fingerprint, self.world.association) for fingerprint in fingerprints)
        return signed

    def fresh(self) -> tuple[Registry, Reference]:
        """The registry and its reference after the world's leaves."""
        registry, reference = Registry(self.world.association), Reference(self.world.association)
        for entry, signed in zip(self.world.entries, self.world.statements, strict=True):
            registry.append(entry, signed)
            signers = frozenset(fingerprint for fingerprint, _signature in signed.signatures)
            reference.applied.append(Leaf(registry.size - 1, registry.logged_at, signed, signers))
        return registry, reference


@cache
def office() -> Office:
    return Office()


def registry(data: bytes) -> None:
    """[[signers, seconds later, body]…]: bodies signed by the true keys of these numbers, one leaf after another."""
    try:
        steps = [_step(*each) for each in unpack(data)[:6]]
    except (ValueError, TypeError, AttributeError, OverflowError):
        return
    here, reference = office().fresh()
    there = Registry(here.association)
    for entry, signed in zip(office().world.entries, office().world.statements, strict=True):
        there.append(entry, signed)
    for signers, later, body in steps:
        _one_leaf(here, there, reference, signers, later, body)
    require((here.size, here.root) == (there.size, there.root), "two replays of one log")


def _step(signers: Any, later: Any, body: Any) -> tuple[tuple[int, ...], int, bytes]:
    numbers = tuple(sorted({int(number) % len(office().keys) for number in signers[:4]}))
    if type(later) is not int or type(body) is not bytes:
        raise TypeError
    return numbers, max(0, min(later, 1 << 40)), body


def _one_leaf(
    here: Registry, there: Registry, reference: Reference, signers: tuple[int, ...], later: int, body: bytes
) -> None:
    signed = refused_or(lambda: office().sign(body, signers))
    at, size = here.logged_at + later, here.size
    if signed is None:
        # Not a statement: it stands in the log as a leaf that everybody ignores.
        entry, raw = entry_bytes(2, at, statement_hash(body)), body
        require(not here.append(entry, raw).applied and not there.append(entry, raw).applied, "no statement applied")
        return
    entry = entry_bytes(signed.statement.type, at, signed.hash)
    refused_or(lambda: here.check(signed, at), (PeerError, StandingError))
    outcome, again = here.append(entry, signed), there.append(entry, signed)
    require(outcome == again and outcome.applied is (outcome.code is None), "two outcomes of one leaf")
    require(here.size == size + 1 and (here.index_of(signed.id) == size) is outcome.applied, "a leaf misplaced")
    keys = frozenset(office().keys[number].public.fingerprint for number in signers)
    leaf = Leaf(size, at, signed, keys)
    continues = isinstance(signed.statement, Charter) and signed.statement.continues is not None
    if continues and outcome.applied:
        reference.applied.append(leaf)
    elif not continues:
        require(reference.offer(leaf) is outcome.applied, f"the reference says otherwise than {outcome}")
    _compare_standing(here, reference, at)


def _compare_standing(here: Registry, reference: Reference, at: int) -> None:
    for member in ("ar-mpf", "co-fgn"):
        ours = refused_or(partial(here.member_standing, member, at), StandingError) is not None
        require(ours is reference.member_ok(member, at), f"standing of {member}: {ours} here")
    for certificate in office().world.certificates.values():
        ours = refused_or(partial(here.certificate_standing, certificate, at), StandingError) is not None
        require(ours is reference.certificate_ok(certificate, at), f"standing of a certificate: {ours} here")


def registry_seeds() -> Iterator[bytes]:
    world = World(members=("ar-mpf", "co-fgn"))
    held = world.certificates["ar-mpf"]
    suspension, second = world.suspend("co-fgn", START + 9), world.certify("ar-mpf", not_before=START + 5)
    statements: list[tuple[list[int], SignedStatement]] = [
        ([0, 1], world.admit("pt-pgr", root=world.root("ar-mpf"))),
        ([5], second),
        ([7], world.open("ar-mpf")),
        ([0, 2], world.roster("rfai", ["ar-mpf", "co-fgn"])),
        ([0, 1], suspension),
        ([1, 2], world.lift(suspension.id)),
        ([5], world.revoke(held, START + 100)),
        ([0, 1], world.expel("co-fgn", START + 50)),
        ([0, 1, 2], world.next_charter()),
        ([3], world.certify("", role=world.registry.certificate(world.hub_certificate).role, key=world.key("ar-mpf"))),
        ([0, 1], world.admit("ar-mpf", root=world.root("co-fgn"), admitted_at=START + 60)),
    ]
    steps: list[Any] = [[signers, 60, signed.body] for signers, signed in statements]
    yield from (encode([step]) for step in steps)
    yield encode([steps[4], steps[5], steps[6]])
    yield encode([steps[7], [[0, 1], DAY, world.admit("co-fgn", admitted_at=START + 200).body], steps[10]])
    yield encode([steps[8], steps[0], steps[3]])
    yield encode([[[0], 0, b"junk"], [[], 5, steps[0][2]]])


def seen(data: bytes) -> None:
    """A statement on sight: bytes as gossip carries them, and bodies signed by true keys."""
    here, _reference = office().fresh()
    if not data:
        return
    before = here.size
    signed = refused_or(lambda: SignedStatement.from_bytes(data[1:]))
    signed = signed or refused_or(lambda: office().sign(data[1:], _signers(data[0])))
    if signed is not None:
        refused_or(lambda: here.apply_on_sight(signed), (PeerError, ThresholdError))
        require(len(here.unlogged_negatives()) <= 1 and here.size == before, "sight changed the log")
    entry = data[1:65]
    refused_or(lambda: here.append(entry, data[65:]), (LogError, MalformedError, ProofError))
    require(here.size in {before, before + 1}, "a log that jumped")


def _signers(bits: int) -> tuple[int, ...]:
    return tuple(number for number in range(8) if bits >> number & 1)


def seen_seeds() -> Iterator[bytes]:
    world = office().world
    negatives = [
        world.suspend("co-fgn", START),
        world.expel("ar-mpf", START + 5),
        world.revoke(world.hub_certificate, 7),
    ]
    for each in negatives:
        yield b"\x00" + each.raw
        yield b"\x03" + each.body
    yield b"\x03" + world.admit("pt-pgr").body


TARGETS: Final = (
    Target("merkle", merkle_proofs, merkle_seeds),
    Target("checkpoint", one_of(note, proof, vkey), note_seeds, Shape.RAW, head=1, words=NOTE_WORDS, max_bytes=16_384),
    Target("registry", registry, registry_seeds, max_bytes=32_768),
    Target("sight", seen, seen_seeds, head=1, max_bytes=16_384),
)
