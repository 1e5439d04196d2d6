"""Looking for what must not be found: secrets in every plain disguise, in files and in bytes."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from node import config as node_config
from node import founding as node_founding
from node.config import Home
from protocol.names import AssociationId, Party


@dataclass
class Canaries:
    """Words that were written nowhere else in the world, by what they stand for; and secrets as bytes."""

    words: dict[str, str] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """A fresh word that stands for `name`."""
        return self.words.setdefault(name, f"can{secrets.token_hex(9)}ary")

    def keep(self, name: str, secret: bytes) -> None:
        """This secret must not be found either."""
        self.raw[name] = secret

    def needles(self) -> dict[str, list[bytes]]:
        """What to look for, by name."""
        found = {name: [*disguises(word.encode()), word.encode("utf-16-le")] for name, word in self.words.items()}
        return found | {name: disguises(raw) for name, raw in self.raw.items()}

    def found_in(self, data: bytes) -> set[str]:
        """The names of what stands in `data`, in whatever disguise."""
        lower = data.lower()
        return {
            name
            for name, needles in self.needles().items()
            if any(needle in data or (needle.isalnum() and needle.lower() in lower) for needle in needles)
        }


def disguises(secret: bytes) -> list[bytes]:
    """The bytes themselves, as hexadecimal digits, percent-encoded, and inside base64 at each of its three phases."""
    shown = [secret, secret.hex().encode(), quote(secret, safe="").encode()]
    for phase in range(3):
        encoded = base64.b64encode(b"\x00" * phase + secret)
        # Only whole groups of the secret's own: its ends share their characters with what stands around it.
        inner = encoded[4 * (phase > 0) : 4 * ((phase + len(secret)) // 3)]
        shown += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return shown


def files(*places: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file at or below these places, with what it holds."""
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                yield path, path.read_bytes()


def find(canaries: Canaries, places: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """(place, canary) for everything that was found."""
    return {(place, name) for place, data in places.items() for name in canaries.found_in(data)}


def keep_secrets_of_node(canaries: Canaries, home: Home, member: str, association: AssociationId) -> None:
    """The secret, the seeds of the signing key, the archive's key and the prekeys of a node must not be found."""
    custody = node_founding.open_custody(home, node_config.load(home, {}), {})
    canaries.keep(f"{member} secret file", home.secret.read_bytes().strip())
    canaries.keep(f"{member} secret", custody.secret.raw)
    canaries.keep(f"{member} archive key", custody.archive_key)
    for number, seed in enumerate(custody.signer.key.seeds()):
        canaries.keep(f"{member} seed {number}", seed)
    for held in custody.prekeys(home, Party(association, member))._held.values():
        canaries.keep(f"{member} prekey {held.epoch}", held.secret)
