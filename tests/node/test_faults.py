"""Where in a request something is wrong, as the caller is told, and never with what was written there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node import api_messages, api_requests, faults, problems
from node.api_requests import Writer
from node.desks import AtDesk
from node.faults import Fault, FieldError
from protocol.errors import UnknownDeskError, UnknownRecipientError, UsageError, ValijaError

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
        api_requests.page_of(query)
    assert caught.value.fault.parameter == name


def test_what_is_refused_later_is_led_back_to_its_field() -> None:
    asked = api_requests.read_message(b'{"to": ["br-mpf", "#red", "xx-none"]}')
    ready = api_requests.message_of(asked, "key", AtDesk("central"), WRITER)
    assert api_requests.fault_of(UnknownRecipientError("xx-none"), ready) == Fault("xx-none", pointer="/to/2")
    assert api_requests.fault_of(UnknownRecipientError("other"), ready) == Fault("other", pointer="/to")
    assert api_requests.fault_of(UnknownDeskError("central"), ready) == Fault("central", pointer="/desk")
    assert api_requests.fault_of(ValijaError("x"), ready) is None


def test_a_line_of_a_batch_says_where_it_stood() -> None:
    body = b'\n{"to": ["br-mpf"]}\n\n{"to": ["BR"], "idempotency_key": "k"}\n'
    judged = api_messages._parse_batch(body, AtDesk("central"), WRITER)
    lines = [
        api_messages._line(place, each, judged, api_requests.line_numbers(body))
        for place, each in enumerate(judged)
        if isinstance(each, ValijaError)
    ]
    told = [(each["line"], each["error"].errors[0].pointer) for each in lines]
    assert told == [(2, "/idempotency_key"), (4, "/to/0")]
