"""What an archive proves, read without our code: its rows as they stand, judged by the reader written from SPEC alone.

Only the cipher's key and the names of tables and columns are taken from the node.  For each message and recipient the
receipt behind its state is verified from the bytes: receipt -> body leaf -> manifest -> link -> leaf proof -> batch
signature -> certificate in a registry that is replayed here, from the log that the node mirrors, under the charter
that the association began with; and the hub's acceptance, which says when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2

from node.archive import PAGE_BYTES
from node.config import Home, load
from node.founding import open_custody
from node.model import LinkState
from protocol.names import show_id
from tests.faults.checker import DELIVERED, Proof
from tests.spec_reader.batch import Batch, read_batch, read_proof
from tests.spec_reader.bodies import check_receipt, check_void
from tests.spec_reader.digests import envelope_id, message_id
from tests.spec_reader.envelope import ACCEPTANCE, Attestation, read_claim
from tests.spec_reader.facts import HUB, NODE
from tests.spec_reader.message import Link, Manifest, bodies_root, link_leaf, read_header, read_link, read_manifest
from tests.spec_reader.refusal import Refused, require
from tests.spec_reader.registry import replay
from tests.spec_reader.state import State
from tests.spec_reader.statements import association_of, read_statement
from tests.spec_reader.wire import decode

_MESSAGE, _RECEIPT, _VOID_KIND = 1, 2, 3
_CONSIGNMENT, _HANDOVER = 1, 4
_DELIVERED, _VOID = 1, 2
_BODIES_BYTES: Final = 2 << 20
_ENDS: Final = {
    LinkState.DELIVERED: DELIVERED,
    LinkState.REFUSED: "refused",
    LinkState.VOID: "withdrawn",
}
_REASONS: Final = {1: "withdrawn", 2: "expired", 3: "refused"}


# -- reading -------------------------------------------------------------------------------------------
def key_of(home: Home) -> bytes:
    """The key of this home's archive."""
    return open_custody(home, load(home, {}), {}).archive_key


