"""Where in a request something is wrong, as the caller is told, and never with what was written there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node import api_messages, api_requests, faults, paging, problems
from node.acceptance import Accepted
from node.api_requests import Writer
from node.cli_messages import _case_of, _prefixed
from node.desks import AtDesk, Operator
from node.faults import Fault, FieldError
from node.web import writing
from protocol.errors import (
    ConflictError,
    StandingError,
    UnknownDeskError,
    UnknownRecipientError,
    UsageError,
    ValijaError,
)
from protocol.names import MessageId

WRITER = Writer("ar-mpf", "aiamp", "central")


def refused(body: dict[str, Any] | bytes) -> FieldError:
    data = body if isinstance(body, bytes) else json.dumps({"to": ["br-mpf"]} | body).encode()
    with pytest.raises(FieldError) as caught:
        api_requests.message_of(api_requests.read_message(data), "key", AtDesk("central"), WRITER)
    return caught.value


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{}", "/to"),
        ({"to": ["br-mpf", 7]}, "/to/1"),
        ({"to": ["br-mpf", "BR"]}, "/to/1"),
        ({"to": "br-mpf"}, "/to"),
        ({"secreto/a~b": 1}, "/secreto~1a~0b"),
        ({"handling": {"tlp": "ROJO"}}, "/handling/tlp"),
        ({"handling": {"europol": ["H1", "H1"]}}, "/handling/europol"),
        ({"author": {"name": "x"}}, "/author/role"),
        ({"subject": "x" * 301}, "/subject"),
        ({"body": "x" * 600_000}, "/body"),
        ({"body": {"format": "plain", "text": "x" * 600_000}}, "/body"),
        ({"use_limits": "x" * 4_001}, "/use_limits"),
        ({"case_reference": "x" * 256}, "/case_reference"),
        ({"to": ["br-mpf", "x" * 129]}, "/to/1"),
        ({"thread": "msg_x"}, "/thread"),
        ({"body": {"format": "text/html", "text": ""}}, "/body/format"),
        ({"due_at": "mañana"}, "/due_at"),
        ({"due_at": "2026-02-30"}, "/due_at"),
        ({"expires_at": "mañana"}, "/expires_at"),
        ({"expires_at": "2026-01-01T00:00:00"}, "/expires_at"),
        ({"forward_of": "msg_x"}, "/forward_of"),
        ({"desk": "otra"}, "/desk"),
        (b"[]", ""),
    ],
)
def test_the_field_that_is_wrong_is_named(body: dict[str, Any] | bytes, pointer: str) -> None:
    error = refused(body)
    assert error.fault.pointer == pointer
    told = json.loads(problems.encode(problems.problem(error)))
    assert told["errors"] == [{"detail": error.fault.detail, "pointer": pointer}]
    assert (told["code"], told["title"]) == ("invalid_request", (UsageError.__doc__ or "").strip())
    assert "mañana" not in json.dumps(told, ensure_ascii=False)
    assert "ROJO" not in json.dumps(told)


@pytest.mark.parametrize(
    ("body", "pointer", "told"),
    [
        ({"subject": "x" * 301}, "/subject", "subject has 301 characters; at most 300 are possible"),
        (
            {"case_reference": "x" * 256},
            "/case_reference",
            "case_reference has 256 characters; at most 255 are possible",
        ),
        ({"use_limits": "x" * 4_001}, "/use_limits", "use_limits has more than 4000 characters"),
        ({"language": "en_US"}, "/language", "a language is a tag"),
        ({"thread": "msg_x"}, "/thread", "a message id is msg_ and 26 letters"),
        ({"in_reply_to": "msg_x"}, "/in_reply_to", "a message id is msg_ and 26 letters"),
        ({"due_at": "2026-02-30T00:00:00Z"}, "/due_at", "due_at is no time of the calendar"),
        ({"type": "letter"}, "/type", "Expected one of mla-request, mla-response, "),
        (
            {"handling": {"europol": ["H0", "Q1"]}},
            "/handling/europol/1",
            "Expected one of H0, H1, H2, H3 at $.handling",
        ),
        (
            {"body": {"format": "rtf", "text": "x"}},
            "/body/format",
            "Expected one of plain, commonmark at $.body.format",
        ),
        ({"formality": {"kind": "x"}}, "/formality/kind", "Expected one of "),
        ({"body": {"format": "plain", "text": ""}, "to": ["x" * 40]}, "/to/0", "a name has 2 to 32"),
    ],
)
def test_what_would_be_taken_is_said(body: dict[str, Any], pointer: str, told: str) -> None:
    error = refused(body)
    assert error.fault.pointer == pointer
    assert error.detail.startswith(told)


def test_a_desk_that_is_no_name_is_led_back_to_its_field() -> None:
    asked = api_requests.read_message(b'{"to": ["br-mpf"], "desk": "Desk A"}')
    with pytest.raises(FieldError, match="a name has 2 to 32") as caught:
        api_requests.message_of(asked, "key", Operator(), WRITER)
    assert caught.value.fault.pointer == "/desk"


LINES = (
    "subject",
    "case_reference",
    "formality/official_reference",
    "author/name",
    "author/role",
    "author/login_method",
)


@pytest.mark.parametrize("broken", ["a\nb", "a\r", "\x00", "\x1b[2J", "\x7f", "\x9b31m", "\u2028", "\u2029"])
@pytest.mark.parametrize("name", LINES)
def test_what_breaks_a_line_is_not_sent(name: str, broken: str) -> None:
    error = refused(with_line(name, broken))
    assert error.fault.pointer == f"/{name}"
    assert error.detail == f"{name} holds a line break or another control character; write it in one line"


@pytest.mark.parametrize("name", LINES)
def test_every_other_character_is_sent(name: str) -> None:
    data = json.dumps(
        {"to": ["br-mpf"], "body": "uno\n\x1b"} | with_line(name, "Año 2026 – «causa» \u202e検察 🙂")
    ).encode()
    asked = api_requests.message_of(api_requests.read_message(data), "key", AtDesk("central"), WRITER)
    assert "検察" in asked.request.content.decode()


def with_line(name: str, line: str) -> dict[str, Any]:
    outer, _, inner = name.partition("/")
    whole = {"author": {"name": "x", "role": "", "login_method": ""}, "formality": {"kind": "formal"}}
    return {outer: whole[outer] | {inner: line} if inner else line}


def test_what_others_wrote_is_answered_in_one_line() -> None:
    hostile = "Urgente\x1b[2J\r\nBcc: x"
    assert _prefixed("Re", hostile) == "Re: Urgente [2J Bcc: x"
    assert _case_of({"case_reference": "4127\n/26"}) == "4127 /26"
    assert _case_of({}) is None
    assert writing._prefixed("Re: ", hostile) == "Re: Urgente [2J Bcc: x"
    assert writing._prefixed("Re: ", "Re: x\n") == "Re: x "
    assert len(writing._prefixed("Re: ", "x" * 300)) == 300


@pytest.mark.parametrize(
    ("path", "pointer"),
    [("$.a[0].b", "/a/0/b"), ("$.a[...]", "/a"), ("$", ""), ("", ""), ("$.a/b~", "/a~1b~0")],
)
def test_a_path_becomes_a_pointer(path: str, pointer: str) -> None:
    assert faults.pointer_of(path) == pointer


@pytest.mark.parametrize(
    ("query", "name"), [({"limit": "0"}, "limit"), ({"after": "x"}, "after"), ({"after": "x", "before": "y"}, "before")]
)
def test_the_parameter_that_is_wrong_is_named(query: dict[str, str], name: str) -> None:
    with pytest.raises(FieldError) as caught:
        paging.page_of(query)
    assert caught.value.fault.parameter == name


def test_what_is_refused_later_is_led_back_to_its_field() -> None:
    asked = api_requests.read_message(b'{"to": ["br-mpf", "#red", "xx-none"]}')
    ready = api_requests.message_of(asked, "key", AtDesk("central"), WRITER)
    assert api_requests.fault_of(UnknownRecipientError("xx-none"), ready) == Fault("xx-none", pointer="/to/2")
    assert api_requests.fault_of(UnknownRecipientError("other"), ready) == Fault("other", pointer="/to")
    assert api_requests.fault_of(UnknownDeskError("central"), ready) == Fault("central", pointer="/desk")
    assert api_requests.fault_of(ValijaError("x"), ready) is None
    standing = [
        api_requests.fault_of(StandingError(each), ready) for each in ("br-mpf", "this node's key is not certified")
    ]
    assert standing == [Fault("br-mpf", pointer="/to/0"), None]
    in_batch, alone = (api_requests.fault_of(ConflictError("x"), ready, alone=each) for each in (False, True))
    assert (in_batch, alone) == (Fault("x", pointer="/idempotency_key"), Fault("x", header="Idempotency-Key"))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"note": "ñ" * 4_000}, "/note"),
        ({"author": {"name": "ñ" * 200, "role": "", "login_method": ""}}, "/author/name"),
    ],
)
def test_what_a_receipt_cannot_hold_is_named(body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(FieldError) as caught:
        api_requests.read_acknowledge(json.dumps(body).encode())
    assert caught.value.fault.pointer == pointer


def test_a_desk_that_can_be_none_is_led_back_to_the_desk() -> None:
    asked = api_requests.read_message(b'{"to": ["br-mpf"], "desk": "No"}')
    with pytest.raises(FieldError) as caught:
        api_requests.message_of(asked, "key", Operator(), WRITER)
    assert caught.value.fault.pointer == "/desk"


def test_what_is_due_already_is_told_and_goes() -> None:
    asked = api_requests.read_message(b'{"to": ["br-mpf"], "due_at": "2026-01-02T00:00:00Z"}')
    ready = api_requests.message_of(asked, "key", AtDesk("central"), WRITER)
    assert [api_requests.warnings_of(ready, at) for at in (1_767_312_000, 1_767_312_001)] == [[], ["due_in_the_past"]]
    (late,) = [api_messages._line(0, Accepted(MessageId(bytes(16)), fresh=True), [ready], (), 1_767_312_001)]
    assert late["warnings"] == ["due_in_the_past"]


def test_a_line_of_a_batch_says_where_it_stood() -> None:
    body = b'\n{"to": ["br-mpf"]}\n\n{"to": ["BR"], "idempotency_key": "k"}\n'
    judged = api_messages._parse_batch(body, AtDesk("central"), WRITER)
    lines = [
        api_messages._line(place, each, judged, api_requests.line_numbers(body), 0)
        for place, each in enumerate(judged)
        if isinstance(each, ValijaError)
    ]
    told = [(each["line"], each["error"].errors[0].pointer) for each in lines]
    assert told == [(2, "/idempotency_key"), (4, "/to/0")]
