"""Writes the vectors of names, statements and registry: `python -m tests.protocol.vectors_registry file…`.

`names` comes out the same every time, and a test asks for it.  The others hold ML-DSA signatures, which are
randomized: written once, by name, and only verified afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from protocol import errors
from protocol.bodies import MAX_CERTIFICATE_SECONDS
from protocol.codec import Value, decode, encode
from protocol.names import AssociationId, message_id, show_id
from protocol.trust.registry import Registry, entry_bytes
from protocol.trust.statements import (
    Admission,
    Cause,
    Charter,
    Continues,
    Role,
    SignedStatement,
    Witnesses,
    sign_statement,
    statement_hash,
    statement_id,
)
from tests.protocol.vectors_primitives import FOLDER, Vectors, flip, render, seed
from tests.support.world import DAY, START, YEAR, World, private_key

ERRORS = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ValijaError)
}
Path = Sequence[int]


def put(value: Value, path: Path, new: Any) -> Value:
    """The same arrays with one element replaced."""
    assert isinstance(value, (list, tuple))
    head, rest = path[0], path[1:]
    return [*value[:head], put(value[head], rest, new) if rest else new, *value[head + 1 :]]


def at(value: Value, path: Path) -> Any:
    """The element at this path."""
    return at(value[path[0]], path[1:]) if path else value  # type: ignore[index]


# -- names -------------------------------------------------------------------------------------------
def names() -> Vectors:
    home = AssociationId(seed("association"))
    good = ["ab", "ar-mpf", "a-b-c", "24-7", "a" * 32]
    bad = ["", "a", "a" * 33, "-ab", "ab-", "a--b", "AR", "a_b", "ñu", "ab "]
    addresses = ["ar-mpf@aiamp", "ar-mpf/antidrogas@aiamp", "#rfai@aiamp"]
    wrong = ["@aiamp", "#@aiamp", "ar-mpf/@aiamp", "#rfai/desk@aiamp", "ar-mpf@aiamp@aiamp", "AR@aiamp", "ar-mpf@iap"]
    submissions = [("ar-mpf", "antidrogas", "x"), ("ar-mpf", "antidrogas", "é" * 127), ("br-mpf", "antidrogas", "x")]
    shown = show_id("msg", seed("id", 16))
    spoiled = {"capitals": shown.upper(), "short": shown[:-1], "stray bits": shown[:-1] + "b", "no prefix": shown[4:]}
    return {
        "description": "SPEC 5. name: a name or not. address: typed in the association aiamp. "
        "id: how bytes are shown. message id: of a submission.",
        "valid": [
            *({"kind": "name", "name": name} for name in good),
            *({"kind": "address", "name": address} for address in addresses),
            *(
                {
                    "kind": "id",
                    "prefix": prefix,
                    "raw": seed(prefix, size).hex(),
                    "shown": show_id(prefix, seed(prefix, size)),
                }
                for prefix, size in (("msg", 16), ("env", 32), ("stm", 32))
            ),
            *(
                {
                    "kind": "message id",
                    "association": home.hex(),
                    "submission": list(each),
                    "id": message_id(home, *each).hex(),
                }
                for each in submissions
            ),
        ],
        "invalid": [
            *({"kind": "name", "name": f"name {name!r}", "text": name, "error": "malformed"} for name in bad),
            *(
                {"kind": "address", "name": f"address {each}", "text": each, "error": "invalid_request"}
                for each in wrong
            ),
            *(
                {"kind": "id", "name": f"identifier: {name}", "text": text, "error": "invalid_request"}
                for name, text in spoiled.items()
            ),
        ],
    }


# -- statements --------------------------------------------------------------------------------------
def sample_bodies() -> dict[str, bytes]:
    """One body of every type, of an association with one steward and three witnesses."""
    keys = tuple((f"witness-{number}", seed(f"witness {number}", 1312)) for number in range(3))
    world = World(n_stewards=1, k=1, members=("ar-mpf",))
    certificate, some_id = world.certificates["ar-mpf"], world.hub_certificate
    signed = {
        "charter": world.next_charter(continues=Continues(3, seed("root"))),
        "witnessed charter": world.next_charter(witnesses=Witnesses(2, 0, keys)),
        "admission": world.admit("br-mpf"),
        "certificate": world.certify("ar-mpf"),
        "hub certificate": world.certify("", Role.HUB),
        "roster": world.roster("rfai", ["ar-mpf", "br-mpf"]),
        "dissolved roster": world.roster("rfai", [], 2),
        "revocation": world.revoke(certificate, START + 5),
        "suspension": world.suspend("ar-mpf", START + 5),
        "lift": world.lift(some_id),
        "expulsion": world.expel("ar-mpf", START + 5),
        "incarnation": world.open("ar-mpf", cause=Cause.RESTORED),
        "hub incarnation": world.open("", Role.HUB),
    }
    first = {"first charter": world.statements[0].body}
    return first | {name: each.body for name, each in signed.items()}


def faulty_bodies() -> Iterable[tuple[str, bytes, str]]:
    """(name, body, code): every field of every type, wrong in one way."""
    bodies = sample_bodies()
    values = {name: decode(body, 1 << 20) for name, body in bodies.items()}
    steward = at(values["charter"], (7, 0))
    party = at(values["roster"], (6, 0))
    twin = put(steward, (0,), "steward-01")
    half = put(twin, (1,), private_key("other").public.ed25519)
    witness = at(values["witnessed charter"], (9, 2))
    title = ["es", "x"]
    edits: list[tuple[str, str, Path, Value, str]] = [
        ("charter", "another version", (0,), 1, "unsupported_version"),
        ("charter", "protocol version 2^63", (0,), 1 << 63, "malformed"),
        ("charter", "type 0", (1,), 0, "malformed"),
        ("charter", "type 11", (1,), 11, "malformed"),
        ("lift", "a peering", (1,), 10, "unsupported_version"),
        ("lift", "association of 31 bytes", (2,), bytes(31), "malformed"),
        ("charter", "no association after version 1", (2,), bytes(32), "malformed"),
        ("lift", "no association", (2,), bytes(32), "malformed"),
        ("first charter", "association in version 1", (2,), b"\1" * 32, "malformed"),
        ("charter", "name in capitals", (3,), "AIAMP", "malformed"),
        ("charter", "name of 33 letters", (3,), "a" * 33, "malformed"),
        ("charter", "version 0", (4,), 0, "malformed"),
        ("charter", "version 1 with a previous", (4,), 1, "malformed"),
        ("charter", "version 2 without a previous", (5,), None, "malformed"),
        ("charter", "threshold 0", (6,), 0, "malformed"),
        ("charter", "threshold over stewards", (6,), 2, "malformed"),
        ("charter", "no stewards", (7,), [], "malformed"),
        ("charter", "two stewards of one name", (7,), [steward, steward], "malformed"),
        ("charter", "two stewards with one key", (7,), [steward, twin], "malformed"),
        ("charter", "two stewards with one ML-DSA key", (7,), [steward, half], "malformed"),
        ("charter", "steward key off the curve", (7, 0, 1), b"\2" * 32, "malformed"),
        ("charter", "33 stewards", (7,), [None] * 33, "limit_exceeded"),
        ("charter", "origin with a space", (8, 1), "a b", "malformed"),
        ("charter", "origin of 129 bytes", (8, 1), "a" * 129, "limit_exceeded"),
        ("charter", "short log key", (8, 2), bytes(1311), "malformed"),
        ("charter", "log Ed25519 key of small order", (8, 3), bytes(32), "malformed"),
        ("charter", "empty url", (8, 4), "", "malformed"),
        ("charter", "url with a newline", (8, 4), "https://x\n", "malformed"),
        ("charter", "url of 256 bytes", (8, 4), "x" * 256, "limit_exceeded"),
        ("witnessed charter", "quorum that two halves can form", (9, 0), 1, "malformed"),
        ("witnessed charter", "quorum that one absent stops", (9, 0), 3, "malformed"),
        ("witnessed charter", "more faulty than the quorums share", (9, 1), 1, "malformed"),
        ("witnessed charter", "two witnesses", (9, 2), witness[:2], "malformed"),
        ("witnessed charter", "quorum of no witnesses", (9, 2), [], "malformed"),
        ("witnessed charter", "witnesses out of order", (9, 2), witness[::-1], "malformed"),
        ("witnessed charter", "two witnesses with one key", (9, 2, 1, 1), witness[0][1], "malformed"),
        ("charter", "continues without a root", (10,), [3], "malformed"),
        ("first charter", "a first charter that continues", (10,), [0, bytes(32)], "malformed"),
        ("charter", "lifetime under an hour", (11, 0), 3599, "malformed"),
        ("charter", "lifetime over 14 days", (11, 0), 14 * DAY + 1, "malformed"),
        ("charter", "freshness stop before alarm", (11, 3), 3 * DAY + 1, "malformed"),
        ("charter", "expires as it is created", (13,), START, "malformed"),
        ("admission", "member of one letter", (3,), "a", "malformed"),
        ("admission", "language tag", (4, 0, 0), "e", "malformed"),
        ("admission", "long language tag", (4, 0, 0), "es-" + "a" * 14, "limit_exceeded"),
        ("admission", "title of 129 bytes", (4, 0, 1), "x" * 129, "limit_exceeded"),
        ("admission", "nine titles", (4,), [title] * 9, "limit_exceeded"),
        ("admission", "country in small letters", (5,), "ar", "malformed"),
        ("admission", "country of one letter", (5,), "A", "malformed"),
        ("admission", "country of three letters", (5,), "ARG", "malformed"),
        ("admission", "root of one half", (6,), [bytes(32)], "malformed"),
        ("admission", "time of 2^63", (7,), 1 << 63, "malformed"),
        ("certificate", "role 3", (3,), 3, "malformed"),
        ("certificate", "node without a member", (4,), "", "malformed"),
        ("hub certificate", "hub with a member", (4,), "ar-mpf", "malformed"),
        ("certificate", "no time at all", (7,), START, "malformed"),
        ("certificate", "ends before it begins", (7,), START - 1, "malformed"),
        ("certificate", "366 days and a second", (7,), START + MAX_CERTIFICATE_SECONDS + 1, "malformed"),
        ("roster", "network in capitals", (3,), "RFAI", "malformed"),
        ("roster", "version 0", (5,), 0, "malformed"),
        ("roster", "a member twice", (6,), [party, party], "malformed"),
        ("roster", "members out of order", (6,), at(values["roster"], (6,))[::-1], "malformed"),
        ("roster", "129 members", (6,), [party] * 129, "limit_exceeded"),
        ("revocation", "certificate of 16 bytes", (3,), bytes(16), "malformed"),
        ("revocation", "reason of 256 bytes", (5,), "x" * 256, "limit_exceeded"),
        ("suspension", "reason that is no text", (5,), b"x", "malformed"),
        ("lift", "suspension of 16 bytes", (3,), bytes(16), "malformed"),
        ("expulsion", "member that is no name", (3,), "", "malformed"),
        ("incarnation", "cause 5", (6,), 5, "malformed"),
        ("incarnation", "cause 0", (6,), 0, "malformed"),
        ("incarnation", "nonce of 15 bytes", (7,), bytes(15), "malformed"),
        ("hub incarnation", "hub with a member", (4,), "ar-mpf", "malformed"),
    ]
    for base, name, path, new, code in edits:
        yield f"{base}: {name}", encode(put(values[base], path, new)), code
    for base, value in values.items():
        assert isinstance(value, list)
        yield f"{base}: a field too many", encode([*value, None]), "malformed"
        yield f"{base}: a field too few", encode(value[:-1]), "malformed"
    yield "lift: trailing byte", bodies["lift"] + b"\0", "malformed"
    yield "lift: time in a longer form", bodies["lift"][:-5] + b"\xcf\0\0\0\0" + bodies["lift"][-4:], "non_canonical"
    yield "no array", encode(b"lift"), "malformed"
    yield "two elements", encode([0, 7]), "malformed"
    yield "another version of two elements", encode([1, 7]), "unsupported_version"


def statements() -> Vectors:
    world = World(n_stewards=2, k=2, members=())
    signed = world.lift(world.hub_certificate)
    one, two = signed.signatures
    body = signed.body

    def signatures(*listed: Any) -> bytes:
        return encode([body, [(fingerprint, *signature.value()) for fingerprint, signature in listed]])

    def with_one(value: Value) -> bytes:
        return encode([body, [value]])

    first: list[Value] = [one[0], *one[1].value()]
    return {
        "description": "SPEC 6.1, 6.2. body: a body and its statement id. signed: a signed statement with id, hash and whose "
        "fingerprints. invalid bodies and signed statements are refused when read.",
        "valid": [
            *(
                {"kind": "body", "name": name, "body": body.hex(), "id": statement_id(body).hex()}
                for name, body in sample_bodies().items()
            ),
            {
                "kind": "signed",
                "name": "lift by two stewards",
                "association": world.association.hex(),
                "keys": [[part.hex() for part in key.public.value()] for key in world.stewards],
                "signed": signed.raw.hex(),
                "id": signed.id.hex(),
                "hash": signed.hash.hex(),
            },
        ],
        "invalid": [
            *(
                {"kind": "body", "name": name, "body": body.hex(), "error": code}
                for name, body, code in faulty_bodies()
            ),
            *(
                {"kind": "signed", "name": name, "signed": raw.hex(), "error": code}
                for name, raw, code in (
                    ("signatures out of order", signatures(two, one), "malformed"),
                    ("one signer twice", signatures(one, one), "malformed"),
                    ("signature of one half", with_one(first[:2]), "malformed"),
                    ("short ML-DSA signature", with_one([*first[:2], bytes(3308)]), "malformed"),
                    ("short fingerprint", with_one([bytes(31), *first[1:]]), "malformed"),
                    ("body that is text", encode(["body", []]), "malformed"),
                    ("no signatures at all", encode([body]), "malformed"),
                    ("body that is no statement", encode([b"\xc0", []]), "malformed"),
                    ("trailing byte", signed.raw + b"\0", "malformed"),
                )
            ),
        ],
    }


# -- registry ----------------------------------------------------------------------------------------
Leaf = tuple[SignedStatement | bytes, int]
Standing = tuple[str, str, int, bool]


class Scenes:
    """Logs that share their beginning, and statements written once."""

    def __init__(self) -> None:
        self.world = World(n_stewards=2, k=2, members=("ar-mpf",))
        self.shared: list[bytes] = []
        self.valid: list[dict[str, Any]] = []
        self.invalid: list[dict[str, Any]] = []
        self.founded: list[Leaf] = [(signed, START) for signed in self.world.statements]

    def index(self, raw: bytes) -> int:
        if raw not in self.shared:
            self.shared.append(raw)
        return self.shared.index(raw)

    def leaves(self, scene: Iterable[Leaf]) -> list[list[Any]]:
        return [self.leaf(signed, logged_at) for signed, logged_at in scene]

    def leaf(self, signed: SignedStatement | bytes, logged_at: int, kind: int = 2) -> list[Any]:
        raw = signed if isinstance(signed, bytes) else signed.raw
        number = kind if isinstance(signed, bytes) else int(signed.statement.type)
        return [entry_bytes(number, logged_at, statement_hash(raw)).hex(), self.index(raw)]

    def holds(self, name: str, *scene: Leaf, standing: Sequence[Standing] = ()) -> None:
        """All leaves apply; afterwards these (member or certificate, name or id, at, ok) are so."""
        self.replayed(name, self.leaves([*self.founded, *scene]), standing)

    def replayed(
        self, name: str, leaves: list[list[Any]], standing: Sequence[Standing], ignored: Sequence[int] = ()
    ) -> None:
        """All leaves apply but these."""
        registry = Registry(self.world.association)
        for index, (entry, number) in enumerate(leaves):
            outcome = registry.append(bytes.fromhex(entry), self.shared[number])
            assert outcome.applied is (index not in ignored), (name, outcome)
        case: Vectors = {"name": name, "leaves": leaves, "size": registry.size, "root": registry.root.hex()}
        self.valid.append(case | {"standing": [*standing], "ignored": [*ignored]})

    def ignored(self, name: str, code: str, *scene: Leaf, before: Sequence[Leaf] | None = None) -> None:
        """The last leaf is ignored with this code, all others apply."""
        self.refused(name, code, self.leaves([*(self.founded if before is None else before), *scene]))

    def refused(self, name: str, code: str, leaves: list[list[Any]]) -> None:
        """The last leaf gives this error."""
        self.invalid.append({"name": name, "leaves": leaves, "error": code})


def registry() -> Vectors:
    scenes = Scenes()
    good_logs(scenes)
    other_entries(scenes)
    bad_charters(scenes)
    bad_leaves(scenes)
    bad_logs(scenes)
    return {
        "description": "SPEC 6.3, 6.4. A case is a log: [entry, number of the signed statement in `statements`] for each leaf. valid: every "
        "leaf applies but those `ignored` (by index), the log has this size and root, and standing is as told. invalid: the last leaf is ignored with this error, or "
        "(bad_log, bad_proof of the statement) refused with its log; all leaves before it apply.",
        "association": scenes.world.association.hex(),
        "statements": [raw.hex() for raw in scenes.shared],
        "valid": scenes.valid,
        "invalid": scenes.invalid,
    }


def good_logs(scenes: Scenes) -> None:
    world, now, own = scenes.world, START, scenes.world.certificates["ar-mpf"]
    mine = own.hex()
    scenes.holds("founded", standing=[("member", "ar-mpf", now, True), ("member", "ar-mpf", now - 1, False)])
    scenes.holds(
        "a root revokes its certificate",
        (world.revoke(own, now + 5, [world.root("ar-mpf")]), now + 9),
        standing=[("certificate", mine, now + 5, True), ("certificate", mine, now + 6, False)],
    )
    later = world.certify("ar-mpf", key=private_key("renewed"))
    scenes.holds(
        "a revocation stands before its certificate",
        (world.revoke(later.id, now + 5), now + 1),
        (later, now + 2),
        standing=[("certificate", later.id.hex(), now + 5, True), ("certificate", later.id.hex(), now + 6, False)],
    )
    suspension = world.suspend("ar-mpf", now + 5)
    scenes.holds(
        "a suspension and its lift",
        (suspension, now + 9),
        (world.lift(suspension.id), now + 20),
        standing=[
            ("member", "ar-mpf", now + 5, True),
            ("member", "ar-mpf", now + 6, False),
            ("certificate", mine, now + 19, False),
            ("certificate", mine, now + 20, True),
        ],
    )
    held_back = world.admit("ar-mpf", private_key("held back"), now + 3)
    expulsion = world.expel("ar-mpf", now + 5, expelled_at=now + 4)
    scenes.holds(
        "an admission held back until after the expulsion does not undo it",
        (expulsion, now + 6),
        (held_back, now + 7),
        standing=[("member", "ar-mpf", now + 8, False), ("certificate", mine, now + 6, False)],
    )
    scenes.holds(
        "an admission signed after the expulsion admits anew, and revives no certificate",
        (expulsion, now + 6),
        (world.admit("ar-mpf", admitted_at=now + 5), now + 7),
        standing=[
            ("member", "ar-mpf", now + 5, True),
            ("member", "ar-mpf", now + 6, False),
            ("member", "ar-mpf", now + 7, True),
            ("certificate", mine, now + 7, False),
        ],
    )
    scenes.holds(
        "a root is replaced",
        (held_back, now + 7),
        standing=[("certificate", mine, now + 7, True), ("certificate", mine, now + 8, False)],
    )
    successors = [private_key("successor", str(number)) for number in range(2)]
    scenes.holds(
        "former stewards may still revoke",
        (world.next_charter(stewards=successors, hub_root=private_key("second hub root")), now + 1),
        (world.revoke(own, now + 5), now + 2),
        standing=[
            ("certificate", mine, now + 6, False),
            ("certificate", world.hub_certificate.hex(), now + 1, True),
            ("certificate", world.hub_certificate.hex(), now + 2, False),
        ],
    )
    rosters = [world.roster("rfai", members, version) for version, members in ((1, ["ar-mpf"]), (2, []))]
    scenes.holds("a network comes and goes", (rosters[0], now), (rosters[1], now))
    old_log = Continues(3, world.registry.root_at(3))
    scenes.holds("a replaced hub's log", (world.next_charter(continues=old_log), now))


def other_entries(scenes: Scenes) -> None:
    world, now = scenes.world, START
    peering = encode([encode([0, 10, world.association, "iap"]), []])
    suspension, expulsion = world.suspend("ar-mpf", now), world.expel("ar-mpf", now)
    leaves = [
        *scenes.leaves(scenes.founded),
        scenes.leaf(peering, now, 10),
        scenes.leaf(suspension.raw, now + 1, 0),
        scenes.leaf(expulsion.raw, now + 2, 77),
        scenes.leaf(b"later", now + 3, 2**64 - 1),
        scenes.leaf(world.roster("rfai", ["ar-mpf"]), now + 4),
    ]
    first = len(scenes.founded)
    standing = ("member", "ar-mpf", now + 9, True)
    scenes.replayed("entries of reserved and unknown types", leaves, [standing], range(first, first + 4))


def bad_charters(scenes: Scenes) -> None:
    world, now = scenes.world, START
    new = [private_key("successor", str(number)) for number in range(2)]
    changed = world.next_charter(stewards=new)
    second = world.next_charter(stewards=new, expires_at=now + 9)
    third = (world.admit("br-mpf"), now + 1)
    scenes.ignored("twin charter", "replayed", (changed, now), (second, now))
    orphan = replace(_charter(changed), previous=world.hub_certificate)
    scenes.ignored("charter after another", "replayed", (world.sign(orphan, [*new, *world.stewards]), now))
    scenes.ignored(
        "charter without the old threshold",
        "threshold_not_met",
        (world.next_charter(new, keys=[*new, world.stewards[0]]), now),
    )
    scenes.ignored(
        "charter without the new threshold",
        "threshold_not_met",
        (world.next_charter(new, keys=[new[0], *world.stewards]), now),
    )
    scenes.ignored(
        "charter continuing another log", "bad_proof", (world.next_charter(continues=Continues(3, bytes(32))), now)
    )
    scenes.ignored(
        "charter continuing a longer log", "bad_proof", (world.next_charter(continues=Continues(7, bytes(32))), now)
    )
    scenes.ignored("admission by former stewards", "threshold_not_met", (changed, now), third)
    scenes.ignored(
        "admission after the charter expired", "charter_expired", (world.admit("co-fgn"), now + 2 * YEAR + 1)
    )


def _charter(signed: SignedStatement) -> Charter:
    assert isinstance(signed.statement, Charter)
    return signed.statement


def bad_leaves(scenes: Scenes) -> None:
    world, now, own = scenes.world, START, scenes.world.certificates["ar-mpf"]
    admission = world.admit("br-mpf")
    again = world.admit("br-mpf")
    scenes.ignored("the same leaf again", "replayed", (admission, now), (admission, now))
    scenes.ignored("the same statement signed again", "replayed", (admission, now), (again, now))
    elsewhere = Admission(AssociationId(seed("elsewhere")), "br-mpf", (), "", world.root("br-mpf").public, now)
    stray = sign_statement(elsewhere.body(), elsewhere.association, world.stewards)
    scenes.ignored("statement of another association", "wrong_association", (stray, now))
    scenes.refused(
        "entry of another type", "malformed", [*scenes.leaves(scenes.founded), scenes.leaf(admission.raw, now, 3)]
    )
    scenes.ignored("statement that does not parse", "malformed", (admission.raw[:-1], now))
    scenes.ignored("one steward of two", "threshold_not_met", (world.admit("br-mpf", keys=world.stewards[:1]), now))
    fingerprint, signature = admission.signatures[0]
    twice = encode([admission.body, [(fingerprint, *signature.value())] * 2])
    scenes.ignored("one steward twice", "malformed", (twice, now))
    scenes.ignored(
        "a steward's signature changed", "bad_signature", (SignedStatement.from_bytes(flip(admission.raw, -1)), now)
    )
    scenes.ignored("admission older than the one in force", "stale", (world.admit("ar-mpf", admitted_at=now - 1), now))
    scenes.ignored("admission from the future", "clock_skew", (world.admit("br-mpf", admitted_at=now + 3601), now))
    replaced = (world.admit("ar-mpf", private_key("held back"), now + 3), now + 7)
    renewed = (world.certify("ar-mpf", key=private_key("renewed")), now + 8)
    scenes.ignored("certificate by a replaced root", "bad_signature", replaced, renewed)
    scenes.ignored("certificate of nobody", "unknown_member", (world.certify("br-mpf"), now))
    expulsion = (world.expel("ar-mpf", now + 5, expelled_at=now + 4), now + 6)
    scenes.ignored("certificate of an expelled member", "not_in_standing", expulsion, renewed)
    scenes.ignored("roster that skips a version", "replayed", (world.roster("rfai", [], 2), now))
    scenes.ignored(
        "revocation by a root before its certificate",
        "threshold_not_met",
        (world.revoke(renewed[0].id, now, [world.root("ar-mpf")]), now),
    )
    scenes.ignored(
        "revocation by another member's root",
        "threshold_not_met",
        (world.revoke(own, now, [world.root("br-mpf")]), now),
    )
    suspension = world.suspend("ar-mpf", now + 5)
    scenes.ignored("lift of an unlogged suspension", "replayed", (world.lift(suspension.id), now))
    lifts = [(world.lift(suspension.id, lifted), now + 9) for lifted in (now, now + 1)]
    scenes.ignored("second lift", "replayed", (suspension, now + 9), *lifts)
    opening = world.open("ar-mpf")
    revoked = (world.revoke(own, now + 5, [world.root("ar-mpf")]), now + 9)
    scenes.ignored("incarnation under a revoked certificate", "not_in_standing", revoked, (opening, now + 9))
    scenes.ignored(
        "incarnation under the hub's certificate",
        "unverifiable",
        (world.open("ar-mpf", certificate=world.hub_certificate), now),
    )
    scenes.ignored("incarnation signed by another key", "bad_signature", (world.open("ar-mpf", key=world.hub_key), now))
    scenes.ignored("incarnation opened before the last", "stale", (world.open("ar-mpf", opened_at=now - 1), now))
    scenes.ignored("incarnation from the future", "clock_skew", (world.open("ar-mpf", opened_at=now + 3601), now))


def bad_logs(scenes: Scenes) -> None:
    world, now = scenes.world, START
    admission = world.admit("br-mpf")
    founded = scenes.leaves(scenes.founded)
    leaf = scenes.leaf(admission, now)
    odd = encode([2, now, admission.hash, 0]).hex()
    other = World(n_stewards=1, k=1, members=(), name="iap").statements[0]
    half = sign_statement(world.statements[0].body, world.association, world.stewards[:1])
    scenes.refused("time that decreases", "bad_log", [*founded, scenes.leaf(admission, now - 1)])
    scenes.refused("entry of four elements", "bad_log", [*founded, [odd, leaf[1]]])
    scenes.refused("statement that is not the entry's", "bad_proof", [*founded, [leaf[0], founded[0][1]]])
    scenes.refused("leaf 0 of another association", "bad_log", scenes.leaves([(other, now)]))
    scenes.refused("leaf 0 that is no charter", "bad_log", [leaf])
    scenes.refused("leaf 0 with too few stewards", "bad_log", scenes.leaves([(half, now)]))


FILES: dict[str, Callable[[], Vectors]] = {
    "names": names,
    "statements": statements,
    "registry": registry,
}


def main() -> None:
    """Write the files named as arguments."""
    for name in sys.argv[1:]:
        (FOLDER / f"{name}.json").write_text(render(FILES[name]()), encoding="utf-8")


if __name__ == "__main__":
    main()
