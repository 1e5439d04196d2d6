"""The keystore: what is written opens again, with the right passphrase, unaltered, and for its owner alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import files
from keys.armour import Mark, armour, read_armour
from keys.kinds import Kind, OpenKey, PublicPart, hex_groups, spoken
from keys.locks import Box, Cost, Passphrase, Secret
from keys.signer import LogSigner, Signer
from keys.vault import Vault, read_entry
from protocol.codec import decode, encode
from protocol.errors import (
    ExistsError,
    KeyAccessError,
    KeyDamagedError,
    LimitError,
    MalformedError,
    PassphraseError,
    StoreError,
    UsageError,
    ValijaError,
)
from protocol.signing import Label, Signature
from protocol.trust.checkpoint import Checkpoint

CHEAP = Cost(passes=1, memory_kib=8)
WORDS = Passphrase("una frase larga y secreta")
NOW = 1_795_305_600
ASSOCIATION = bytes(32)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keystore", CHEAP)


# -- creating and opening ----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_opens_as_it_was_created(vault: Vault, kind: Kind) -> None:
    made = vault.create(kind, "ar-mpf", WORDS, NOW)
    entry = vault.entry(kind, "ar-mpf")
    assert (entry.public, entry.created_at, entry.opens_with) == (made.public, NOW, "passphrase")
    assert entry.open(WORDS) == made
    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert vault.folder.stat().st_mode & 0o777 == 0o700


def test_a_secret_file_opens_a_daemons_key(vault: Vault, tmp_path: Path) -> None:
    secret = Secret.create(tmp_path / "secret")
    made = vault.create(Kind.NODE, "ar-mpf", secret, NOW)
    assert vault.entry(Kind.NODE, "ar-mpf").opens_with == "secret file"
    assert vault.open(Kind.NODE, "ar-mpf", Secret.read(tmp_path / "secret")) == made


def test_nothing_is_overwritten(vault: Vault) -> None:
    vault.create(Kind.NODE, "ar-mpf", WORDS, NOW)
    before = vault.path(Kind.NODE, "ar-mpf").read_bytes()
    with pytest.raises(ExistsError):
        vault.create(Kind.NODE, "ar-mpf", WORDS, NOW)
    assert vault.path(Kind.NODE, "ar-mpf").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a", "../up", "Ana", "a" * 33, "ana.steward", "a/b"])
def test_a_name_that_is_none_is_refused(vault: Vault, name: str) -> None:
    with pytest.raises(UsageError):
        vault.create(Kind.NODE, name, WORDS, NOW)
    assert not vault.folder.exists()


def test_keys_are_found_by_name_and_by_kind(vault: Vault) -> None:
    assert vault.paths() == []
    vault.create(Kind.NODE, "ar-mpf", WORDS, NOW)
    assert vault.find("ar-mpf").public.kind is Kind.NODE
    vault.create(Kind.MEMBER_ROOT, "ar-mpf", WORDS, NOW)
    assert vault.find("ar-mpf.member-root").public.kind is Kind.MEMBER_ROOT
    with pytest.raises(UsageError, match=r"ar-mpf\.member-root, ar-mpf\.node"):
        vault.find("ar-mpf")
    with pytest.raises(KeyAccessError):
        vault.find("ar-mpf.steward")
    assert [path.name for path in vault.paths()] == ["ar-mpf.member-root.key", "ar-mpf.node.key"]


# -- what does not open ------------------------------------------------------------------------------
def test_the_wrong_passphrase_is_told(vault: Vault) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    with pytest.raises(PassphraseError):
        vault.open(Kind.STEWARD, "ana", Passphrase("una frase larga y secreta."))


def test_passphrase_and_secret_are_not_exchangeable(vault: Vault) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    with pytest.raises(PassphraseError, match="a passphrase"):
        vault.open(Kind.STEWARD, "ana", Secret.generate())
    vault.create(Kind.NODE, "ana", Secret.generate(), NOW)
    with pytest.raises(PassphraseError, match="a secret file"):
        vault.open(Kind.NODE, "ana", WORDS)
    with pytest.raises(PassphraseError):
        vault.open(Kind.NODE, "ana", Secret.generate())


def test_composed_and_decomposed_letters_are_one_passphrase() -> None:
    box = Box.seal(b"", b"seed", Passphrase("contraseña de acción"), CHEAP)
    assert box.open(Passphrase("contrasen\u0303a de accio\u0301n")) == b"seed"


def _altered(vault: Vault, field: str, change: bytes | str) -> Path:
    path = vault.path(Kind.STEWARD, "ana")
    box = Box.decode(read_armour(path.read_bytes(), Mark.KEY)[1])
    parts = {name: getattr(box, name) for name in ("header", "lock", "check", "sealed")} | {field: change}
    path.write_bytes(armour(Mark.KEY, Box(**parts).encode(), ""))
    return path


def test_a_header_that_was_changed_does_not_open(vault: Vault) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    made = vault.entry(Kind.STEWARD, "ana")
    values = decode(made.box.header, 8192)
    assert isinstance(values, list)
    values[3] = NOW + 1
    path = _altered(vault, "header", encode(values))
    assert read_entry(path).created_at == NOW + 1
    with pytest.raises(KeyDamagedError):
        read_entry(path).open(WORDS)


@pytest.mark.parametrize(
    ("field", "change", "error"),
    [
        ("sealed", b"", KeyDamagedError),
        ("sealed", bytes(136), KeyDamagedError),
        ("check", bytes(32), PassphraseError),
        ("lock", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA", PassphraseError),
        ("lock", "$argon2id$v=19$m=4000000,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA", KeyDamagedError),
        ("lock", "$argon2id$v=19$m=8,t=99,p=1$AAAAAAAAAAAAAAAAAAAAAA", KeyDamagedError),
        ("lock", "$scrypt$", KeyDamagedError),
    ],
)
def test_one_altered_field_never_opens(vault: Vault, field: str, change: bytes | str, error: type[Exception]) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    path = _altered(vault, field, change)
    with pytest.raises(error):
        read_entry(path).open(WORDS)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        encode([1, "steward", "ana", NOW, [bytes(32), bytes(1952)]]),
        encode([0, "prince", "ana", NOW, [bytes(32), bytes(1952)]]),
        encode([0, "a kind of more than sixteen letters", "ana", NOW, []]),
        encode([0, "steward", "Ana", NOW, []]),
        encode([0, "steward", "ana", NOW, []]),
        encode([0, "steward", "ana", NOW, [bytes(32), bytes(1952)]]),
    ],
)
def test_a_header_that_says_no_key_is_refused(vault: Vault, header: bytes) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    with pytest.raises(KeyDamagedError):
        read_entry(_altered(vault, "header", header))


def test_a_file_under_another_name_is_refused(vault: Vault) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    vault.path(Kind.STEWARD, "ana").rename(vault.path(Kind.STEWARD, "eva"))
    with pytest.raises(KeyDamagedError, match="holds the steward key of ana"):
        vault.open(Kind.STEWARD, "eva", WORDS)


@pytest.mark.parametrize("inside", [b"", encode([bytes(31), bytes(32)]), encode([bytes(32)]), encode([bytes(32)] * 3)])
def test_seeds_of_another_shape_are_refused(vault: Vault, inside: bytes) -> None:
    made = vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    entry = vault.entry(Kind.STEWARD, made.public.name)
    entry.path.write_bytes(armour(Mark.KEY, Box.seal(entry.box.header, inside, WORDS, CHEAP).encode(), ""))
    with pytest.raises(KeyDamagedError):
        vault.open(Kind.STEWARD, "ana", WORDS)


def test_seeds_of_another_key_are_refused(vault: Vault) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    entry = vault.entry(Kind.STEWARD, "ana")
    inside = encode([bytes(32), bytes(32)])
    entry.path.write_bytes(armour(Mark.KEY, Box.seal(entry.box.header, inside, WORDS, CHEAP).encode(), ""))
    with pytest.raises(KeyDamagedError, match="not that of the seeds"):
        vault.open(Kind.STEWARD, "ana", WORDS)


SAMPLE = Box.seal(b"header", b"seed", Secret(bytes(32)), CHEAP).encode()


@given(st.integers(0, len(SAMPLE) * 8 - 1))
def test_no_flipped_bit_goes_unseen(bit: int) -> None:
    data = bytearray(SAMPLE)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyAccessError):
        Box.decode(bytes(data)).open(Secret(bytes(32)))


@given(st.integers(0, len(SAMPLE) - 1))
def test_no_truncation_goes_unseen(size: int) -> None:
    with pytest.raises(KeyDamagedError):
        Box.decode(SAMPLE[:size])


def test_a_newer_box_is_refused() -> None:
    with pytest.raises(KeyDamagedError, match="update"):
        Box.decode(encode([1, b"", "", bytes(32), b""]))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_box_gives_back_what_was_sealed(header: bytes, inside: bytes) -> None:
    box = Box.decode(Box.seal(header, inside, Secret(bytes(32)), CHEAP).encode())
    assert (box.header, box.open(Secret(bytes(32)))) == (header, inside)


# -- files -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_open_to_others_is_refused_with_the_remedy(vault: Vault, mode: int) -> None:
    vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    path = vault.path(Kind.STEWARD, "ana")
    path.chmod(mode)
    with pytest.raises(KeyAccessError, match="chmod 600") as caught:
        vault.open(Kind.STEWARD, "ana", WORDS)
    assert caught.value.code == "key_access"


def test_a_missing_key_is_told(vault: Vault) -> None:
    with pytest.raises(KeyAccessError, match="No such file"):
        vault.open(Kind.STEWARD, "ana", WORDS)


def test_a_file_too_large_is_no_key(tmp_path: Path) -> None:
    files.write_new(tmp_path / "large.node.key", bytes(files.MAX_FILE_BYTES + 1))
    with pytest.raises(KeyAccessError, match="too large"):
        read_entry(tmp_path / "large.node.key")


@pytest.mark.parametrize("content", [b"", b"zz" * 32, b"00" * 31, b"00" * 32 + b"\n\n"])
def test_a_secret_file_holds_64_digits(tmp_path: Path, content: bytes) -> None:
    files.write_new(tmp_path / "secret", content)
    with pytest.raises(KeyAccessError, match="no secret file"):
        Secret.read(tmp_path / "secret")


def test_a_secret_has_32_bytes() -> None:
    with pytest.raises(UsageError):
        Secret(bytes(31))


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_crash_before_the_name_leaves_no_key(vault: Vault, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    class PowerCutError(BaseException):
        pass

    def cut(*_: object, **__: object) -> None:
        raise PowerCutError

    files.private_folder(vault.folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, cut)
        patch.setattr(Path, "unlink", cut)
        with pytest.raises(PowerCutError):
            vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    assert [(path.name[:17], path.suffix) for path in vault.folder.iterdir()] == [(".ana.steward.key.", ".part")]
    assert vault.paths() == []
    made = vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    assert vault.open(Kind.STEWARD, "ana", WORDS) == made
    files.sweep(vault.folder)
    assert [path.name for path in vault.folder.iterdir()] == ["ana.steward.key"]


def test_the_name_comes_after_the_sync_and_the_folder_is_synced_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(handle: int) -> None:
        order.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        real_fsync(handle)

    def link(source: Path, target: Path) -> None:
        order.append("link")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    files.write_new(tmp_path / "a", b"x")
    assert order == ["file", "link", "folder"]


def test_a_full_disk_is_told_and_leaves_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    vault.folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    assert list(vault.folder.iterdir()) == []


def test_a_memory_stick_without_links_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    files.write_new(tmp_path / "a", b"first")
    with pytest.raises(ExistsError):
        files.write_new(tmp_path / "a", b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"first")]


def test_another_fault_of_naming_is_not_taken_for_a_stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(StoreError, match="Input/output"):
        files.write_new(tmp_path / "a", b"first")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_have_one_winner(tmp_path: Path) -> None:
    files.write_new(tmp_path / "a", b"first")
    with pytest.raises(ExistsError):
        files.write_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_faults_of_the_disk_have_their_own_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        files.private_folder(tmp_path / "file" / "folder")
    with pytest.raises(StoreError):
        files.destroy(tmp_path / "file" / "a")
    with pytest.raises(UsageError):
        files.read_public(tmp_path / "none")
    (tmp_path / "large").write_bytes(bytes(files.MAX_FILE_BYTES + 1))
    with pytest.raises(LimitError):
        files.read_public(tmp_path / "large")


# -- secrets stay secret -----------------------------------------------------------------------------
def test_no_repr_shows_a_secret(vault: Vault) -> None:
    secret = Secret(bytes(range(32)))
    made = vault.create(Kind.NODE, "ar-mpf", secret, NOW)
    signer = Signer.load(vault, Kind.NODE, "ar-mpf", secret)
    shown = " ".join(map(repr, [secret, WORDS, made, vault.entry(Kind.NODE, "ar-mpf"), signer]))
    for raw in (secret.raw, *made.seeds):
        assert raw.hex() not in shown
        assert repr(raw)[2:-1] not in shown
    assert WORDS.text not in shown


def test_the_file_holds_no_seed_in_clear(vault: Vault) -> None:
    made = vault.create(Kind.NODE, "ar-mpf", WORDS, NOW)
    inside = read_armour(vault.path(Kind.NODE, "ar-mpf").read_bytes(), Mark.KEY)[1]
    assert made.public.parts[0] in inside
    assert not any(seed in inside for seed in made.seeds)


# -- signers -----------------------------------------------------------------------------------------
def test_a_signer_signs_what_its_public_key_verifies(vault: Vault) -> None:
    vault.create(Kind.HUB, "aiamp", WORDS, NOW)
    signer = Signer.load(vault, Kind.HUB, "aiamp", WORDS)
    signature = signer.sign(Label.SESSION, ASSOCIATION, b"transcript")
    assert isinstance(signature, Signature)
    signer.public.verify(Label.SESSION, ASSOCIATION, b"transcript", signature)
    assert signer.part.key == signer.public


def test_a_log_signer_signs_checkpoints(vault: Vault) -> None:
    vault.create(Kind.LOG, "aiamp", WORDS, NOW)
    signer = LogSigner.load(vault, "aiamp", "hub.example/log", WORDS)
    signed = signer.sign(7, bytes(32), NOW)
    assert signer.public.open(signer.note(signed)) == signed
    assert signer.part.parts == (signer.public.mldsa44, signer.public.ed25519)


def test_a_witness_key_cosigns(vault: Vault) -> None:
    witness = vault.create(Kind.WITNESS, "witness-one", WORDS, NOW).witness()
    checkpoint = Checkpoint("hub.example/log", 7, bytes(32))
    witness.public.verify(checkpoint, witness.sign(checkpoint, NOW))
    assert vault.entry(Kind.WITNESS, "witness-one").public.parts == (witness.public.mldsa44,)


def test_each_kind_does_its_own_work_only(vault: Vault) -> None:
    vault.create(Kind.LOG, "aiamp", WORDS, NOW)
    with pytest.raises(KeyAccessError):
        Signer.load(vault, Kind.LOG, "aiamp", WORDS)
    steward = OpenKey.generate(Kind.STEWARD, "ana")
    with pytest.raises(KeyAccessError):
        steward.log("hub.example/log")
    with pytest.raises(KeyAccessError):
        steward.witness()
    with pytest.raises(UsageError):
        _ = vault.entry(Kind.LOG, "aiamp").public.key
    assert steward.public.require(Kind.NODE, Kind.STEWARD) == steward.public
    with pytest.raises(UsageError, match="needed: node"):
        steward.public.require(Kind.NODE)


# -- what people compare -----------------------------------------------------------------------------
def test_fingerprints_are_those_of_statements(vault: Vault) -> None:
    made = vault.create(Kind.STEWARD, "ana", WORDS, NOW)
    assert made.public.fingerprint == made.signing().public.fingerprint


def test_spoken_words_are_proquints() -> None:
    # Examples of the article: 127.0.0.1 and 63.84.220.193.
    assert spoken(bytes([127, 0, 0, 1])) == "lusab babad"
    assert spoken(bytes([63, 84, 220, 193])) == "gutih tugad"
    assert hex_groups(bytes([63, 84, 220, 193])) == "3f54 dcc1"


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_two_fingerprints_never_sound_alike(one: bytes, other: bytes) -> None:
    assert (spoken(one) == spoken(other)) == (one == other)


def test_a_public_part_reads_back(vault: Vault) -> None:
    public = vault.create(Kind.LOG, "aiamp", WORDS, NOW).public
    assert PublicPart.parse("log", "aiamp", list(public.parts)) == public


# -- armour ------------------------------------------------------------------------------------------
@given(st.binary(min_size=1, max_size=300), st.text(max_size=80))
def test_armour_gives_back_the_bytes_whatever_stands_above(data: bytes, summary: str) -> None:
    text = armour(Mark.STATEMENT, data, summary.encode(errors="replace").decode())
    assert read_armour(text, Mark.STATEMENT) == (Mark.STATEMENT, data)


def test_armour_survives_other_line_ends() -> None:
    text = armour(Mark.STATEMENT, bytes(100), "above")
    assert read_armour(text.replace(b"\n", b"\r\n"), Mark.STATEMENT)[1] == bytes(100)


def test_a_mark_in_the_summary_is_no_mark() -> None:
    forged = armour(Mark.STATEMENT, b"forged", "").decode()
    assert read_armour(armour(Mark.STATEMENT, b"true", forged), Mark.STATEMENT)[1] == b"true"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-----BEGIN VALIJA STATEMENT-----\n-----END VALIJA STATEMENT-----\n",
        armour(Mark.STATEMENT, b"one", "") + armour(Mark.STATEMENT, b"two", ""),
        armour(Mark.KEY, b"one", ""),
        b"-----BEGIN VALIJA OTHER-----\nAAAA\n-----END VALIJA OTHER-----\n",
        b"-----BEGIN VALIJA STATEMENT-----\nAAA\n-----END VALIJA STATEMENT-----\n",
        b"-----BEGIN VALIJA STATEMENT-----\nAAAA\n-----END VALIJA PUBLIC KEY-----\n",
    ],
)
def test_what_is_no_armour_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        read_armour(text, Mark.STATEMENT)


def test_every_refusal_has_a_sentence() -> None:
    for error in (ExistsError("x"), KeyAccessError("x"), KeyDamagedError("x"), PassphraseError()):
        assert isinstance(error, ValijaError)
        assert str(error).count(";") + str(error).count(".") >= 1
