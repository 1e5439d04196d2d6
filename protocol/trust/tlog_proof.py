"""Offline proof that a leaf stands in a witnessed log (c2sp.org/tlog-proof).

c2sp.org/tlog-proof@v1
[extra <base64>]
index <number>
<base64 hash> ...
(empty line, then the signed checkpoint verbatim)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.errors import LimitError, MalformedError
from protocol.limits import KIB, MAX_NOTE_BYTES
from protocol.merkle import HASH_BYTES, verify_inclusion
from protocol.trust.checkpoint import LogKey, SignedCheckpoint
from protocol.trust.notes import Note, decode_base64, encode_base64

MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 16 * KIB
MAX_PATH: Final = 63

_HEAD: Final = re.compile(
    rb"c2sp\.org/tlog-proof@v1\n"
    rb"(?:extra ([A-Za-z0-9+/=]*)\n)?"
    rb"index (0|[1-9][0-9]{0,18})\n"
    rb"((?:[A-Za-z0-9+/=]+\n)*)\n"
)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A leaf's `index`, its inclusion `path` (32-byte hashes, sibling first), the checkpoint's `note`, and `extra`.

    `extra` is covered by no signature.
    """

    index: int
    path: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def encode(self) -> bytes:
        """The file's bytes."""
        extra = "" if self.extra is None else f"extra {encode_base64(self.extra)}\n"
        hashes = "".join(f"{encode_base64(each)}\n" for each in self.path)
        return f"c2sp.org/tlog-proof@v1\n{extra}index {self.index}\n{hashes}\n".encode() + self.note.encode()

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """The proof in `data`, nothing of it verified; `LimitError` for its size, else `MalformedError`."""
        if len(data) > MAX_PROOF_BYTES:
            raise LimitError(f"a proof of {len(data)} bytes, at most {MAX_PROOF_BYTES}")
        head = _HEAD.match(data)
        if head is None:
            raise MalformedError("tlog-proof")
        extra, index, lines = head.groups()
        path = tuple(decode_base64(line.decode("ascii")) for line in lines.splitlines())
        if any(len(each) != HASH_BYTES for each in path):
            raise MalformedError("tlog-proof hash size")
        if len(path) > MAX_PATH:
            raise LimitError(f"a path of {len(path)}, at most {MAX_PATH}")
        note = Note.parse(data[head.end() :])
        return cls(int(index), path, note, None if extra is None else decode_base64(extra.decode("ascii")))

    def verify(self, leaf: bytes, log: LogKey) -> SignedCheckpoint:
        """The log's checkpoint, if it is signed by `log` and includes the leaf hash `leaf` at this index.

        Cosignatures are judged by the caller (`Cosigner.find` on `note`).  Raises what `LogKey.open`
        raises, and `ProofError`.
        """
        signed = log.open(self.note)
        verify_inclusion(leaf, self.index, signed.checkpoint.size, self.path, signed.checkpoint.root)
        return signed
