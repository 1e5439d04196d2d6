"""Contents: the published schema, one meaning for every reader, and text that stays text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import protocol
from protocol.errors import LimitError, MalformedError, UsageError
from protocol.messages.content import (
    Author,
    BodyFormat,
    Content,
    EuropolCode,
    Formality,
    FormalityKind,
    Handling,
    Matter,
    MessageType,
    Origin,
    SourceGrade,
    Text,
    Tlp,
    Transition,
    Urgency,
    from_json,
    schema,
    to_json,
)
from tests.support.letters import content
from tests.support.mangling import mangled

ID = "msg_" + "a" * 26

names = st.from_regex(r"[a-z0-9]{2,9}(-[a-z0-9]{1,9})?", fullmatch=True)
lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
dates = (
    st.datetimes()
    .filter(lambda at: at.year >= 1)
    .map(lambda at: at.strftime("%Y").zfill(4) + at.strftime("-%m-%dT%H:%M:%SZ"))
)
contents = st.builds(
    Content,
    schema=st.just("valija/content/0"),
    type=st.sampled_from(MessageType),
    subject=lines,
    body=st.builds(Text, format=st.sampled_from(BodyFormat), text=lines),
    to=st.lists(names, min_size=1, max_size=3).map(tuple),
    origin=st.builds(Origin, member=names, desk=names),
    author=st.builds(Author, name=lines, role=lines, login_method=lines),
    urgency=st.sampled_from(Urgency),
    thread=st.none() | st.just(ID),
    in_reply_to=st.none() | st.just(ID),
    case_reference=st.none() | lines,
    due_at=st.none() | dates,
    handling=st.none()
    | st.builds(
        Handling,
        tlp=st.none() | st.sampled_from(Tlp),
        europol=st.lists(st.sampled_from(EuropolCode), unique=True).map(tuple),
        source=st.none() | st.sampled_from(SourceGrade),
        information=st.none() | st.integers(1, 4),
    ),
    formality=st.none()
    | st.builds(Formality, kind=st.sampled_from(FormalityKind), official_reference=st.none() | lines),
    transition=st.none() | st.builds(Transition, matter=st.sampled_from(Matter)),
    language=st.none() | st.sampled_from(["es", "pt-BR", "en"]),
    use_limits=st.none() | lines,
)


@given(contents)
def test_contents_come_back_and_are_written_one_way(written: Any) -> None:
    data = to_json(written)
    assert from_json(data) == written
    assert to_json(from_json(data)) == data
    assert json.loads(data)["from"]["member"] == written.origin.member


def test_a_document_is_short_and_in_order() -> None:
    document = (
        b'{"schema":"valija/content/0","type":"message","subject":"Consulta","body":{"format":"plain","text":"Hola"},'
    )
    document += b'"to":["co-fgn@aiamp"],"from":{"member":"ar-mpf","desk":"antidrogas"},'
    document += '"author":{"name":"Ana Gómez","role":"fiscal","login_method":"token"},"urgency":"routine"}'.encode()
    assert to_json(content("Hola")) == document


def document(**changes: Any) -> Any:
    value = json.loads(to_json(content("Hola")))
    value.update(changes)
    return json.dumps(value).encode()


def test_fields_of_later_schemas_are_ignored_and_the_bytes_kept() -> None:
    data = document(later={"nested": [1, 2.5, None, True]}, handling={"tlp": "TLP:RED", "later": 1})
    assert from_json(data).handling == Handling(tlp=Tlp.RED)


def test_other_writers_may_order_and_space_as_they_like() -> None:
    value = json.loads(to_json(content("Hola")))
    spaced = json.dumps(dict(reversed(value.items())), indent=3).encode()
    assert from_json(spaced) == content("Hola")


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x00\x07", "\u202etxt.exe", "<script>alert(1)</script>", "=cmd|' /C calc'!A0"]
)
def test_hostile_text_stays_text(text: Any) -> None:
    assert from_json(to_json(content(text))).body.text == text


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "valija/content/1"},
        {"schema": None},
        {"type": "memo"},
        {"subject": "x" * 301},
        {"subject": 5},
        {"body": {"format": "html", "text": ""}},
        {"body": {"format": "plain"}},
        {"to": []},
        {"to": ["co-fgn"] * 129},
        {"to": "co-fgn"},
        {"to": [""]},
        {"from": {"member": "Ar-Mpf", "desk": "x1"}},
        {"from": {"member": "ar-mpf\n", "desk": "x1"}},
        {"from": {"member": "ar-mpf"}},
        {"author": {"name": "x" * 256, "role": "", "login_method": ""}},
        {"urgency": "soon"},
        {"thread": "msg_1"},
        {"in_reply_to": ID + "\n"},
        {"case_reference": "x" * 256},
        {"due_at": "2026-02-30T00:00:00Z"},
        {"due_at": "2026-02-03T00:00:00+01:00"},
        {"due_at": "2026-02-03T24:00:00Z"},
        {"due_at": "2026-02-03"},
        {"due_at": 5},
        {"handling": {"tlp": "RED"}},
        {"handling": {"europol": ["H4"]}},
        {"handling": {"europol": ["H1", "H1"]}},
        {"handling": {"source": "D"}},
        {"handling": {"information": 5}},
        {"formality": {"kind": "informal"}},
        {"transition": {"matter": "lost"}},
        {"language": "español"},
        {"use_limits": "x" * 4001},
    ],
)
def test_what_the_schema_does_not_allow_is_refused(changes: Any) -> None:
    with pytest.raises(MalformedError):
        from_json(document(**changes))


VALID = to_json(content("Hola"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        VALID[:-1],
        VALID + b"x",
        b"\xef\xbb\xbf" + VALID,
        VALID[:-1] + b',"subject":"Otra"}',
        VALID[:-1] + b',"later":1,"l\\u0061ter":2}',
        VALID[:-1] + b',"later":{"a":1,"a":1}}',
        VALID[:-1] + b',"later":"\xff"}',
        VALID[:-1] + b',"later":"\\ud800"}',
        VALID[:-1] + b',"later":"\xed\xa0\x80"}',
        VALID[:-1] + b',"\xed\xb0\x80":1}',
        VALID[:-1] + b',"later":NaN}',
        VALID.replace(b"Hola", b"\\ud800"),
        VALID.replace(b"Hola", b"\xed\xa0\x80"),
        VALID.replace(b"Hola", b"a\x00b"),
    ],
)
def test_what_has_no_one_meaning_is_refused(data: Any) -> None:
    with pytest.raises(MalformedError):
        from_json(data)


def nested(depth: Any) -> Any:
    return VALID[:-1] + b',"later":' + b"[" * depth + b"]" * depth + b"}"


def test_nesting_is_bounded_for_unknown_fields_too() -> None:
    assert from_json(nested(15)) == content("Hola")
    for depth in (16, 200, 100_000):
        with pytest.raises(LimitError):
            from_json(nested(depth))


def test_huge_numbers_are_read_past() -> None:
    assert from_json(VALID[:-1] + b',"later":[1' + b"0" * 10_000 + b",1e999999]}") == content("Hola")


def test_the_size_is_bounded() -> None:
    fill = 512 * 1024 - len(to_json(content("")))
    assert len(to_json(content("x" * fill))) == 512 * 1024
    with pytest.raises(UsageError):
        to_json(content("x" * (fill + 1)))
    with pytest.raises(LimitError):
        from_json(b" " * (512 * 1024) + VALID)


@pytest.mark.parametrize(
    "fields",
    [{"subject": "x" * 301}, {"subject": "\ud800"}, {"to": ()}, {"thread": "msg_1"}, {"urgency": "soon"}],
)
def test_nothing_is_written_that_could_not_be_read(fields: Any) -> None:
    with pytest.raises(UsageError):
        to_json(content("Hola", **fields))


def test_what_is_in_no_calendar_is_refused_when_it_is_made() -> None:
    with pytest.raises(MalformedError):
        content("Hola", due_at="2026-02-30T00:00:00Z")


def test_errors_name_the_place_and_never_the_text() -> None:
    with pytest.raises(MalformedError) as caught:
        from_json(document(urgency="SECRETO"))
    assert caught.value.detail == "content at `$.urgency`"
    with pytest.raises(MalformedError) as caught:
        from_json(b'"SECRETO"')
    assert caught.value.detail == "content"


def test_no_text_shows_in_a_repr() -> None:
    assert "SECRETO" not in repr(content("SECRETO", subject="SECRETO"))
    assert "SECRETO" not in repr(content("SECRETO").body)


def test_a_damaged_document_is_refused_or_read_as_text() -> None:
    read = 0
    for data in mangled(VALID):
        try:
            found = from_json(data)
        except (MalformedError, LimitError):
            continue
        said, read = json.loads(data), read + 1
        assert (found.subject, found.body.text, list(found.to)) == (said["subject"], said["body"]["text"], said["to"])
    assert read, "a damaged letter of the text is another text"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_content_or_refused(data: Any) -> None:
    with pytest.raises((MalformedError, LimitError)):
        from_json(data)


def test_the_published_schema_is_the_one_that_is_read() -> None:
    path = Path(protocol.__file__).parent / "content.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(schema()))
