"""Names, addresses and identifiers: one spelling each, everything else refused with the declared error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import Value, decode, encode
from protocol.errors import MalformedError, UsageError
from protocol.names import (
    Address,
    AssociationId,
    Incarnation,
    Party,
    check_name,
    message_id,
    parse_address,
    read_digest,
    read_id,
    read_name,
    show_id,
)
from tests.protocol.vectors_primitives import FOLDER, load, render
from tests.protocol.vectors_registry import ERRORS
from tests.protocol.vectors_registry import names as names_vectors

names = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,5}){0,3}", fullmatch=True).filter(lambda name: len(name) >= 2)
HOME = AssociationId(b"\x07" * 32)


@given(names)
def test_a_name_is_itself(name: str) -> None:
    assert check_name(name) == name
    assert read_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a", "a" * 33, "-ab", "ab-", "a--b", "Ab", "a_b", "añ", "a b", "ab\n", "а" + "b", "a.b"],
)
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(MalformedError):
        check_name(name)


def test_the_longest_and_the_shortest_name() -> None:
    assert check_name("a" * 32)
    assert check_name("a1")
    for value in ("a" * 33, b"ab"):
        with pytest.raises(MalformedError):
            read_name(value)


@given(names, st.binary(min_size=32, max_size=32))
def test_a_party_survives_the_wire(name: str, association: bytes) -> None:
    party = Party(AssociationId(association), name)
    assert Party.parse(decode(encode(party.value()), 100)) == party


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_an_incarnation_survives_the_wire(version: int, index: int) -> None:
    incarnation = Incarnation(version, index)
    assert Incarnation.parse(decode(encode(incarnation.value()), 100)) == incarnation


@pytest.mark.parametrize(
    "value", [[], [bytes(32)], [bytes(31), "ab"], [bytes(32), "A"], [bytes(32), "ab", 0], [bytes(32), "a" * 33], None]
)
def test_a_party_of_another_form_is_malformed(value: Value) -> None:
    with pytest.raises(MalformedError):
        Party.parse(value)


@pytest.mark.parametrize("value", [[], [1], [1, -1], [1, 2**63], [True, 1], [1, "1"], b""])
def test_an_incarnation_of_another_form_is_malformed(value: Value) -> None:
    with pytest.raises(MalformedError):
        Incarnation.parse(value)


def test_order_is_by_association_then_member_and_by_charter_then_leaf() -> None:
    other = AssociationId(b"\x08" * 32)
    assert Party(HOME, "zz") < Party(other, "aa") < Party(other, "ab")
    assert Incarnation(1, 9) < Incarnation(2, 3) < Incarnation(2, 4)


def test_a_digest_has_32_bytes() -> None:
    assert read_digest(bytes(32)) == bytes(32)
    with pytest.raises(MalformedError):
        read_digest(bytes(33))


# -- addresses ---------------------------------------------------------------------------------------
@given(names, names, names)
def test_addresses_read_back_as_they_are_written(member: str, desk: str, association: str) -> None:
    for address in (
        Address(member, None, None, association),
        Address(member, desk, None, association),
        Address(None, None, member, association),
    ):
        assert parse_address(str(address), association) == address


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("ar-mpf", Address("ar-mpf", None, None, "aiamp")),
        ("ar-mpf/antidrogas", Address("ar-mpf", "antidrogas", None, "aiamp")),
        ("#rfai", Address(None, None, "rfai", "aiamp")),
        ("#rfai@aiamp", Address(None, None, "rfai", "aiamp")),
    ],
)
def test_the_association_may_be_left_out(typed: str, address: Address) -> None:
    assert parse_address(typed, "aiamp") == address


@pytest.mark.parametrize(
    "typed",
    [
        "", "@aiamp", "#", "#@aiamp", "ar-mpf@", "ar-mpf/@aiamp", "/desk@aiamp", "#rfai/desk@aiamp", "ar-mpf@aiamp@aiamp",
        "ar-mpf/a1/b1@aiamp", "AR-mpf@aiamp", "ar-mpf @aiamp", "ar-mpf@aiamp\n", "##rfai", "ar#mpf", "ar-mpf@iap",
    ],
)  # fmt: skip
def test_everything_else_is_no_address(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_address(typed, "aiamp")


# -- identifiers -------------------------------------------------------------------------------------
@given(st.sampled_from(("msg", "env", "stm")), st.data())
def test_an_identifier_reads_back(prefix: str, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=16, max_size=16) if prefix == "msg" else st.binary(min_size=32, max_size=32))
    shown = show_id(prefix, raw)
    assert shown.startswith(f"{prefix}_")
    assert read_id(prefix, shown) == raw


@given(st.text(max_size=40))
def test_no_other_text_is_an_identifier(shown: str) -> None:
    with pytest.raises(UsageError):
        read_id("msg", shown)


@pytest.mark.parametrize(
    "spoil",
    [
        str.upper,
        lambda shown: shown + "a",
        lambda shown: shown[:-1],
        lambda shown: shown + "======",
        lambda shown: shown[:-1] + "b",  # stray bits in the last character
        lambda shown: "env" + shown[3:],
        lambda shown: shown[4:],
        lambda shown: shown.replace("_", "-"),
        lambda shown: shown + "\n",
        lambda shown: shown[:-1] + "é",
    ],
)
def test_an_identifier_has_one_spelling(spoil: Callable[[str], str]) -> None:
    shown = show_id("msg", bytes(16))
    with pytest.raises(UsageError):
        read_id("msg", spoil(shown))


def test_an_identifier_of_another_size_is_not_shown() -> None:
    with pytest.raises(UsageError):
        show_id("env", bytes(16))


def test_a_message_id_is_what_the_specification_says() -> None:
    label = b"valija/0 message id"
    packed = b"\x94\xc4\x20" + HOME + b"\xa6ar-mpf" + b"\xaaantidrogas" + b"\xa31/2"
    expected = hashlib.sha256(bytes([len(label)]) + label + packed).digest()[:16]
    assert message_id(HOME, "ar-mpf", "antidrogas", "1/2") == expected


@given(st.lists(st.tuples(names, names, st.text("abc", min_size=1, max_size=3)), min_size=2, max_size=8, unique=True))
def test_message_ids_tell_submissions_apart(submissions: list[tuple[str, str, str]]) -> None:
    assert len({message_id(HOME, *each) for each in submissions}) == len(submissions)


@pytest.mark.parametrize(
    ("member", "desk", "key"),
    [
        ("ar-mpf", "antidrogas", ""),
        ("ar-mpf", "antidrogas", "x" * 256),
        ("ar-mpf", "antidrogas", "é" * 128),
        ("ar-mpf", "antidrogas", "\ud800"),
        ("ar-mpf", "", "key"),
        ("AR", "antidrogas", "key"),
    ],
)
def test_what_has_no_message_id(member: str, desk: str, key: str) -> None:
    with pytest.raises(UsageError):
        message_id(HOME, member, desk, key)


def test_the_longest_key_has_a_message_id() -> None:
    assert len(message_id(HOME, "ar-mpf", "antidrogas", "é" * 127 + "x")) == 16


# -- vectors -----------------------------------------------------------------------------------------
READERS: dict[str, Callable[[str], object]] = {
    "name": check_name,
    "address": lambda text: parse_address(text, "aiamp"),
    "id": lambda text: read_id("msg", text),
}


def test_vectors_come_out_the_same() -> None:
    assert render(names_vectors()) == (FOLDER / "names.json").read_text(encoding="utf-8")


def test_valid_vectors() -> None:
    for case in load("names")["valid"]:
        if case["kind"] == "id":
            assert show_id(case["prefix"], read_id(case["prefix"], case["shown"])) == case["shown"]
            assert read_id(case["prefix"], case["shown"]).hex() == case["raw"]
        elif case["kind"] == "message id":
            assert (
                message_id(AssociationId(bytes.fromhex(case["association"])), *case["submission"]).hex() == case["id"]
            )
        else:
            assert str(READERS[case["kind"]](case["name"])) == case["name"]


@pytest.mark.parametrize("case", load("names")["invalid"], ids=lambda case: case["name"])
def test_invalid_vectors(case: dict[str, Any]) -> None:
    with pytest.raises(ERRORS[case["error"]]) as caught:
        READERS[case["kind"]](case["text"])
    assert caught.value.code == case["error"]
