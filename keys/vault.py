"""The keystore: a folder with one file for each private key, `<name>.<kind>.key`.

A file is an armoured box (`keys.locks`) over the key's seeds.  Its header, kind, name, time and public key,
is readable without the passphrase and proven with it.  Files are written whole or not at all, never
overwritten, and refused while others on the machine may read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.armour import Mark, armour, read_armour
from keys.files import private_folder, read_private, write_new
from keys.kinds import Kind, OpenKey, PublicPart, hex_groups
from keys.locks import MODERATE, Box, Cost, Passphrase, Secret, Unlock, naming
from protocol.codec import Value, array, binary, decode, encode, fields, uint
from protocol.errors import ExistsError, KeyAccessError, KeyDamagedError, LimitError, MalformedError, UsageError
from protocol.names import check_name

__all__ = ["MODERATE", "Cost", "Kind", "OpenKey", "Passphrase", "PublicPart", "Secret", "Unlock", "Vault", "VaultEntry"]

SUFFIX: Final = ".key"
_FORMAT: Final = 0
_MAX_HEADER_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """One key file as anyone may see it: nothing here is proven before the box opens."""

    path: Path
    public: PublicPart
    created_at: int
    box: Box = field(repr=False)

    @property
    def opens_with(self) -> str:
        """`passphrase` or `secret file`."""
        return "passphrase" if self.box.lock.startswith("$argon2id$") else "secret file"

    def open(self, unlock: Unlock) -> OpenKey:
        """The key itself.

        Raises `PassphraseError` for the wrong passphrase or secret, `KeyDamagedError` if the file was altered.
        """
        with naming(self.path):
            opened = OpenKey.of(self.public.kind, self.public.name, _read_seeds(self.box.open(unlock)))
            if opened.public != self.public:
                raise KeyDamagedError("the public key is not that of the seeds")
            return opened


class Vault:
    """The keys in one folder; `cost` is what a passphrase of a new key costs to try."""

    __slots__ = ("_cost", "folder")

    def __init__(self, folder: Path, cost: Cost = MODERATE) -> None:
        """Nothing is read or made yet."""
        self.folder = folder
        self._cost = cost

    def create(self, kind: Kind, name: str, unlock: Unlock, now: int) -> OpenKey:
        """A fresh key, durably in a new file of mode 0600; `now` is Unix seconds.

        Raises `ExistsError` if there is such a key, `UsageError` for a name that is none, `StoreError`.
        """
        path = self.path(kind, name)
        if path.exists():
            raise ExistsError(str(path))
        key = OpenKey.generate(kind, name)
        box = Box.seal(_header(key.public, now), encode(list(key.seeds)), unlock, self._cost)
        private_folder(self.folder)
        write_new(path, armour(Mark.KEY, box.encode(), _summary(key.public)))
        return key

    def path(self, kind: Kind, name: str) -> Path:
        """Where the file of this key is or would be; `UsageError` for a name that is none."""
        try:
            return self.folder / f"{check_name(name)}.{kind}{SUFFIX}"
        except MalformedError:
            raise UsageError("a name has 2 to 32 lower-case letters, digits and single hyphens") from None

    def paths(self) -> list[Path]:
        """The key files here, by name and kind; none if there is no folder."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def entry(self, kind: Kind, name: str) -> VaultEntry:
        """One key as anyone may see it; `KeyAccessError` if there is none."""
        entry = read_entry(self.path(kind, name))
        if (entry.public.kind, entry.public.name) != (kind, name):
            raise KeyDamagedError(f"{entry.path} holds the {entry.public.kind} key of {entry.public.name}")
        return entry

    def find(self, name: str) -> VaultEntry:
        """The one key called `name` or `name.kind`; `KeyAccessError` if there is none, `UsageError` if several."""
        found = [path for path in self.paths() if name in {path.stem, path.stem.partition(".")[0]}]
        if not found:
            raise KeyAccessError(f"no key {name} in {self.folder}")
        if len(found) > 1:
            raise UsageError(f"several keys are called {name}; say one of: {', '.join(path.stem for path in found)}")
        return read_entry(found[0])

    def open(self, kind: Kind, name: str, unlock: Unlock) -> OpenKey:
        """The key itself; raises what `entry` and `VaultEntry.open` do."""
        return self.entry(kind, name).open(unlock)


def read_entry(path: Path) -> VaultEntry:
    """The key file at `path`; `KeyAccessError` if it is missing or open to others, `KeyDamagedError` if it is none."""
    data = read_private(path)
    try:
        armoured = read_armour(data, Mark.KEY)[1]
        with naming(path):
            box = Box.decode(armoured)
        public, created_at = _read_header(box.header)
    except (MalformedError, LimitError) as error:
        raise KeyDamagedError(f"{path}: {error.detail}") from None
    return VaultEntry(path, public, created_at, box)


def _header(public: PublicPart, created_at: int) -> bytes:
    return encode([_FORMAT, public.kind.value, public.name, created_at, list(public.parts)])


def _read_header(header: bytes) -> tuple[PublicPart, int]:
    version, kind, name, created_at, parts = fields(decode(header, _MAX_HEADER_BYTES), 5)
    if uint(version) != _FORMAT:
        raise MalformedError("a newer format; update this program")
    return PublicPart.parse(kind, name, parts), uint(created_at)


def _read_seeds(secret: bytes) -> list[bytes]:
    # Whoever could write this knew the key: a fault here is ours, but no reason to show a traceback.
    try:
        value: Value = decode(secret, _MAX_HEADER_BYTES)
        return [binary(seed) for seed in array(value, 2)]
    except (MalformedError, LimitError):
        raise KeyDamagedError("seeds") from None


def _summary(public: PublicPart) -> str:
    return f"Valija private key: {public.kind} {public.name}\nFingerprint: {hex_groups(public.fingerprint)}\n"
