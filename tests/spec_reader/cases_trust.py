"""How the vectors of the registry are read: notes, statements, replay, calendars, offers."""

from tests.spec_reader import notes
from tests.spec_reader.cases_base import Case, key, unhex
from tests.spec_reader.facts import read_body
from tests.spec_reader.handshake import Certified
from tests.spec_reader.merkle import root
from tests.spec_reader.notes import ED25519, MLDSA44, Checkpoint, Key
from tests.spec_reader.offer import take_in
from tests.spec_reader.prekeys import Known, check_published, check_shown, read_signed
from tests.spec_reader.refusal import Refused
from tests.spec_reader.registry import replay
from tests.spec_reader.signing import fingerprint
from tests.spec_reader.statements import read_statement, statement_id


def checkpoint(file: Case, case: Case) -> None:
    log = file["log"]
    by, plain = Key(log["origin"], MLDSA44, unhex(log["mldsa44"])), Key(log["origin"], ED25519, unhex(log["ed25519"]))
    if case["kind"] == "ed25519_note":
        note, signer = notes.read_note(case["note"].encode()), notes.verifier_key(case["vkey"])
        assert note.by(signer)
        notes.check_text(note, signer)
    elif case["kind"] == "compact":
        view = Checkpoint(log["origin"], case["size"], unhex(case["root"]))
        notes.check_cosignature(by, view, case["timestamp"], unhex(case["signature"]))
    elif case["kind"] == "proof":
        assert notes.check_proof(case["proof"].encode(), unhex(case["leaf_hash"]), by, plain) == case["index"]
    else:
        _note(file, case, by, plain)


def _note(file: Case, case: Case, by: Key, plain: Key) -> None:
    raw = unhex(case["note_hex"]) if "note_hex" in case else case["note"].encode()
    note, view, timestamp = notes.open_checkpoint(raw, by, plain)
    witness = Key(file["witness"]["name"], MLDSA44, unhex(file["witness"]["mldsa44"]))
    cosigned_at = notes.cosigned_at(note, witness, view)
    assert [view.size, view.root.hex()] == [case["size"], case["root"]]
    assert [timestamp, cosigned_at] == [case["timestamp"], case["cosigned_at"]]


def statements(_: Case, case: Case) -> None:
    if case["kind"] == "body":
        body = unhex(case["body"])
        read_body(body)
        assert statement_id(body).hex() == case["id"]
        return
    statement = read_statement(unhex(case["signed"]))
    assert [statement.id().hex(), statement.hash().hex()] == [case["id"], case["hash"]]
    keys = [key(public) for public in case["keys"]]
    assert statement.association().hex() == case["association"]
    assert statement.signers(keys) == {fingerprint(public) for public in keys}


def registry(file: Case, case: Case) -> None:
    leaves = [(unhex(entry), unhex(file["statements"][number])) for entry, number in case["leaves"]]
    state, outcomes = replay(unhex(file["association"]), leaves)
    if "error" in case:
        assert not any(outcomes[:-1])
        if outcomes[-1]:
            raise Refused(outcomes[-1])
        return
    assert [index for index, outcome in enumerate(outcomes) if outcome] == case["ignored"]
    assert (len(state.leaves), root(state.leaves).hex()) == (case["size"], case["root"])
    for kind, subject, at, expected in case["standing"]:
        asked = state.member_in_standing(subject, at) if kind == "member" else None
        found = state.certificate_in_standing(unhex(subject), at) if asked is None else asked
        assert found == expected, (kind, subject, at)


def offer(file: Case, case: Case) -> None:
    log = Key(file["log"]["origin"], MLDSA44, unhex(file["log"]["mldsa44"]))
    held = [unhex(entry) for entry in file["held"]]
    entries = take_in(unhex(case["offer"]), unhex(file["association"]), log, held)
    assert len(entries) == case["size"]
    assert entries[: len(held)] == held


def prekeys(file: Case, case: Case) -> None:
    if case["kind"] == "form":
        signed = read_signed(unhex(case["signed"]))
        signed.check(key(file["key"]))
        assert signed.calendar.owner[1] == case["member"]
        assert [found.hex() for found in signed.calendar.hashes()] == case["hashes"]
        return
    certificates = {
        unhex(known["id"]): Certified(known["role"], known["member"], key(known["public"]))
        for known in file["certificates"]
    }
    held = read_signed(unhex(file["held"])) if case.get("held") else None
    known = Known(certificates, {**file, **case}["now"], held, case.get("opened_at", 0))
    check = {"shown": check_shown, "published": check_published}[case["kind"]]
    check(unhex(case["signed"]), (unhex(file["association"]), case["member"]), known)
