"""A backup is whole or nothing, opens for those it is for and nobody else, and what is put back is what was kept."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
import pyrage
import pytest
from pyrage import x25519

from keys import age, backup, last_backup, manifest
from keys.age import protected_identity, read_identities, read_recipients
from keys.backup import Source, Subject, made_at, restore, verify, write
from keys.cli_backup import Readers, identities_of, one_at_a_time, progress_bar
from keys.locks import Passphrase
from keys.manifest import Listed, Manifest
from keys.program import program_version
from keys.untar import Untar
from protocol.errors import (
    BackupError,
    ExistsError,
    KeyAccessError,
    NewerHomeError,
    PassphraseError,
    StoreError,
    UsageError,
)
from protocol.limits import DAY_SECONDS, MIB

NOW = 1_795_000_000
SUBJECT = Subject("node", "ar-mpf", 3, "0.1.0", NOW)
OWNER = x25519.Identity.generate()
STRANGER = x25519.Identity.generate()
FILES = {"node.toml": b"[member]\n", "keys/ar-mpf.node.key": b"", "archive.db": os.urandom(3 * MIB + 7)}


def accept(_manifest: Manifest) -> None:
    return


def leave(_folder: Path, _manifest: Manifest) -> None:
    return


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    home = tmp_path / "home"
    for name, content in FILES.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [Source(name, home / name) for name in FILES]


@pytest.fixture
def out(tmp_path: Path, sources: list[Source]) -> Path:
    path = tmp_path / "out.age"
    write(path, SUBJECT, sources, [OWNER.to_public()])
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


# -- there and back --------------------------------------------------------------------------------------
def test_what_is_put_back_is_what_was_kept_and_closed_to_others(out: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    seen: list[dict[str, bytes]] = []
    made = restore(
        out, tmp_path / "new", [STRANGER, OWNER], accept, lambda folder, _m: seen.append(content_of(folder)),
        lambda *bytes_done: told.append(bytes_done),
    )  # fmt: skip
    assert content_of(tmp_path / "new") == FILES == seen[0]
    assert {each.stat().st_mode & 0o077 for each in [tmp_path / "new", *(tmp_path / "new").rglob("*")]} == {0}
    total = sum(map(len, FILES.values()))
    assert told[-1] == (total, total)
    assert (made.kind, made.name, made.schema, made.program, made_at(made)) == ("node", "ar-mpf", 3, "0.1.0", NOW)
    assert out.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "new", "out.age"]


def test_stock_tools_open_it(out: Path) -> None:
    data = pyrage.decrypt(out.read_bytes(), [OWNER])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["manifest.json", *FILES]
        archive = tar.extractfile("archive.db")
        assert archive is not None
        assert archive.read() == FILES["archive.db"]
        assert {each.mode for each in tar} == {0o600}


def test_it_is_for_its_recipients_alone_and_says_nothing_of_what_it_holds(out: Path) -> None:
    with pytest.raises(KeyAccessError, match="none of these identities"):
        verify(out, [STRANGER], accept)
    assert b"node.toml" not in out.read_bytes()


def test_a_backup_without_readers_is_none(tmp_path: Path, sources: list[Source]) -> None:
    with pytest.raises(UsageError, match="--recipient"):
        write(tmp_path / "out.age", SUBJECT, sources, [])


@pytest.mark.parametrize("name", ["tls/live/node.pem", "año.pem", ".hidden"])
def test_a_file_that_no_backup_can_hold_is_named_with_what_to_do(
    tmp_path: Path, sources: list[Source], name: str
) -> None:
    away = tmp_path / "away.age"
    with pytest.raises(UsageError, match="move this one"):
        write(away, SUBJECT, [*sources, Source(name, sources[0].path)], [OWNER.to_public()])
    assert not away.exists()


def test_nothing_is_overwritten(out: Path, tmp_path: Path, sources: list[Source]) -> None:
    before = out.read_bytes()
    with pytest.raises(ExistsError):
        write(out, SUBJECT, sources, [OWNER.to_public()])
    assert out.read_bytes() == before
    with pytest.raises(ExistsError, match="a new folder"):
        restore(out, tmp_path / "home", [OWNER], accept, leave)


def test_memory_stays_flat(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(24 * MIB)
    tracemalloc.start()
    write(tmp_path / "out.age", SUBJECT, [Source("archive.db", big)], [OWNER.to_public()])
    verify(tmp_path / "out.age", [OWNER], accept)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MIB


# -- what stops half way ---------------------------------------------------------------------------------
def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, sources: list[Source]) -> None:
    def change(done: int, _total: int) -> None:
        if done >= sum(map(len, FILES.values())):
            sources[0].path.write_bytes(b"[changed]")

    with pytest.raises(StoreError, match="changed while it was read"):
        write(tmp_path / "out.age", SUBJECT, sources, [OWNER.to_public()], change)
    assert [each.name for each in tmp_path.iterdir()] == ["home"]


def test_a_file_that_goes_is_told(tmp_path: Path, sources: list[Source]) -> None:
    with pytest.raises(StoreError, match="No such file"):
        write(tmp_path / "a.age", SUBJECT, [Source("x", tmp_path / "x")], [OWNER.to_public()])

    def remove(done: int, _total: int) -> None:
        if done >= sum(map(len, FILES.values())):
            sources[0].path.unlink(missing_ok=True)

    with pytest.raises(StoreError, match="No such file"):
        write(tmp_path / "b.age", SUBJECT, sources, [OWNER.to_public()], remove)


def test_who_refuses_at_the_end_leaves_nothing(out: Path, tmp_path: Path) -> None:
    def refuse(_folder: Path, _manifest: Manifest) -> None:
        raise KeyAccessError

    with pytest.raises(KeyAccessError):
        restore(out, tmp_path / "new", [OWNER], accept, refuse)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "out.age"]


def test_who_refuses_the_manifest_writes_nothing(out: Path, tmp_path: Path) -> None:
    def refuse(_manifest: Manifest) -> None:
        raise NewerHomeError

    with pytest.raises(NewerHomeError):
        verify(out, [OWNER], refuse)
    with pytest.raises(NewerHomeError):
        restore(out, tmp_path / "n", [OWNER], refuse, leave)
    assert not (tmp_path / "n").exists()


def test_what_an_interrupted_one_left_is_swept(out: Path, tmp_path: Path) -> None:
    left = tmp_path / ".new.0123.part"
    left.mkdir()
    (left / "secret").write_bytes(b"x")
    restore(out, tmp_path / "new", [OWNER], accept, leave)
    assert not left.exists()


def test_a_disk_without_room_is_told_before_anything_is_written(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=MIB))
    with pytest.raises(StoreError, match="do not fit"):
        restore(out, tmp_path / "new", [OWNER], accept, leave)


def test_a_folder_that_is_not_there(out: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        restore(out, tmp_path / "nowhere" / "new", [OWNER], accept, leave)
    with pytest.raises(UsageError, match="No such file"):
        verify(tmp_path / "none.age", [OWNER], accept)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_told(out: Path, number: int) -> None:
    class Full:
        def write(self, _data: bytes) -> int:
            raise OSError(number, os.strerror(number))

        def flush(self) -> None:
            return

    with out.open("rb") as file, pytest.raises(StoreError, match=os.strerror(number)):
        age.decrypt(file, Full(), [OWNER])


# -- what was altered ------------------------------------------------------------------------------------
@cache
def small() -> bytes:
    """A backup of one file, and who can open it is `OWNER`."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "small").write_bytes(b"x" * 70_000)
        write(path / "out.age", SUBJECT, [Source("archive.db", path / "small")], [OWNER.to_public()])
        return (path / "out.age").read_bytes()


