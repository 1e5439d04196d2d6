"""Holds every answer of a node to the description that the node gives of its API."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from keys.program import program_version
from node import api_messages, api_node, api_webhooks, openapi
from node.api import ROOT

TABLE = (*api_messages.TABLE, *api_node.TABLE, *api_webhooks.TABLE)
DOCUMENT = json.loads(json.dumps(openapi.document(TABLE, ROOT, program_version())))
_HERE = "urn:api"
_REGISTRY: Any = Registry().with_resource(_HERE, Resource.opaque(DOCUMENT))


@cache
def _validator(written: str) -> Draft202012Validator:
    schema = json.loads(written.replace('"#/components', f'"{_HERE}#/components'))
    return Draft202012Validator(schema, registry=_REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)


def operation(method: str, path: str) -> dict[str, Any] | None:
    """What is described for a request."""
    for pattern, told in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and method.lower() in told:
            found: dict[str, Any] = told[method.lower()]
            return found
    return None


async def hold(answer: aiohttp.ClientResponse) -> None:
    """Raise `AssertionError` unless the answer is one of those that are described."""
    told = operation(answer.method, answer.url.path)
    if told is None or answer.content_type == "text/event-stream":
        return
    described = told["responses"].get(str(answer.status))
    assert described is not None, (answer.method, answer.url.path, answer.status, "not described")
    content = described["content"].get(answer.content_type)
    assert content is not None, (answer.url.path, answer.content_type, "not described")
    body = await answer.read()
    if "x-line-schema" in content:
        for line in body.splitlines():
            _validator(json.dumps(content["x-line-schema"])).validate(json.loads(line))
    else:
        _validator(json.dumps(content["schema"])).validate(json.loads(body))
