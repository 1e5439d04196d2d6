"""The private halves of a node's prekeys: one small encrypted file for each day, destroyed when its day is done.

    ensure      keys for today and the days ahead, durable before anything is published
    calendar    the public halves, signed
    secret      what opens a slot, found by its prekey hash
    destroy     the end of a key, which is what makes old messages unreadable to a later thief
    set_aside   the names of files that do not open any more, as a disk leaves them that turned a bit round

A key dies when its epoch is over by a day and the mailbox was drained past it, at the latest after the
longest life of an envelope; and only while the local clock and the registry's time agree (SPEC section 7).
The folder belongs to one running node, is left out of backups, and holds nothing but these files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.files import destroy, private_folder, read_private, sweep, write_new
from keys.locks import Box, Secret, naming
from protocol.codec import binary, decode, encode, fields, optional, uint
from protocol.errors import (
    ClockSkewError,
    KeyAccessError,
    KeyDamagedError,
    LimitError,
    MalformedError,
    OpenError,
    PassphraseError,
    UsageError,
)
from protocol.limits import (
    CALENDAR_EPOCHS,
    CLOCK_REFUSE_SECONDS,
    DAY_SECONDS,
    ENVELOPE_LIFETIME_SECONDS,
    EPOCH_GRACE_SECONDS,
    EPOCH_SECONDS,
)
from protocol.names import Incarnation, Party
from protocol.sealing import Prekey, generate_prekey
from protocol.signing import PrivateKey
from protocol.trust.prekeys import PrekeyCalendar, SignedCalendar, epoch_at, prekey_hash, sign_calendar

SUFFIX: Final = ".prekey"
DAMAGED: Final = ".damaged"
DAYS_AHEAD: Final = 14
_FORMAT: Final = 0
_MAX_HEADER_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Runway:
    """What `doctor` tells: how many keys are held, of which epochs, and for how many days after today they last."""

    held: int
    oldest: int | None
    newest: int | None
    days_ahead: int
    overdue: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    epoch: int
    incarnation: Incarnation | None
    secret: bytes = field(repr=False)
    prekey: Prekey

    @property
    def file_name(self) -> str:
        born = "" if self.incarnation is None else "-{}-{}".format(*self.incarnation.value())
        return f"{self.epoch}{born}{SUFFIX}"

    @property
    def ended_at(self) -> int:
        return (self.epoch + 1) * EPOCH_SECONDS

    @property
    def order(self) -> tuple[int, tuple[int, int]]:
        return self.epoch, self.incarnation.value() if self.incarnation else (0, 0)

    def is_over(self, now: int, drained_until: int) -> bool:
        drained = drained_until >= self.ended_at + EPOCH_GRACE_SECONDS
        return now >= self.ended_at + (DAY_SECONDS if drained else ENVELOPE_LIFETIME_SECONDS)


class PrekeyStore:
    """The prekeys of one node, all of them in memory too: some thirty at most."""

    __slots__ = ("_folder", "_held", "_party", "_secret", "set_aside")

    def __init__(self, folder: Path, secret: Secret, party: Party) -> None:
        """Everything in `folder` (made where missing) is read; leftovers of a crash are swept away.

        A damaged file among others that open is set aside: its day gets another key, and what was sealed to the lost
        one is sealed again by its senders.  Raises `KeyAccessError` for a file open to others, `PassphraseError` for
        another secret, `KeyDamagedError` where none opens, or for one of another member.
        """
        self._folder, self._secret, self._party = folder, secret, party
        private_folder(folder)
        sweep(folder)
        held, damaged = self._read_all(sorted(folder.glob(f"*{SUFFIX}")))
        for path in damaged:
            path.replace(path.with_name(path.name + DAMAGED))
        self.set_aside = tuple(path.name for path in damaged)
        self._held = {self._hash(each): each for each in sorted(held, key=lambda each: each.order)}

    def ensure(self, now: int, days: int = DAYS_AHEAD, incarnation: Incarnation | None = None) -> tuple[int, ...]:
        """Afterwards today and `days` days after it have a key, durably; gives the epochs that were missing.

        `now` is Unix seconds.  `incarnation`, of a node that was restored, is named in the new files, so
        that a lost key found again later stands beside its successor.  Raises `StoreError`.
        """
        today = epoch_at(now)
        known = {each.epoch for each in self._held.values()}
        missing = [epoch for epoch in range(today, today + days + 1) if epoch not in known]
        for epoch in missing:
            self._make(epoch, now, incarnation)
        return tuple(missing)

    def calendar(self, key: PrivateKey, certificate: bytes, now: int, issued_at: int | None = None) -> SignedCalendar:
        """The calendar to publish: yesterday if held (its grace may still run), today, and the days that follow.

        `key` is the node's, `certificate` the statement id of its certificate; it is issued `now` (Unix seconds) if
        nothing else is said.  Raises `KeyAccessError` if
        today has no key: call `ensure` first.
        """
        by_epoch = {each.epoch: each.prekey.public for each in self._held.values()}
        today = epoch_at(now)
        if today not in by_epoch:
            raise KeyAccessError("no prekey for today; make the missing ones first")
        first = today - 1 if today - 1 in by_epoch else today
        epochs = [(epoch, by_epoch[epoch]) for epoch in _run(first, by_epoch)]
        return sign_calendar(key, PrekeyCalendar.build(*self._party.value(), certificate, issued_at or now, epochs))

    def prekey(self, wanted: bytes) -> Prekey:
        """What opens the slots of this prekey hash, ready for use; `OpenError` if it is not, or no longer, held."""
        return self._find(wanted).prekey

    def secret(self, wanted: bytes) -> bytes:
        """The same as 96 bytes: ML-KEM-768 seed (64) and X25519 key (32)."""
        return self._find(wanted).secret

    def destroyable(self, now: int, registry_time: int, drained_until: int) -> tuple[int, ...]:
        """The epochs whose keys `destroy` would destroy; the same arguments, the same `ClockSkewError`."""
        return tuple(each.epoch for each in self._doomed(now, registry_time, drained_until))

    def destroy(self, now: int, registry_time: int, drained_until: int) -> tuple[int, ...]:
        """Afterwards the keys whose time is over are gone from memory and folder; gives their epochs.

        `now` is the local clock, `registry_time` the cosigned time (without witnesses the hub's clock), and
        `drained_until` the hub's time up to which all that it accepted for this node is archived here, all in
        Unix seconds.  Raises `ClockSkewError`, and destroys nothing, if the first two differ by over an hour.
        """
        doomed = self._doomed(now, registry_time, drained_until)
        for each in doomed:
            destroy(self._folder / each.file_name)
            del self._held[self._hash(each)]
        self._destroy_damaged(min(now, registry_time))
        return tuple(each.epoch for each in doomed)

    def _destroy_damaged(self, earlier: int) -> None:
        # Whoever finds the bit that turned round has the key.
        for path in damaged_files(self._folder):
            if earlier >= (_day_of(path) + 1) * EPOCH_SECONDS + ENVELOPE_LIFETIME_SECONDS:
                destroy(path)

    def runway(self, now: int) -> Runway:
        """How things stand at `now` (Unix seconds)."""
        epochs = [each.epoch for each in self._held.values()]
        ahead = len(_run(epoch_at(now), epochs)) - 1
        overdue = tuple(each.epoch for each in self._held.values() if each.is_over(now, 0))
        return Runway(len(epochs), min(epochs, default=None), max(epochs, default=None), max(ahead, 0), overdue)

    def _find(self, wanted: bytes) -> _Held:
        held = self._held.get(wanted)
        if held is None:
            raise OpenError
        return held

    def _doomed(self, now: int, registry_time: int, drained_until: int) -> list[_Held]:
        if abs(now - registry_time) > CLOCK_REFUSE_SECONDS:
            raise ClockSkewError(f"the local clock differs by {now - registry_time} s from the registry's time")
        earlier = min(now, registry_time)
        return [each for each in self._held.values() if each.is_over(earlier, drained_until)]

    def _make(self, epoch: int, now: int, incarnation: Incarnation | None) -> None:
        secret, public = generate_prekey()
        held = _Held(epoch, incarnation, secret, Prekey(secret))
        born = None if incarnation is None else incarnation.value()
        header = encode([_FORMAT, self._party.value(), epoch, born, now, public])
        write_new(self._folder / held.file_name, Box.seal(header, secret, self._secret).encode())
        self._held[self._hash(held)] = held

    def _read_all(self, paths: Iterable[Path]) -> tuple[list[_Held], list[Path]]:
        """The keys of these files, and the files that are damaged."""
        held: list[_Held] = []
        damaged: dict[Path, KeyAccessError] = {}
        for path in paths:
            try:
                header, secret = self._opened(path)
            except (KeyDamagedError, PassphraseError) as error:
                damaged[path] = error
            else:
                held.append(self._known(path, header, secret))
        if damaged and not held:
            raise next(iter(damaged.values()))
        return held, list(damaged)

    def _opened(self, path: Path) -> tuple[bytes, bytes]:
        with naming(path):
            _day_of(path)
            box = Box.decode(read_private(path))
            return box.header, box.open(self._secret)

    def _known(self, path: Path, header: bytes, secret: bytes) -> _Held:
        try:
            version, party, epoch, born, _made_at, public = fields(decode(header, _MAX_HEADER_BYTES), 6)
            held = _Held(uint(epoch), optional(born, Incarnation.parse), secret, Prekey(secret))
            known = uint(version) == _FORMAT and Party.parse(party) == self._party
            known = known and binary(public) == held.prekey.public
        except (MalformedError, LimitError, UsageError):
            raise KeyDamagedError(str(path)) from None
        if not known or held.file_name != path.name:
            raise KeyDamagedError(f"{path} is a prekey of another node or day")
        return held

    def _hash(self, held: _Held) -> bytes:
        return prekey_hash(*self._party.value(), held.epoch, held.prekey.public)


def damaged_files(folder: Path) -> list[Path]:
    """The files that were set aside there, oldest day first, until the day on which their keys would be destroyed."""
    return sorted(folder.glob(f"*{SUFFIX}{DAMAGED}"))


def check_files(folder: Path) -> None:
    """Raise the `KeyAccessError` of a file for which `PrekeyStore` does not open: open to others, or none of ours.

    What is damaged keeps nothing from opening.  Nothing is changed.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        _day_of(path)
        read_private(path)


def _day_of(path: Path) -> int:
    day = path.name.partition(".")[0].partition("-")[0]
    if not day.isdecimal():
        raise KeyAccessError(f"{path} is no file of ours; move it elsewhere")
    return int(day)


def _run(first: int, held: Collection[int]) -> range:
    """The consecutive epochs held from `first` on, as many as a calendar may list."""
    held = set(held)
    count = next((ahead for ahead in range(CALENDAR_EPOCHS) if first + ahead not in held), CALENDAR_EPOCHS)
    return range(first, first + count)
