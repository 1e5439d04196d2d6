"""The API in OpenAPI 3.1, made from the table of its ways in and the types of what is asked and answered."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from node.problems import CONTENT_TYPE, STATUSES, Problem
from node.routes import OPERATORS, Media, Parameter, Route

View = dict[str, Any]
_REF: Final = "#/components/schemas/{name}"
_EVERYWHERE: Final = ("invalid_request", "unauthorized", "too_many_requests")
_ABOUT: Final = (
    "For case systems: messages in and out, their deliveries and receipts, and what changes.  A bearer token speaks for "
    "one desk; what is another desk's does not exist for it.  A refusal is a problem of RFC 9457 with a stable `code`; "
    "`errors` says which field, parameter or header is wrong."
)


class _Schemas:
    """The schemas of all types of a table, each named once."""

    def __init__(self, types: Sequence[Any]) -> None:
        schemas, self.named = msgspec.json.schema_components(types, ref_template=_REF)
        self._of = {str(kind): schema for kind, schema in zip(types, schemas, strict=True)}

    def of(self, kind: Any) -> View:
        return self._of[str(kind)]


def document(table: Sequence[Route], root: str, version: str) -> View:
    """The description of this table under `root`; `version` is this program's."""
    schemas = _Schemas([*dict.fromkeys(media.type for route in table for media in _media(route)), Problem])
    paths: dict[str, View] = {}
    for route in table:
        paths.setdefault(root + route.path, {})[route.method.lower()] = _operation(route, schemas)
    bearer = {"type": "http", "scheme": "bearer", "description": "A desk's token, `vlj_<handle>_<secret>`."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Valija node", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": {"token": bearer}},
    }


def _media(route: Route) -> Iterable[Media]:
    yield from (*route.asks, *route.answers)
    for _status, others in route.also:
        yield from others


def _operation(route: Route, schemas: _Schemas) -> View:
    about = inspect.cleandoc(route.handler.__doc__ or "")
    good_for = "the operator's socket alone" if route.scope == OPERATORS else f"scope `{route.scope or 'any'}`"
    told: View = {
        "operationId": getattr(route.handler, "__name__", ""),
        "tags": [route.path.split("/")[1].split(":")[0]],
        "summary": about.splitlines()[0].split("; ")[0].split(". ")[0].rstrip(".").replace("`", ""),
        "description": f"{about}\n\nNeeds: {good_for}.",
        "responses": _responses(route, schemas),
    }
    if route.parameters:
        told["parameters"] = [_parameter(each) for each in route.parameters]
    if route.asks:
        told["requestBody"] = {"required": route.is_body_required, "content": _content(route.asks, schemas)}
    return told


def _parameter(told: Parameter) -> View:
    return {
        "name": told.name,
        "in": told.place,
        "description": told.about,
        "required": told.is_required,
        "schema": told.schema,
    }


def _content(media: Iterable[Media], schemas: _Schemas) -> View:
    # Of what has lines the schema is that of one line: OpenAPI 3.1 has no word for several.
    return {
        each.content: {"schema": {"type": "string"}} | {"x-line-schema": schemas.of(each.type)}
        if each.has_lines
        else {"schema": schemas.of(each.type)}
        for each in media
    }


def _responses(route: Route, schemas: _Schemas) -> View:
    told = {
        str(status): {"description": "Done.", "headers": _PACE, "content": _content(media, schemas)}
        for status, media in ((route.status, route.answers), *route.also)
    }
    by_status: dict[int, list[str]] = {}
    for code in (*_EVERYWHERE, *(("forbidden",) if route.scope is not None else ()), *route.codes):
        by_status.setdefault(STATUSES.get(code, 500), []).append(code)
    problem = {CONTENT_TYPE: {"schema": schemas.of(Problem)}}
    for status, codes in sorted(by_status.items()):
        about = "Refused: " + ", ".join(f"`{code}`" for code in dict.fromkeys(codes)) + "."
        told[str(status)] = {"description": about, "headers": _HEADERS.get(status, _PACE), "content": problem}
    return told | {"default": {"description": "Refused; `code` says why.", "headers": _PACE, "content": problem}}


_TEXT: Final = {"type": "string"}
_PACE: Final = {
    "RateLimit-Policy": {"schema": _TEXT, "description": "How many requests (`q`) in how many seconds (`w`)."},
    "RateLimit": {"schema": _TEXT, "description": "How many are left (`r`), and when all are again (`t`, seconds)."},
}
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"schema": _TEXT, "description": "`Bearer`: show a token that is in force."}},
    429: _PACE | {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}},
}
