from __future__ import annotations

from pathlib import Path

import pytest

from node import search
from node.archive import Archive
from node.search import Box, Hit
from node.tables import finding, inbox
from protocol.errors import UsageError
from protocol.names import MessageId, show_id
from tests.node.lab import Lab, Node


@pytest.fixture
def lab() -> Lab:
    return Lab("ar-mpf", "co-fgn")


def find(node: Node, words: str, desks: list[str] | None = None, limit: int = 50) -> list[Hit]:
    return node.run(lambda ctx: search.find(ctx.tx, words, desks, limit))


def follow(node: Node) -> int:
    total = 0
    while step := node.run(lambda ctx: search.follow(ctx.tx, 3)):
        total += step
    return total


def written(lab: Lab, key: str, text: str, **fields: object) -> MessageId:
    node = lab["ar-mpf"]
    to = fields.pop("to", ("co-fgn/antidrogas@aiamp",))
    document = node.document(text, "co-fgn", **fields).replace(b'["co-fgn@aiamp"]', _list(to))
    return node.write(key, text, "co-fgn", document=document)


def _list(to: object) -> bytes:
    return b"[" + b",".join(b'"%s"' % each.encode() for each in to) + b"]"  # type: ignore[attr-defined]


def test_delivery_does_not_wait_for_the_index(lab: Lab) -> None:
    written(lab, "k1", "Incautación en Asunción")
    lab.settle()
    reader = lab["co-fgn"]
    assert reader.run(lambda ctx: search.behind(ctx.tx)) == 1
    assert find(reader, "incautación") == []
    assert follow(reader) == 1
    assert reader.run(lambda ctx: search.behind(ctx.tx)) == 0
    assert find(reader, "incautación") == [Hit(Box.INBOX, 1)]


def test_accents_and_capitals_are_folded_and_beginnings_found(lab: Lab) -> None:
    written(lab, "k1", "Incautación en Asunción")
    lab.settle()
    follow(lab["co-fgn"])
    for words in ("INCAUTACION", "asuncion incaut", "consulta"):  # the subject counts too
        assert find(lab["co-fgn"], words) == [Hit(Box.INBOX, 1)]
    assert find(lab["co-fgn"], "asuncion bogota") == []


@pytest.mark.parametrize("words", ['"', "OR", "a AND", "NEAR(", "subject:", "*", "-x", "col : y"])
def test_no_query_is_a_program(lab: Lab, words: str) -> None:
    follow(lab["co-fgn"])
    if any(each.isalnum() for each in words):
        assert find(lab["co-fgn"], words) == []
    else:
        with pytest.raises(UsageError):
            find(lab["co-fgn"], words)


def test_what_was_written_is_found_too_newest_first(lab: Lab) -> None:
    for number in range(4):
        written(lab, f"k{number}", f"lancha rápida {number}")
    lab.settle()
    assert follow(lab["ar-mpf"]) == 4
    assert find(lab["ar-mpf"], "lancha") == [Hit(Box.OUTBOX, row) for row in (4, 3, 2, 1)]
    assert find(lab["ar-mpf"], "lancha", limit=2) == [Hit(Box.OUTBOX, 4), Hit(Box.OUTBOX, 3)]


def test_case_references_by_fragment(lab: Lab) -> None:
    written(lab, "k1", "uno", case_reference="CFP-1234/2026/TO1")
    written(lab, "k2", "dos", case_reference="CFP-9999/2025")
    lab.settle()
    reader = lab["co-fgn"]
    follow(reader)
    assert reader.run(lambda ctx: search.find_case(ctx.tx, "234/20")) == [Hit(Box.INBOX, 1)]
    assert len(reader.run(lambda ctx: search.find_case(ctx.tx, "CFP"))) == 2
    with pytest.raises(UsageError):
        reader.run(lambda ctx: search.find_case(ctx.tx, "12 "))


def test_desks_are_walls(lab: Lab) -> None:
    written(lab, "k1", "para antidrogas")
    written(lab, "k2", "para extradiciones", to=("co-fgn/extradiciones@aiamp", "ar-mpf/otra@aiamp"))
    written(lab, "k3", "para la casa", to=("co-fgn@aiamp",))
    reader = lab["co-fgn"]
    reader.run(lambda ctx: ctx.tx.many("INSERT INTO desk VALUES (?, 0)", [("antidrogas",), ("extradiciones",)]))
    lab.settle()
    follow(reader)
    assert find(reader, "para", ["antidrogas"]) == [Hit(Box.INBOX, 1)]
    assert find(reader, "para", ["extradiciones", ""]) == [Hit(Box.INBOX, 3), Hit(Box.INBOX, 2)]
    assert [
        row.id for row in reader.run(lambda ctx: finding.arrivals(ctx.tx, 0, finding.FOREVER, 9, ["extradiciones"]))
    ] == [2]
    desks = reader.run(lambda ctx: [inbox.desks_of(ctx.tx, row) for row in (1, 2, 3)])
    assert desks == [("antidrogas",), ("extradiciones",), ("",)]
    follow(lab["ar-mpf"])
    assert find(lab["ar-mpf"], "para", ["otra"]) == []
    assert len(find(lab["ar-mpf"], "para", ["antidrogas"])) == 3


def test_threads_join_both_boxes(lab: Lab) -> None:
    first = written(lab, "k1", "pedido")
    lab.settle()
    shown = show_id("msg", first)
    reader, writer = lab["co-fgn"], lab["ar-mpf"]
    document = reader.document("respuesta", "ar-mpf", thread=shown, in_reply_to=shown)
    reader.write("r1", "", "ar-mpf", document=document)
    reader.write("r2", "", "ar-mpf", document=reader.document("otra", "ar-mpf", in_reply_to=shown))
    lab.settle()
    whole = [Hit(Box.INBOX, 1), Hit(Box.OUTBOX, 1), Hit(Box.INBOX, 2)]
    # An answer stands in its thread before the index has come so far.
    assert writer.run(lambda ctx: search.thread(ctx.tx, first)) == whole
    follow(writer)
    follow(reader)
    assert writer.run(lambda ctx: search.thread(ctx.tx, first)) == whole
    assert len(reader.run(lambda ctx: search.thread(ctx.tx, first))) == 3
    assert reader.run(lambda ctx: search.thread(ctx.tx, first, ["nobody"])) == []


def test_a_document_of_a_later_schema_is_passed_over(lab: Lab) -> None:
    written(lab, "k1", "uno")
    lab.settle()
    reader = lab["co-fgn"]
    reader.run(lambda ctx: ctx.tx.run("UPDATE inbox SET content = ?", (b"{}",)))
    assert follow(reader) == 1
    assert find(reader, "uno") == []


def test_the_archive_on_disk_finds_too(tmp_path: Path) -> None:
    store = Archive(tmp_path / "archive.db", b"k" * 32)
    lab = Lab("ar-mpf", "co-fgn")
    document = lab["ar-mpf"].document("Incautación", "co-fgn")
    store.run(lambda tx: tx.run("INSERT INTO inbox VALUES (1, 1, 0, ?, 0, 0, x'00', ?)", (b"m" * 16, document)))
    assert store.run(search.follow) == 1
    assert store.read(lambda tx: search.find(tx, "incautacion")) == [Hit(Box.INBOX, 1)]
    store.close()
