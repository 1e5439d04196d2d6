"""The target of what people and nodes pass on in files and requests: armoured papers, offers of leaves, backups."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator

from keys.armour import Mark, armour
from keys.backup import silent
from keys.manifest import NAME, Listed, Manifest
from keys.papers import paper, public_paper, statement_paper
from keys.untar import Untar
from protocol.errors import BackupError
from protocol.trust.offer import Offer
from protocol.trust.statements import SignedStatement
from tests.fuzz.mutate import Shape
from tests.fuzz.reading import chosen, one_of, roundtrip, vectors
from tests.fuzz.target import Target, refused_or, require
from tests.protocol.vectors_primitives import load


def armoured(data: bytes) -> None:
    read = refused_or(lambda: paper(data))
    if read is not None:
        again = statement_paper(read, "x") if isinstance(read, SignedStatement) else public_paper(read)
        require(paper(again) == read, "a paper that is written otherwise than it was read")


class _Kept:
    """Where a file of a backup goes here."""

    def __init__(self, size: int) -> None:
        self.left = size

    def write(self, data: bytes, /) -> None:
        self.left -= len(data)
        require(self.left >= 0, "more of a file than is listed")

    def close(self) -> None:
        require(self.left == 0, "less of a file than is listed")


def backup(data: bytes) -> None:
    """What stands inside the encryption, in two pieces."""
    told: list[Manifest] = []
    taken: list[str] = []

    def sink(listed: Listed) -> _Kept:
        taken.append(listed.name)
        return _Kept(listed.size)

    def read() -> Manifest:
        archive = Untar(told.append, sink, silent)
        for piece in (data[: len(data) // 3], data[len(data) // 3 :]):
            archive.write(piece)
        return archive.finish()

    manifest = refused_or(read, BackupError)
    listed = [each.name for each in told[0].files] if told else []
    require(taken == listed[: len(taken)], "files that the manifest does not list")
    require(manifest is None or taken == listed, "a backup that is whole without its files")


def _backup_of(*names: str) -> bytes:
    content = b"x" * 700
    digest = "f5ad8bb7a8ba5fd3ba8f6be6ab58a1ba6a0d8b2d6e2c1a8bd9a5f1d2d0a2f0d5"
    files = tuple(Listed(name, len(content), digest) for name in names)
    manifest = Manifest("valija-backup", 1, "node", "ar-mpf", "2026-11-23T09:00:00Z", "0.1.0", 1, files).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in ((NAME, manifest), *((each, content) for each in names)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()[: 512 * (4 + 3 * len(names))]


def seeds() -> Iterator[bytes]:
    valid = load("offer")["valid"]
    yield from chosen(0, (bytes.fromhex(each["offer"]) for each in valid[:4]))
    yield from chosen(1, (armour(Mark.STATEMENT, each, "x") for each in vectors("statements", "signed")[:6]))
    yield from chosen(1, (armour(Mark.PUBLIC_KEY, b"\x94\x00", "x"), b"-----BEGIN VALIJA STATEMENT-----\n"))
    yield from chosen(2, (_backup_of("archive.db"), _backup_of("node.toml", "keys/root.key"), _backup_of()))
    yield b"\x02" + json.dumps({"format": "valija-backup", "version": 2}).encode()


WORDS = (
    *(b"\x00" * 512, b"\n", b"\r\n", b"=", b"-----BEGIN VALIJA PUBLIC KEY-----", b"-----END VALIJA STATEMENT-----"),
    *(b"ustar\x0000", b"0000644", b"\x80" + b"\xff" * 11, b'"size":-1', b'"../x"', b"99999999999", b"[" * 2_000),
)
TARGETS = (
    Target(
        "passed_on", one_of(roundtrip(Offer.parse, Offer.encode), armoured, backup), seeds, Shape.RAW, 1, WORDS, 16_384
    ),
)
