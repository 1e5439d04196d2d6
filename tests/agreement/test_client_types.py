"""The types of the Python client and the description of the API name the same fields of every answer and request."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from tests.support.described import DOCUMENT
from valija_client import types

SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
TYPES = {
    name: kind
    for name, kind in inspect.getmembers(types, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind.__module__ == types.__name__
}
# What the client calls otherwise, or reads in its fuller form.
CALLED = {
    "Draft": "MessageRequest",
    "Delivery": "DeliveryInFull",
    "Received": "ReceivedInFull",
    "Sent": "SentInFull",
    "Page": "Page_Received_",
}
# The tags by which the client chooses the type, and the version that it has no other of.
IMPLIED = {
    "Content": {"schema"},
    "Received": {"direction"},
    "Sent": {"direction"},
    "MessageEvent": {"type"},
    "DeliveryEvent": {"type"},
    "HandoverEvent": {"type"},
}
OF_NO_NODE = {"OtherEvent"}


@pytest.mark.parametrize("name", sorted(TYPES.keys() - OF_NO_NODE))
def test_client_and_description_name_the_same_fields(name: str) -> None:
    schema = SCHEMAS[CALLED.get(name, name)]
    fields = {field.encode_name: field for field in msgspec.structs.fields(TYPES[name])}
    assert fields.keys() | IMPLIED.get(name, set()) == schema["properties"].keys()
    # What a node may leave out, the client must not insist on; what it is asked with, it may leave out itself.
    assert {key for key, field in fields.items() if field.required} <= set(schema.get("required", ()))
