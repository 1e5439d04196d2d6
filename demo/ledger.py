"""The end of the story: every message with its receipts and latency, and a search for its words at the hub."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from demo.story import Letter, Story

PHRASE_WORDS = 3
PHRASE_CHARACTERS = 16
SUBJECT_CHARACTERS = 34


@dataclass(frozen=True)
class Row:
    """One message to one recipient."""

    letter: Letter
    recipient: str
    state: str
    receipt: str
    seconds: float | None


def rows(story: Story, told: list[dict[str, Any]]) -> list[Row]:
    """One row for each message and recipient, with how long the signed receipt took to be archived at the sender."""
    return [
        Row(letter, each["recipient"]["member"], each["state"], _receipt(each), _latency(story, letter, each))
        for letter, message in zip(story.letters, told, strict=True)
        for each in message["deliveries"]
    ]


def _receipt(delivery: dict[str, Any]) -> str:
    receipt = delivery.get("receipt")
    return "" if not receipt else f"{receipt['event']}, {receipt['signed_by']}"


def _latency(story: Story, letter: Letter, delivery: dict[str, Any]) -> float | None:
    for seen in story.watchers[letter.sender].seen:
        if seen.kind == "delivery" and seen.data["id"] == letter.id:
            for each in seen.data["deliveries"]:
                if each["recipient"] == delivery["recipient"] and each["state"] in {"delivered", "acknowledged"}:
                    return seen.at - letter.began
    return None


def table(found: list[Row]) -> Table:
    """The rows for the audience."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("from", "to", "subject", "state", "signed receipt", "after"):
        shown.add_column(title, no_wrap=True, justify="right" if title == "after" else "left")
    for row in found:
        after = "" if row.seconds is None else f"{max(row.seconds, 0) * 1000:,.0f} ms"
        cells = (row.letter.sender, row.recipient, _cut(row.letter.subject), row.state, row.receipt, after)
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


def _cut(subject: str) -> str:
    return subject if len(subject) <= SUBJECT_CHARACTERS else subject[: SUBJECT_CHARACTERS - 1] + "…"


def summary(found: list[Row]) -> str:
    """The figures of the table in one line."""
    times = [1000 * row.seconds for row in found if row.seconds is not None]
    middle = f", median {statistics.median(times):,.0f} ms from the command or request until then" if times else ""
    return f"{len(found)} deliveries, every one with the recipient's signed receipt archived at its sender{middle}."


@dataclass(frozen=True)
class Search:
    """How much of the hub was searched for how many phrases, and where any of them was found."""

    files: int
    bytes_read: int
    phrases: int
    found: tuple[Path, ...]


def search(folder: Path, written: list[str], logs: Path) -> Search:
    """Look for all phrases of what was written in every file that the hub has, its log included."""
    needles = sorted({needle for text in written for needle in phrases(text)})
    files = [path for path in (*folder.rglob("*"), logs) if path.is_file()]
    contents = {path: path.read_bytes() for path in files}
    found = tuple(path for path, content in contents.items() if any(needle in content for needle in needles))
    return Search(len(files), sum(map(len, contents.values())), len(needles), found)


def phrases(text: str) -> Iterator[bytes]:
    """What to look for: from each word on so many words that chance makes none of it, as they stand and as JSON has them."""
    for line in text.splitlines():
        words = line.split(" ")
        for start in range(len(words)):
            ends = range(min(start + PHRASE_WORDS, len(words)), len(words) + 1)
            found = (" ".join(words[start:end]) for end in ends)
            phrase = next((each for each in found if len(each) >= PHRASE_CHARACTERS), "")
            if phrase:
                yield phrase.encode()
                yield json.dumps(phrase, ensure_ascii=False)[1:-1].encode()