@pytest.mark.parametrize("part", range(40))
@pytest.mark.parametrize("is_cut", [True, False])
def test_whatever_is_cut_or_changed_is_noticed(tmp_path: Path, part: int, is_cut: bool) -> None:
    whole = small()
    at = (len(whole) - 1) * part // 39
    path = tmp_path / "out.age"
    path.write_bytes(whole[:at] if is_cut else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises((BackupError, KeyAccessError)):
        verify(path, [OWNER], accept)


def hostile(
    path: Path, entries: list[tarfile.TarInfo], contents: list[bytes], listed: list[Listed] | None = None
) -> Path:
    """A backup made by somebody with the recipient's public key, who knows how they look."""
    told = listed or [
        Listed(entry.name, len(content), hashlib.sha256(content).hexdigest())
        for entry, content in zip(entries, contents, strict=True)
    ]
    head = Manifest(manifest.FORMAT, manifest.VERSION, "node", "ar-mpf", "2026-11-22T06:00:00Z", "0", 1, tuple(told))
    first = tarfile.TarInfo("manifest.json")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry, content in zip([first, *entries], [head.encode(), *contents], strict=True):
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(pyrage.encrypt(file.getvalue(), [OWNER.to_public()]))
    return path


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../b", "a/b/c", ".ssh", "a//b", "", "..", "a\x00b", "keys/.x", "x" * 200, "ñ", "a\n"],
)  # fmt: skip
def test_no_name_leads_out_of_the_home(tmp_path: Path, name: str) -> None:
    listed = [Listed(name, 1, hashlib.sha256(b"x").hexdigest())]
    path = hostile(tmp_path / "h.age", [tarfile.TarInfo("a")], [b"x"], listed)
    (tmp_path / "new").mkdir()
    with pytest.raises(BackupError, match="a file that no home has"):
        restore(path, tmp_path / "new" / "home", [OWNER], accept, leave)
    assert not any((tmp_path / "new").iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("secret")
    entry.type, entry.linkname = kind, "/etc/passwd"
    path = hostile(tmp_path / "h.age", [entry], [b""])
    with pytest.raises(BackupError, match="plain files alone"):
        restore(path, tmp_path / "new", [OWNER], accept, leave)


def entries(*names: str) -> list[tarfile.TarInfo]:
    return [tarfile.TarInfo(name) for name in names]


def listing(**sizes: int) -> list[Listed]:
    return [Listed(name, size, hashlib.sha256(b"x" * size).hexdigest()) for name, size in sizes.items()]


@pytest.mark.parametrize(
    ("names", "contents", "listed", "said"),
    [
        (("a",), [b"y"], listing(a=1), "a is not what the manifest says"),
        (("a",), [b"xx"], listing(a=1), "another file follows"),
        (("b",), [b"x"], listing(a=1), "another file follows"),
        (("a", "b"), [b"x", b"x"], listing(a=1), "more files than the manifest lists"),
        (("a",), [b"x"], listing(a=1, b=1), "cut off|another file|no tar archive"),
        (("a", "a"), [b"x", b"x"], [*listing(a=1), *listing(a=1)], "no manifest of a backup"),
        (("a",), [b"x"], [Listed("a", -1, "")], "of no possible size"),
        (("a",), [b"x"], [Listed("a", 1 << 50, "")], "of no possible size"),
        (("a",), [b"x"], listing(**{f"a{n}": 1 for n in range(200)}), "no manifest of a backup"),
    ],
)
def test_it_is_exactly_what_its_manifest_says(
    tmp_path: Path, names: tuple[str, ...], contents: list[bytes], listed: list[Listed], said: str
) -> None:
    path = hostile(tmp_path / "h.age", entries(*names), contents, listed)
    with pytest.raises(BackupError, match=said):
        verify(path, [OWNER], accept)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "no manifest"),
        (b"[" * 100_000, "no manifest"),
        (b"[]", "no manifest"),
        (b'{"format": "valija-backup", "version": 2}', "a backup of version 2; use the program that made it"),
        (b'{"format": "other", "version": 1}', "no manifest"),
        (b"\xff\xfe", "no manifest"),
        (b'{"format": "\xff"}', "no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BackupError, match=said):
        Manifest.parse(data)


def test_a_manifest_of_another_format_is_none(out: Path) -> None:
    made = verify(out, [OWNER], accept)
    assert Manifest.parse(made.encode()) == made
    with pytest.raises(BackupError):
        Manifest.parse(msgspec.structs.replace(made, format="other").encode())
    with pytest.raises(BackupError, match="of no time"):
        made_at(msgspec.structs.replace(made, created_at="yesterday"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut off"),
        (b"x" * 512, "no tar archive"),
        (tarfile.TarInfo("other").tobuf(tarfile.GNU_FORMAT), "does not begin with a manifest"),
        (b"PK\x03\x04" * 200, "no tar archive"),
    ],
)
def test_other_things_in_the_age_format_are_no_backup(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.age"
    path.write_bytes(pyrage.encrypt(data, [OWNER.to_public()]))
    with pytest.raises(BackupError, match=said):
        verify(path, [OWNER], accept)


@pytest.mark.parametrize("sizes", [[1] * 3_000, [511, 1, 513], [100_000]])
def test_it_is_read_in_pieces_of_any_size(out: Path, sizes: list[int]) -> None:
    tar = pyrage.decrypt(out.read_bytes(), [OWNER])
    untar = Untar(accept, lambda _listed: io.BytesIO(), backup.silent)
    at = 0
    for size in [*sizes, len(tar)]:
        untar.write(tar[at : at + size])
        at += size
    untar.flush()
    assert {each.name for each in untar.finish().files} == set(FILES)


def test_a_source_that_fails_is_a_store_error() -> None:
    class Failing:
        def read(self, _size: int = -1) -> bytes:
            raise ValueError

    with pytest.raises(StoreError):
        age.encrypt(Failing(), io.BytesIO(), [OWNER.to_public()])


def test_the_tar_is_read_by_any_measure(sources: list[Source], out: Path) -> None:
    made = verify(out, [OWNER], accept)
    paths = {each.name: each.path for each in sources}
    tars = [backup._Tar(made, paths, NOW, backup._Count(backup.silent, 0)) for _ in range(2)]
    by_pieces = b"".join(iter(lambda: tars[0].read(1_000), b""))
    assert by_pieces == b"".join(iter(tars[1].read, b"")) == pyrage.decrypt(out.read_bytes(), [OWNER])


# -- keys of age -----------------------------------------------------------------------------------------
def private(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(0o600)
    return path


def test_recipients_are_public_keys() -> None:
    assert len(read_recipients([f" {OWNER.to_public()}\n"])) == 1
    with pytest.raises(UsageError, match="'age1other' is no public key of age"):
        read_recipients(["age1other"])


def test_an_identity_taken_for_a_recipient_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="age-keygen -y") as refused:
        read_recipients([str(OWNER)])
    assert str(OWNER)[:20] not in str(refused.value)


def test_an_identity_file_is_that_of_age_keygen(tmp_path: Path) -> None:
    path = private(tmp_path / "id", f"# created: today\n# public key: {OWNER.to_public()}\n{OWNER}\n{STRANGER}\n")
    assert [str(each) for each in read_identities(path, None)] == [str(OWNER), str(STRANGER)]
    path.chmod(0o644)
    with pytest.raises(KeyAccessError, match="chmod 600"):
        read_identities(path, None)


@pytest.mark.parametrize(
    ("data", "said"), [("nothing", "no identity"), ("AGE-SECRET-KEY-1ABC", "damaged"), (b"\xff", "no identity")]
)
def test_what_is_no_identity_is_refused(tmp_path: Path, data: bytes | str, said: str) -> None:
    with pytest.raises(KeyAccessError, match=said):
        read_identities(private(tmp_path / "id", data), None)


def test_a_passphrase_protects_an_identity(tmp_path: Path) -> None:
    recipient, data = protected_identity(Passphrase("cuatro palabras que recuerdo"))
    path = tmp_path / "id"
    path.write_bytes(data)
    (identity,) = read_identities(path, Passphrase("cuatro palabras que recuerdo"))
    assert str(identity.to_public()) == str(recipient)
    for wrong in (None, Passphrase("otras palabras que no son")):
        with pytest.raises(PassphraseError):
            read_identities(path, wrong)
    with pytest.raises(UsageError, match="at least 12 characters"):
        protected_identity(Passphrase("corta"))


# -- what the commands share -----------------------------------------------------------------------------
@pytest.fixture
def at_the_command_line() -> Iterator[click.Context]:
    with click.Context(click.Command("backup")) as ctx:
        yield ctx


@pytest.mark.usefixtures("at_the_command_line")
class TestReaders:
    def test_named_by_options_and_by_file(self, tmp_path: Path, sources: list[Source]) -> None:
        listed = private(tmp_path / "team", f"# the team\n\n{STRANGER.to_public()}\n")
        readers = Readers((str(OWNER.to_public()),), listed, None)
        made, key_file = readers.make(tmp_path / "out.age", SUBJECT, sources)
        assert key_file is None
        for each in (OWNER, STRANGER):
            assert verify(tmp_path / "out.age", [each], accept) == made

    def test_by_passphrase(self, tmp_path: Path, sources: list[Source]) -> None:
        words = private(tmp_path / "words", "cuatro palabras que recuerdo\n")
        out = tmp_path / "out.age"
        made, key_file = Readers((), None, words).make(out, SUBJECT, sources)
        assert key_file == tmp_path / "out.age.key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        assert verify(out, identities_of(out, None, words), accept) == made
        assert verify(out, identities_of(out, key_file, words), accept) == made

    def test_a_backup_that_fails_leaves_no_key(self, tmp_path: Path) -> None:
        words = private(tmp_path / "words", "cuatro palabras que recuerdo\n")
        with pytest.raises(StoreError):
            Readers((), None, words).make(tmp_path / "out.age", SUBJECT, [Source("x", tmp_path / "x")])
        assert [each.name for each in tmp_path.iterdir()] == ["words"]

    def test_an_identity_must_be_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--identity"):
            identities_of(tmp_path / "out.age", None, None)

    def test_a_bar_is_shown_on_a_terminal_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with progress_bar("backing up") as progress:
            assert progress is backup.silent
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar("backing up") as progress:
            progress(50, 100)
        assert "backing up" in terminal.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_backup_at_a_time(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path), pytest.raises(UsageError, match="another backup"), one_at_a_time(tmp_path):
        pass
    with one_at_a_time(tmp_path):
        pass


def test_a_home_knows_of_its_newest_backup(tmp_path: Path) -> None:
    assert last_backup.overdue(tmp_path, NOW) == ("none was made yet", True)
    last_backup.record(tmp_path, NOW, tmp_path / "out.age")
    known = last_backup.last(tmp_path)
    assert known is not None
    assert (known.at, known.file) == (NOW, str(tmp_path / "out.age"))
    said, is_overdue = last_backup.overdue(tmp_path, NOW + 6 * DAY_SECONDS)
    assert not is_overdue
    assert "6 days ago" in said
    assert last_backup.overdue(tmp_path, NOW + 7 * DAY_SECONDS)[1]
    (tmp_path / last_backup.LAST).write_bytes(b'{"at": 1, "file": "\xff"}')
    assert last_backup.last(tmp_path) is None
    (tmp_path / last_backup.LAST).write_bytes(b"{")
    assert last_backup.last(tmp_path) is None


def test_a_program_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> Any:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError

    assert program_version()
    monkeypatch.setattr("keys.program.version", missing)
    assert program_version() == "unknown"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
@pytest.mark.parametrize("owner", [(0, 0), (10_001, 10_002)])
def test_what_root_notes_of_a_backup_is_the_home_s_owner_s_to_read(tmp_path: Path, owner: tuple[int, int]) -> None:
    os.chown(tmp_path, *owner)
    last_backup.record(tmp_path, 1_700_000_000, tmp_path / "hub.age")
    noted = (tmp_path / last_backup.LAST).stat()
    assert (noted.st_uid, noted.st_gid, noted.st_mode & 0o777) == (*owner, 0o600)
    assert last_backup.last(tmp_path) == last_backup.Last(1_700_000_000, str(tmp_path / "hub.age"))
