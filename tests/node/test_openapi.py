"""The description of the API is whole and of its own specification, and so is every answer of the tests beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from node import api, problems
from tests.support.association import found
from tests.support.described import DOCUMENT, TABLE, _validator
from tests.support.node_home import case_system, node


def test_every_way_in_is_described_with_its_refusals() -> None:
    described = {(method.upper(), path) for path, told in DOCUMENT["paths"].items() for method in told}
    assert described == {(route.method, api.ROOT + route.path) for route in TABLE}
    for path, methods in DOCUMENT["paths"].items():
        for told in methods.values():
            assert {"400", "401", "429", "default"} <= told["responses"].keys(), path
            assert ("403" in told["responses"]) == ("any" not in told["description"].rpartition("Needs: ")[2]), path
            for status, answer in told["responses"].items():
                wanted = {"WWW-Authenticate"} if status == "401" else {"RateLimit", "RateLimit-Policy"}
                assert wanted <= answer["headers"].keys(), (path, status)
            assert told["description"].strip()
    names = [told["operationId"] for methods in DOCUMENT["paths"].values() for told in methods.values()]
    assert len(set(names)) == len(names)
    for route in TABLE:
        assert set(route.codes) <= problems.known_codes()


def test_the_limits_of_what_is_asked_are_stated() -> None:
    asked = DOCUMENT["components"]["schemas"]["MessageRequest"]["properties"]
    assert (asked["subject"]["maxLength"], asked["to"]["maxItems"]) == (300, 128)
    for name in ("use_limits", "case_reference", "language", "idempotency_key"):
        assert "maxLength" in asked[name]["anyOf"][0], name
    for name in ("thread", "in_reply_to", "forward_of", "due_at"):
        assert "pattern" in asked[name]["anyOf"][0], name
    assert {"session", "hub", "desk"} <= DOCUMENT["components"]["schemas"]["Status"]["properties"].keys()


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    named = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references(DOCUMENT) <= named
    assert named <= references(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_what_does_not_fit_is_noticed() -> None:
    schema = DOCUMENT["paths"]["/api/v1/members"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    _validator(json.dumps(schema)).validate({"members": []})
    for wrong in ({}, {"members": [], "more": 1}, {"members": [{"member": "x"}]}):
        with pytest.raises(ValidationError):
            _validator(json.dumps(schema)).validate(wrong)


async def test_the_description_and_its_viewer_are_served_without_a_token_and_load_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    association = found(tmp_path / "x", ["ar-mpf"], {}, tls=False)
    async with node(association.homes["ar-mpf"]) as daemon, case_system(daemon, "") as client:
        async with client.get("/api/v1/openapi.json") as answer:
            assert (answer.status, await answer.json()) == (200, DOCUMENT)
        for path in ("docs", "docs/start.js", "docs/redoc.js"):
            async with client.get(f"/api/v1/{path}") as answer:
                assert answer.status == 200
                body = await answer.text()
                policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "http" not in policy
            if path == "docs":
                assert "<script>" not in body
                assert "//" not in body
        for path in ("openapi.json", "docs"):
            async with client.head(f"/api/v1/{path}") as answer:
                assert (answer.status, await answer.read()) == (200, b"")
        async with client.post("/api/v1/docs") as answer:
            assert answer.status == 401
