"""Signed notes and verifier keys: one form, caps, nothing verified by parsing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LimitError, MalformedError, NonCanonicalError, UsageError, ValijaError
from protocol.limits import MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES
from protocol.trust.notes import KeyType, Note, NoteSignature, VerifierKey, decode_base64, encode_base64, key_name
from tests.protocol.vectors_primitives import NOTE_EXAMPLE, NOTE_VKEY

names = st.from_regex(r"[a-z0-9./—ñ-]{1,30}", fullmatch=True)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
signatures = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
notes = st.builds(
    Note,
    st.lists(lines, min_size=1, max_size=5).map(lambda each: "\n".join(each) + "\n"),
    st.lists(signatures, min_size=1, max_size=4, unique_by=lambda each: (each.name, each.key_id)).map(tuple),
)


def lined(*each: str) -> bytes:
    return ("text\n\n" + "".join(f"{line}\n" for line in each)).encode()


GOOD = "— name AAAAAAA="


@given(notes)
def test_a_note_crosses(note: Note) -> None:
    assert Note.parse(note.encode()) == note


@given(notes, st.data())
def test_a_changed_byte_is_refused_or_another_note(note: Note, data: st.DataObject) -> None:
    changed = bytearray(note.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        other = Note.parse(bytes(changed))
    except (MalformedError, LimitError):
        return
    assert other.encode() == changed


def test_the_text_ends_at_the_last_empty_line() -> None:
    note = Note.parse(b"a\n\nb\n\n\n" + f"{GOOD}\n".encode())
    assert note.text == "a\n\nb\n\n"
    assert note.signatures == (NoteSignature("name", bytes(4), bytes(1)),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        lined("— name"),
        lined("— name "),
        lined("—name AAAAAAA="),
        lined("- name AAAAAAA="),
        lined("name AAAAAAA="),
        lined("—  AAAAAAA="),
        lined("— na+me AAAAAAA="),
        lined("— na\u00a0me AAAAAAA="),
        lined("— na me AAAAAAA="),
        lined("— name AAAAAA=="),
        lined("— name AAAA!AA="),
        lined("— name AAAAAAA=é"),
        lined(f"— {'n' * 256} AAAAAAA="),
        lined(GOOD, GOOD),
        lined(GOOD, "", GOOD)[:-1],
        lined(GOOD)[:-1],
        lined(GOOD) + b"\n",
        lined("— n\x01ame AAAAAAA="),
        b"te\txt\n\n" + lined(GOOD)[6:],
        b"\xff" + lined(GOOD),
    ],
)
def test_malformed_notes_are_refused(data: bytes) -> None:
    with pytest.raises(ValijaError) as caught:
        Note.parse(data)
    assert type(caught.value) is MalformedError


def test_caps() -> None:
    many = [f"— n{at} AAAAAAA=" for at in range(MAX_NOTE_SIGNATURES + 1)]
    assert len(Note.parse(lined(*many[1:])).signatures) == MAX_NOTE_SIGNATURES
    with pytest.raises(LimitError):
        Note.parse(lined(*many))
    room = MAX_NOTE_BYTES - len(lined(GOOD))
    assert Note.parse(b"x" * room + lined(GOOD)).text.startswith("xx")
    with pytest.raises(LimitError):
        Note.parse(b"x" * (room + 1) + lined(GOOD))


@pytest.mark.parametrize(
    "note",
    [
        Note("no newline", (NoteSignature("name", bytes(4), b"x"),)),
        Note("text\n", ()),
        Note("", (NoteSignature("name", bytes(4), b"x"),)),
        Note("text\n", (NoteSignature("na me", bytes(4), b"x"),)),
        Note("text\n", (NoteSignature("name", bytes(4), b""),)),
        Note("text\n", (NoteSignature("name", bytes(3), b"xx"),)),
        Note("text\n" * MAX_NOTE_BYTES, (NoteSignature("name", bytes(4), b"x"),)),
    ],
)
def test_a_note_that_would_not_come_back_is_not_written(note: Note) -> None:
    with pytest.raises(UsageError):
        note.encode()


def test_a_signature_is_found_by_name_and_key_id() -> None:
    key = VerifierKey.parse(NOTE_VKEY)
    note = Note.parse(NOTE_EXAMPLE.encode())
    assert note.find(key) == note.signatures[0].signature
    assert note.find(VerifierKey(key.name, KeyType.ED25519_COSIGNATURE, key.public)) is None
    assert note.find(VerifierKey("example.com/bar", key.type, key.public)) is None


def test_the_published_verifier_key() -> None:
    key = VerifierKey.parse(NOTE_VKEY)
    assert (key.name, key.type, key.key_id.hex()) == ("example.com/foo", KeyType.ED25519, "530d903a")
    assert key.encode() == NOTE_VKEY


@given(names, st.sampled_from(KeyType), st.data())
def test_verifier_keys_cross(name: str, kind: KeyType, data: st.DataObject) -> None:
    size = 1312 if kind is KeyType.MLDSA44_COSIGNATURE else 32
    key = VerifierKey(name, kind, data.draw(st.binary(min_size=size, max_size=size)))
    assert VerifierKey.parse(key.encode()) == key


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        NOTE_VKEY.replace("530d903a", "530D903A"),
        NOTE_VKEY.replace("530d903a", "530d903b"),
        NOTE_VKEY.replace("example.com/foo", "example.com/bar"),
        NOTE_VKEY.replace("example.com/foo", "example.com foo"),
        NOTE_VKEY.replace("+AekyeR", "+CekyeR"),
        NOTE_VKEY + "AAAA",
        NOTE_VKEY + "\n",
        "+" + NOTE_VKEY,
        "name+00000000+====",
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(MalformedError):
        VerifierKey.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\x01b", "n" * 256, "ñ" * 128, "a\u2003b"])
def test_names_that_no_line_can_hold(name: str) -> None:
    with pytest.raises(MalformedError):
        key_name(name)


@given(st.binary(max_size=60))
def test_base64_has_one_form(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@pytest.mark.parametrize("encoded", ["AB==", "AAB="])
def test_base64_with_stray_bits_is_not_canonical(encoded: str) -> None:
    with pytest.raises(NonCanonicalError):
        decode_base64(encoded)


@pytest.mark.parametrize("encoded", ["A", "AA", "AAA", "AA=", "A A=", "AA-_", "AAA=\n"])
def test_base64_in_another_alphabet_or_unpadded_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedError):
        decode_base64(encoded)
