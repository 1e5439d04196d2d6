"""The target of contents: JSON documents, judged by both readers alike.

What one node shows and another refuses would be a message that one recipient may read and the other may not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from protocol.errors import UsageError
from protocol.messages.content import from_json, to_json
from tests.fuzz.mutate import Shape
from tests.fuzz.target import Target, refused_or, require
from tests.protocol.vectors_primitives import load
from tests.spec_reader.content import read_content
from tests.spec_reader.refusal import Refused


def content(data: bytes) -> None:
    read = refused_or(lambda: from_json(data))
    if read is not None:
        again = refused_or(lambda: to_json(read), UsageError)
        require(again is not None and from_json(again) == read, "a content that cannot be written again")
    require((read is not None) is _by_the_specification(data), f"{'taken' if read else 'refused'} here alone")


def _by_the_specification(data: bytes) -> bool:
    try:
        read_content(data)
    except Refused:
        return False
    return True


def seeds() -> Iterator[bytes]:
    vectors = load("content")
    for case in (*vectors["valid"], *vectors["invalid"]):
        yield bytes.fromhex(case["document"])
    full = json.loads(bytes.fromhex(vectors["valid"][0]["document"]))
    yield json.dumps(full, ensure_ascii=False, indent=1).encode()
    yield b'{"schema":' + b"[" * 15 + b"]" * 15 + b"}"


WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            '"',
            "\\",
            "\\u0000",
            "\\ud800",
            "\\udc00\\ud83d",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "true",
            "-0",
            "1e999",
        ),
        *(
            "NaN",
            "1.0",
            "\ufeff",
            "\x7f",
            '"schema":"valija/content/0"',
            '"thread":null',
            '"due_at":"2026-02-30T00:00:00Z"',
        ),
        *(
            '"due_at":"2026-02-28T00:00:00Z"',
            '"handling":{"europol":["H0","H0"]}',
            '"information":4.0',
            '"language":"pt-BR"',
        ),
        *("9" * 4_400, "\\n", '"formality":{"kind":"formal"}', '"transition":{"matter":"sent"}', "msg_" + "a" * 26),
    )
)
TARGETS: Final = (Target("content", content, seeds, Shape.JSON, words=WORDS),)
