"""Writes the vectors of prekeys: `python -m tests.protocol.vectors_prekeys`.

They hold ML-DSA signatures, which are randomized: written once, and only verified afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from protocol.bodies import Role
from protocol.codec import Value, encode
from protocol.sealing import Prekey
from protocol.signing import Label, PrivateKey
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, sign_calendar
from tests.protocol.vectors_primitives import FOLDER, Vectors, flip, render, seed
from tests.protocol.vectors_registry import put
from tests.support.world import DAY, START

HOME, ELSEWHERE = seed("association"), seed("foreign association")
ME, OTHER = "ar-mpf", "br-mpf"
TODAY = START // DAY
CALENDAR_KEY = PrivateKey(seed("calendar ed25519"), seed("calendar ml-dsa-65"))
OTHER_KEY = PrivateKey(seed("other ed25519"), seed("other ml-dsa-65"))
HUB_KEY = PrivateKey(seed("hub ed25519"), seed("hub ml-dsa-65"))
# By the name of its id: role, member, key.
CERTIFICATES = {
    "certificate": (Role.NODE, ME, CALENDAR_KEY),
    "other certificate": (Role.NODE, OTHER, OTHER_KEY),
    "hub certificate": (Role.HUB, "", HUB_KEY),
}
MLKEM_BYTES = 1_184
FIELD = 2**255 - 19


def public(day: int, name: str = "prekey") -> bytes:
    """The public key of a day: one to which something can be sealed."""
    return Prekey(seed(f"{name} {day}", 96)).public


def calendar_value(days: Sequence[int], issued_at: int = START, **more: Any) -> list[Value]:
    """A calendar of these days, counted from today."""
    epochs: list[Value] = [[TODAY + day, public(day, more.get("keys", "prekey"))] for day in days]
    association, member, certificate = more.get("of", HOME), more.get("member", ME), more.get("by", "certificate")
    return [0, association, member, seed(certificate), issued_at, epochs]


def signed(value: Value, key: PrivateKey = CALENDAR_KEY, label: Label = Label.CALENDAR) -> bytes:
    """The calendar, signed whatever it is."""
    assert isinstance(value, list)
    assert isinstance(value[1], bytes)
    raw = encode(value)
    return encode([raw, *key.sign(label, value[1], raw).value()])


# -- form and signature ------------------------------------------------------------------------------
def form(name: str, days: range) -> Vectors:
    calendar = PrekeyCalendar.from_bytes(encode(calendar_value(days)))
    hashes = [(calendar.hash(epoch) or b"").hex() for epoch, _public in calendar.epochs]
    raw = sign_calendar(CALENDAR_KEY, calendar).raw
    assert SignedCalendar.from_bytes(raw).claimed == calendar
    return {"kind": "form", "name": name, "member": ME, "signed": raw.hex(), "hashes": hashes}


def faults() -> Iterable[Vectors]:
    one = calendar_value(range(1))
    key = public(0)
    cases: list[tuple[str, bytes, str]] = [
        ("another version", signed(put(one, (0,), 1)), "unsupported_version"),
        ("another version with a field too many", signed([*put(one, (0,), 1), 0]), "unsupported_version"),  # type: ignore[misc]
        ("version 2^63", signed(put(one, (0,), 1 << 63)), "malformed"),
        ("no epochs", signed(put(one, (5,), [])), "malformed"),
        ("a gap", signed(put(one, (5,), [[TODAY, key], [TODAY + 2, key]])), "malformed"),
        ("an epoch twice", signed(put(one, (5,), [[TODAY, key], [TODAY, key]])), "malformed"),
        ("two past epochs", signed(put(one, (5, 0, 0), TODAY - 2)), "malformed"),
        ("16 epochs", signed(put(one, (5,), [None] * 16)), "limit_exceeded"),
        ("short public key", signed(put(one, (5, 0, 1), bytes(1215))), "malformed"),
        ("member in capitals", signed(put(one, (2,), "AR")), "malformed"),
        ("member of 33 letters", signed(put(one, (2,), "a" * 33)), "malformed"),
        ("a field too many", signed([*one, 0]), "malformed"),
        ("signed as something else", signed(one, label=Label.LINKS), "bad_signature"),
        ("changed Ed25519 half", flip(signed(one), -3_400), "bad_signature"),
        ("changed ML-DSA half", flip(signed(one), -1), "bad_signature"),
        ("trailing byte", signed(one) + b"\0", "malformed"),
    ]
    return ({"kind": "form", "name": name, "signed": raw.hex(), "error": code} for name, raw, code in cases)


# -- what is held against it -------------------------------------------------------------------------
HELD = signed(calendar_value(range(2)))
NEWER = signed(calendar_value(range(1, 3), START + 1))
REPLACED = signed(calendar_value(range(1, 3), START + 1, keys="another prekey"))
# An incarnation that was opened in the second of the calendar held: it is of that incarnation. A second later it is not.
SAME, NEXT = {"held": True, "opened_at": START}, {"held": True, "opened_at": START + 1}
Case = tuple[str, bytes, Vectors, str]


def with_key(day: int, key: bytes) -> bytes:
    return signed(put(calendar_value(range(2)), (5, day, 1), key))


def x25519(share: int) -> bytes:
    return public(0)[:MLKEM_BYTES] + share.to_bytes(32, "little")


def coefficient(value: int) -> bytes:
    """The key of today with this first coefficient: 12 bits, the low ones first."""
    key = public(0)
    return bytes([value & 0xFF, key[1] & 0xF0 | value >> 8]) + key[2:]


def follows() -> list[Case]:
    """Those that may follow the one held, if anything is held, at hub and sender alike."""
    return [
        ("the first", HELD, {}, ""),
        ("the one held", HELD, {"held": True}, ""),
        ("the one held, signed again", signed(calendar_value(range(2))), {"held": True}, ""),
        ("a newer one", NEWER, {"held": True}, ""),
        ("other keys in a later incarnation", REPLACED, NEXT, ""),
        ("an older one", signed(calendar_value(range(2), START - 1)), {"held": True}, "stale"),
        ("an older one in a later incarnation", signed(calendar_value(range(2), START - 1)), NEXT, "stale"),
        ("another of the same second", signed(calendar_value(range(3))), {"held": True}, "conflict"),
        ("another of the same second in a later incarnation", signed(calendar_value(range(3))), NEXT, "conflict"),
        ("a key replaced", REPLACED, {"held": True}, "conflict"),
        ("a key replaced, incarnation of the same second", REPLACED, SAME, "conflict"),
    ]


def strangers(others_code: str, member_code: str) -> list[Case]:
    """Calendars that are not the member's own: under no certificate, under another's, of another."""
    others = calendar_value(range(2), member=OTHER, by="other certificate")
    return [
        ("an unknown certificate", signed(calendar_value(range(2), by="no certificate")), {}, "not_in_standing"),
        (
            "another member's certificate",
            signed(calendar_value(range(2), by="other certificate"), OTHER_KEY),
            {},
            others_code,
        ),
        ("the hub's certificate", signed(calendar_value(range(2), by="hub certificate"), HUB_KEY), {}, others_code),
        ("another member's calendar", signed(others, OTHER_KEY), {}, member_code),
        ("another association's calendar", signed(calendar_value(range(2), of=ELSEWHERE)), {}, member_code),
        ("signed by another key", signed(calendar_value(range(2)), OTHER_KEY), {}, "bad_signature"),
    ]


def shown() -> list[Case]:
    return [
        *follows(),
        ("an X25519 key that is not canonical", with_key(0, x25519(FIELD + 9)), {}, ""),
        ("the greatest coefficient", with_key(0, coefficient(3_328)), {}, ""),
        *strangers("unverifiable", "unverifiable"),
        ("X25519 key 0", with_key(0, x25519(0)), {}, "malformed"),
        ("X25519 key 1", with_key(0, x25519(1)), {}, "malformed"),
        ("X25519 key 2^255 - 19", with_key(0, x25519(FIELD)), {}, "malformed"),
        ("a coefficient of 3,329", with_key(0, coefficient(3_329)), {}, "malformed"),
        ("the second day's key spoiled", with_key(1, x25519(0)), {}, "malformed"),
    ]


def published() -> list[Case]:
    return [
        *follows(),
        ("issued an hour ahead", HELD, {"now": START - 3_600}, ""),
        *strangers("not_in_standing", "wrong_sender"),
        ("issued over an hour ahead", HELD, {"now": START - 3_601}, "clock_skew"),
    ]


def prekeys() -> Vectors:
    told: list[Vectors] = []
    for kind, cases in (("shown", shown()), ("published", published())):
        for name, raw, more, code in cases:
            case = {"kind": kind, "name": f"{kind}: {name}", "member": ME, "signed": raw.hex(), **more}
            told.append(case | ({"error": code} if code else {}))
    return {
        "description": "SPEC 7. form: a signed calendar of the association, with the key that must have signed it. shown: what a sender "
        "checks of the calendar that it is shown for `member`. published: what a hub checks of it in a session of `member`. The clock "
        "shows `now`; `held: true`: the calendar `held` is held of the member; `opened_at`: that of the member's newest "
        "incarnation, which without it is older than every calendar. Certificates are known by id, and in standing.",
        "association": HOME.hex(),
        "now": START,
        "key": [part.hex() for part in CALENDAR_KEY.public.value()],
        "held": HELD.hex(),
        "certificates": [
            {
                "id": seed(name).hex(),
                "role": int(role),
                "member": member,
                "public": [part.hex() for part in key.public.value()],
            }
            for name, (role, member, key) in CERTIFICATES.items()
        ],
        "valid": [
            form("one day", range(1)),
            form("15 days", range(15)),
            *(case for case in told if "error" not in case),
        ],
        "invalid": [*faults(), *(case for case in told if "error" in case)],
    }


def main() -> None:
    """Write the file."""
    (FOLDER / "prekeys.json").write_text(render(prekeys()), encoding="utf-8")


if __name__ == "__main__":
    main()