def opened(path: Path, key: bytes) -> Any:
    """A connection to an archive that nobody uses."""
    connection = dbapi2.connect(str(path), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    connection.execute(f"PRAGMA cipher_page_size = {PAGE_BYTES}")
    connection.row_factory = dbapi2.Row
    return connection


@dataclass(frozen=True)
class Archived:
    """What one member's archive says at the end."""

    member: str
    proofs: Mapping[tuple[str, str], Proof] = field(repr=False)
    kept: tuple[str, ...] = field(repr=False)
    leaves: tuple[tuple[bytes, bytes], ...] = field(repr=False)


def read_archive(home: Home, member: str, charter: bytes) -> Archived:
    """Everything that the checker wants of a node that does not run; `charter` is charter 1, signed, as officers gave it."""
    with closing(opened(home.archive, key_of(home))) as rows:
        leaves = tuple(
            (bytes(row["entry"]), bytes(row["statement"]))
            for row in rows.execute("SELECT entry, statement FROM registry_leaf ORDER BY leaf")
        )
        kept = tuple(show_id("msg", row[0]) for row in rows.execute("SELECT message_id FROM inbox ORDER BY id"))
        proofs = dict(_Reader(rows, registry_of(leaves, charter), member).proofs())
    return Archived(member, proofs, kept, leaves)


def registry_of(leaves: tuple[tuple[bytes, bytes], ...], charter: bytes) -> State:
    """The registry by the log alone, which must begin with this charter."""
    require(leaves and leaves[0][1] == charter, "bad_log", "the log begins with another charter")
    state, _outcomes = replay(association_of(read_statement(charter).encoded), leaves)
    return state


def id_of(association: bytes, desk: str) -> Any:
    """The message id by SPEC 4.1 of a member's key at this desk."""
    return lambda member, key: show_id("msg", message_id(association, member, desk, key))


# -- judging -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Signed:
    """A link of the peer whose signature, certificate and acceptance hold, with the signed parts of its bodies."""

    link: Link
    manifest: Manifest
    parts: tuple[bytes, ...]


@dataclass
class _Reader:
    rows: Any
    state: State
    member: str
    signed: dict[int, _Signed | Refused] = field(default_factory=dict)
    carried: dict[int, tuple[bytes, tuple[bytes, ...]]] = field(default_factory=dict)
    batches: dict[tuple[int, bytes, str], Batch | Refused] = field(default_factory=dict)

    def proofs(self) -> Iterator[tuple[tuple[str, str], Proof]]:
        """For every message of ours and each of its recipients, the end of the newest link, and what proves it.

        What was never linked ended at its author's node alone; a restored one asks by a void of its own.
        """
        linked: dict[tuple[int, int], tuple[Any, int]] = {}
        query = "SELECT p.message, p.place, l.* FROM placement p JOIN link l ON l.manifest = p.manifest ORDER BY l.id"
        for row in self.rows.execute(query).fetchall():
            linked[row["message"], row["peer"]] = row, row["place"]
        names = {row["id"]: row["member"] for row in self.rows.execute("SELECT id, member FROM peer").fetchall()}
        ids = {row["id"]: bytes(row["message_id"]) for row in self.rows.execute("SELECT id, message_id FROM outbox")}
        for row in self.rows.execute("SELECT message, peer, reason FROM ended").fetchall():
            # Without a peer it is everybody: it ended before anybody could have it, and nobody has to sign for that.
            yield (show_id("msg", ids[row["message"]]), names.get(row["peer"], "")), Proof(_REASONS[row["reason"]])
        for (message, peer), (link, place) in linked.items():
            yield (show_id("msg", ids[message]), names[peer]), self._proof(ids[message], names[peer], link, place)

    def _proof(self, wanted: bytes, peer: str, link: Any, place: int) -> Proof:
        number = self.rows.execute(
            "SELECT * FROM number_out WHERE link = ? AND place = ?", (link["id"], place)
        ).fetchone()
        told = number or link
        state = LinkState(told["state"])
        if state not in _ENDS:
            return Proof(state.name.lower())
        end = _ENDS[state]
        reason = self._reason(link, place, number)
        if state is LinkState.VOID and reason is not None:
            end = _REASONS[reason]
        try:
            require(told["receipt"] is not None, "no_receipt", "none is kept")
            self._check(wanted, peer, link, place, end, (told["receipt"], told["receipt_place"]))
        except Refused as refused:
            return Proof(end, f"{refused.code}: {refused}")
        return Proof(end)

    def _reason(self, link: Any, place: int, number: Any) -> int | None:
        """Why it is void: kept beside its number, or said by the void that has a number of its own."""
        if link["kind"] == _VOID_KIND:
            row = self.rows.execute("SELECT raw, bodies FROM manifest WHERE id = ?", (link["manifest"],)).fetchone()
            said: Any = decode(_manifest(row)[1][place])
            return int(said[2])
        return None if number is None or number["reason"] is None else int(number["reason"])

    def _check(self, wanted: bytes, peer: str, ours: Any, place: int, end: str, where: tuple[int, int]) -> None:
        """The receipt says of our link's number, and so of our message, what the archive says."""
        signed = self._signed(where[0])
        require(signed.manifest.kind == _RECEIPT, "malformed", "no receipts")
        require(signed.manifest.sender[1] == peer, "unverifiable", "signed by somebody else")
        require(signed.manifest.audience[0][1] == self.member, "unverifiable", "for somebody else")
        part = signed.parts[where[1]]
        check_receipt(part)
        value: Any = decode(part)
        require(value[1] == _CONSIGNMENT, "unverifiable", f"event {value[1]}")
        (of, first, count, manifest, kind), exceptions = value[3], {each[0]: each for each in value[4]}
        sent = read_link(bytes(ours["raw"]))
        seq = sent.first_seq + place
        require(first <= seq < first + count, "unverifiable", "another number")
        require(tuple(of) == sent.incarnation, "unverifiable", "another incarnation")
        outcome = exceptions[seq][1] if seq in exceptions else {_MESSAGE: _DELIVERED, _VOID_KIND: _VOID}.get(kind)
        require(outcome == (_DELIVERED if end == DELIVERED else _VOID), "unverifiable", f"outcome {outcome}")
        if kind == _MESSAGE:
            require((first, manifest) == (sent.first_seq, sent.manifest), "unverifiable", "another link")
        require(seq not in exceptions or exceptions[seq][2] == wanted, "unverifiable", "another message")
        self._check_carried(wanted, ours["manifest"], sent, place)

    def _check_carried(self, wanted: bytes, ours: int, sent: Link, place: int) -> None:
        if ours not in self.carried:
            row = self.rows.execute("SELECT raw, bodies FROM manifest WHERE id = ?", (ours,)).fetchone()
            manifest, parts = _manifest(row)
            self.carried[ours] = manifest.digest(), tuple(_message_of(manifest, part) for part in parts)
        digest, message_ids = self.carried[ours]
        require(digest == sent.manifest, "unverifiable", "our own manifest")
        require(message_ids[place] == wanted, "unverifiable", "our own header")

    # -- the peer's link
    def _signed(self, inlink: int) -> _Signed:
        if inlink not in self.signed:
            try:
                self.signed[inlink] = self._verified(inlink)
            except Refused as refused:
                self.signed[inlink] = refused
        known = self.signed[inlink]
        if isinstance(known, Refused):
            raise known
        return known

    def _verified(self, inlink: int) -> _Signed:
        row = self.rows.execute(
            "SELECT l.raw AS link, l.proof, l.batch, l.core, l.attestation, m.raw, m.bodies FROM inlink l "
            "JOIN manifest m ON m.id = l.manifest WHERE l.id = ?",
            (inlink,),
        ).fetchone()
        require(row is not None, "no_receipt", "the link is gone")
        link, (manifest, parts) = read_link(bytes(row["link"])), _manifest(row)
        require(manifest.digest() == link.manifest, "unverifiable", "manifest of the link")
        require(link.recipient[1] == self.member, "unverifiable", "recipient of the link")
        proof = read_proof(bytes(row["proof"]))
        leaf = link_leaf(proof.salt, link.encoded)
        at = self._accepted_at(row["attestation"], bytes(row["core"]), leaf)
        self._check_batch(row["batch"], manifest.certificate, "valija/0 links", at, NODE, manifest.sender[1])
        proof.check(leaf, read_batch(self._batch(row["batch"])))
        return _Signed(link, manifest, parts)

    def _accepted_at(self, attestation: int, core: bytes, leaf: bytes) -> int:
        row = self.rows.execute("SELECT data, proof, batch FROM attestation WHERE id = ?", (attestation,)).fetchone()
        data = bytes(row["data"])
        claim = read_claim(data)
        batch = read_batch(self._batch(row["batch"]))
        Attestation(data, claim, read_proof(bytes(row["proof"])), batch).check_proof()
        self._check_batch(row["batch"], claim.certificate, "valija/0 acceptances", claim.at, HUB, None)
        require(claim.event == ACCEPTANCE, "unverifiable", "no acceptance")
        require(claim.envelope_id == envelope_id(core), "unverifiable", "acceptance of another envelope")
        require(claim.recipient[1] == self.member, "unverifiable", "acceptance for another recipient")
        require(claim.link_leaf == leaf, "unverifiable", "acceptance of another link")
        return claim.at

    def _batch(self, row_id: int) -> bytes:
        return bytes(self.rows.execute("SELECT raw FROM batch WHERE id = ?", (row_id,)).fetchone()[0])

    def _check_batch(self, row_id: int, certificate: bytes, label: str, at: int, role: int, member: str | None) -> None:
        # The signature costs the most, and many links stand under one; standing is asked at each time anew.
        key = self.state.holder(certificate, at, role, member)
        known = (row_id, certificate, label)
        if known not in self.batches:
            batch = read_batch(self._batch(row_id))
            try:
                batch.check(key, label, self.state.association)
                self.batches[known] = batch
            except Refused as refused:
                self.batches[known] = refused
        found = self.batches[known]
        if isinstance(found, Refused):
            raise found


def _message_of(manifest: Manifest, part: bytes) -> bytes:
    """The message id that a body of ours names: a message, or a void of one."""
    if manifest.kind == _MESSAGE:
        return read_header(part).message_id
    check_void(part)
    named: Any = decode(part)
    return bytes(named[1])


def _manifest(row: Any) -> tuple[Manifest, tuple[bytes, ...]]:
    manifest = read_manifest(bytes(row["raw"]))
    stored: Any = decode(bytes(row["bodies"]), _BODIES_BYTES)
    require(bodies_root([(each[0], each[1]) for each in stored]) == manifest.root, "unverifiable", "bodies")
    return manifest, tuple(each[1] for each in stored)
