"""Calendars of prekeys: who signed them, which days they cover, and which one may follow which."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value, encode
from protocol.errors import (
    ConflictError,
    LimitError,
    MalformedError,
    SignatureError,
    StaleError,
    UsageError,
    VersionError,
)
from protocol.names import AssociationId, Party
from protocol.signing import Label
from protocol.trust.prekeys import (
    PrekeyCalendar,
    SignedCalendar,
    check_successor,
    epoch_at,
    prekey_hash,
    sign_calendar,
)
from tests.protocol.vectors_prekeys import CALENDAR_KEY, calendar_value
from tests.protocol.vectors_primitives import load, seed
from tests.protocol.vectors_registry import ERRORS

HOME = AssociationId(seed("association"))
CERTIFICATE = seed("certificate")
KEY = CALENDAR_KEY
TODAY = 20_779
NOW = TODAY * 86_400 + 1000


def public(epoch: int, version: int = 0) -> bytes:
    return seed(f"prekey {epoch} {version}", 1216)


def calendar(days: Sequence[int], issued_at: int = NOW, version: int = 0, member: str = "ar-mpf") -> PrekeyCalendar:
    epochs = [(day, public(day, version)) for day in days]
    return PrekeyCalendar.build(HOME, member, CERTIFICATE, issued_at, epochs)


@settings(max_examples=20)
@given(st.integers(TODAY - 1, TODAY + 5), st.integers(1, 15))
def test_a_signed_calendar_reads_back(first: int, count: int) -> None:
    made = calendar(range(first, first + count))
    signed = sign_calendar(KEY, made)
    read = SignedCalendar.from_bytes(signed.raw)
    assert read == signed
    assert read.verify(KEY.public) == made
    assert made.party == Party(HOME, "ar-mpf")


def test_each_day_has_its_key_and_its_hash() -> None:
    made = calendar(range(TODAY, TODAY + 3))
    assert made.public(TODAY + 2) == public(TODAY + 2)
    label, day = b"valija/0 prekey", TODAY + 2
    packed = b"\x94\xc4\x20" + HOME + b"\xa6ar-mpf\xcd" + day.to_bytes(2, "big") + b"\xc5\x04\xc0" + public(day)
    assert made.hash(day) == hashlib.sha256(bytes([len(label)]) + label + packed).digest()
    assert made.hash(day) == prekey_hash(HOME, "ar-mpf", day, public(day))
    assert made.public(TODAY + 3) is None
    assert made.hash(TODAY - 1) is None


def test_an_epoch_begins_at_midnight() -> None:
    assert [epoch_at(at) for at in (0, 86_399, 86_400)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("days", "error"),
    [
        ([], MalformedError),
        ([TODAY, TODAY], MalformedError),
        ([TODAY + 1, TODAY], MalformedError),
        ([TODAY, TODAY + 2], MalformedError),
        ([TODAY - 2, TODAY - 1, TODAY], MalformedError),
        (range(TODAY, TODAY + 16), LimitError),
    ],
)
def test_days_that_no_calendar_has(days: Sequence[int], error: type[Exception]) -> None:
    value: Value = [0, HOME, "ar-mpf", CERTIFICATE, NOW, [(day, public(day)) for day in days]]
    with pytest.raises(error):
        PrekeyCalendar.from_bytes(encode(value))
    with pytest.raises(UsageError):
        calendar(days)


def test_yesterday_may_still_be_there() -> None:
    assert calendar([TODAY - 1, TODAY]).public(TODAY - 1)


def test_a_calendar_signed_by_another_or_for_something_else_does_not_verify() -> None:
    made = calendar([TODAY])
    with pytest.raises(SignatureError):
        sign_calendar(KEY, made).verify(type(KEY)(seed("a"), seed("b")).public)
    signature = KEY.sign(Label.LINKS, made.association, made.raw)
    with pytest.raises(SignatureError):
        SignedCalendar(made, signature, b"").verify(KEY.public)
    signature = KEY.sign(Label.CALENDAR, seed("elsewhere"), made.raw)
    with pytest.raises(SignatureError):
        SignedCalendar(made, signature, b"").verify(KEY.public)


def test_the_newer_calendar_follows() -> None:
    held = calendar(range(TODAY, TODAY + 14))
    check_successor(held, held, same_incarnation=True)
    check_successor(held, calendar(range(TODAY, TODAY + 14), NOW + 1), same_incarnation=True)
    check_successor(held, calendar(range(TODAY + 1, TODAY + 15), NOW + 1), same_incarnation=True)


def test_an_older_calendar_is_stale() -> None:
    with pytest.raises(StaleError):
        check_successor(calendar([TODAY], NOW), calendar([TODAY], NOW - 1), same_incarnation=False)


def test_two_calendars_of_one_time_conflict() -> None:
    with pytest.raises(ConflictError):
        check_successor(calendar([TODAY]), calendar([TODAY, TODAY + 1]), same_incarnation=False)


def test_a_published_key_is_replaced_by_a_new_incarnation_only() -> None:
    held, new = calendar([TODAY, TODAY + 1]), calendar([TODAY + 1, TODAY + 2], NOW + 1, version=1)
    with pytest.raises(ConflictError):
        check_successor(held, new, same_incarnation=True)
    check_successor(held, new, same_incarnation=False)


# -- vectors -----------------------------------------------------------------------------------------
# What hub and node hold against a calendar is judged by them: tests/agreement/test_calendars.py.
def forms(part: str) -> list[dict[str, Any]]:
    return [case for case in load("prekeys")[part] if case["kind"] == "form"]


@pytest.mark.parametrize("case", forms("valid"), ids=lambda case: case["name"])
def test_valid_vectors(case: dict[str, Any]) -> None:
    read = SignedCalendar.from_bytes(bytes.fromhex(case["signed"])).verify(KEY.public)
    assert read.member == case["member"]
    assert [read.hash(epoch) for epoch, _public in read.epochs] == [bytes.fromhex(each) for each in case["hashes"]]
    assert encode(calendar_value(range(len(case["hashes"])))) == read.raw


@pytest.mark.parametrize("case", forms("invalid"), ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ERRORS[case["error"]]) as caught:
        SignedCalendar.from_bytes(bytes.fromhex(case["signed"])).verify(KEY.public)
    assert caught.value.code == case["error"]


def test_another_version_is_told_as_such() -> None:
    value: Value = [1, HOME, "ar-mpf", CERTIFICATE, NOW, [(TODAY, public(TODAY))]]
    with pytest.raises(VersionError):
        PrekeyCalendar.from_bytes(encode(value))
