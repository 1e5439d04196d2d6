"""What became of everything that was acknowledged, judged by journals and by receipts alone.

    lost          acknowledged, and neither handed over by that recipient nor closed by its signature;
                  or handed over once and gone from the archive afterwards
    duplicated    handed over, or told of, twice by one archive
    disorder      handed over before an earlier one of the same sender, and not marked `late`
    unverifiable  no receipt, or one that does not verify by the keys of the registry
    strange       what nobody asked for; an id that is not that of its key; taken back, and read all the same

The journals are those of `tests.faults.journal`; proofs are read by `tests.faults.evidence`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.journal import Acked, Asked, Handed, Line, TakenBack, Told, only, read

LATE: Final = "late"
_SHOWN: Final = 20


@dataclass(frozen=True)
class Proof:
    """What a sender holds for one message and recipient: how it ended, and why its receipt does not verify, if so."""

    end: str
    fault: str = ""


DELIVERED: Final = "delivered"
EVERYBODY: Final = ""
CLOSED: Final = frozenset({"withdrawn", "expired", "refused"})


@dataclass(frozen=True)
class Account:
    """One member's side of the story: its two journals, and what its archive proves at the end.

    `proofs` by (message id, recipient) as the member that sent holds them, the empty recipient being everybody;
    `kept` the ids in its inbox at the end.
    """

    member: str
    sender: list[Line] = field(repr=False)
    recipient: list[Line] = field(repr=False)
    proofs: Mapping[tuple[str, str], Proof] = field(default_factory=dict, repr=False)
    kept: tuple[str, ...] = field(default=(), repr=False)


def account(folder: Path, member: str, proofs: Mapping[tuple[str, str], Proof], kept: Iterable[str]) -> Account:
    """The account of a member whose journals are in this folder."""
    return Account(member, read(sender_path(folder, member)), read(recipient_path(folder, member)), proofs, tuple(kept))


def sender_path(folder: Path, member: str) -> Path:
    """The journal of a member's author."""
    return folder / f"{member}.sent.jsonl"


def recipient_path(folder: Path, member: str) -> Path:
    """The journal of a member's reader."""
    return folder / f"{member}.received.jsonl"


@dataclass
class Verdict:
    """What was found; sound if nothing was."""

    acknowledged: int = 0
    deliveries: int = 0
    closed: int = 0
    late: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    unverifiable: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not any(found for _name, found in self.faults())

    def faults(self) -> list[tuple[str, list[str]]]:
        """Each kind of fault with what was found."""
        names = ("lost", "duplicated", "disorder", "unverifiable", "strange")
        return [(name, getattr(self, name)) for name in names]

    def __str__(self) -> str:
        counted = (self.acknowledged, self.deliveries, self.closed, self.late)
        lines = [
            "acknowledged {}, deliveries receipted {}, closed by the recipient {}, marked late {}".format(*counted),
            ", ".join(f"{name} {len(found)}" for name, found in self.faults()),
        ]
        for name, found in self.faults():
            lines += [f"  {name}: {each}" for each in found[:_SHOWN]]
        return "\n".join(lines)


IdOf = Callable[[str, str], str]
"""The message id by SPEC 4.1, of a member and an idempotency key."""


def check(accounts: Iterable[Account], id_of: IdOf) -> Verdict:
    """What became of everything that these members' nodes acknowledged."""
    known, verdict = {each.member: each for each in accounts}, Verdict()
    wanted: dict[str, set[tuple[str, str]]] = defaultdict(set)
    taken_back = frozenset(line.id for each in known.values() for line in only(each.sender, TakenBack))
    for each in known.values():
        _check_sender(each, known, id_of, verdict)
        for asked in only(each.sender, Asked):
            for member in asked.to:
                wanted[member].add((each.member, id_of(each.member, asked.key)))
    for each in known.values():
        _check_recipient(each, wanted[each.member], taken_back, verdict)
        _check_order(each, known, id_of, verdict)
    return verdict


# -- what was sent -------------------------------------------------------------------------------------
def _check_sender(one: Account, known: Mapping[str, Account], id_of: IdOf, verdict: Verdict) -> None:
    asked = {each.key: each for each in only(one.sender, Asked)}
    acked = {each.key: each for each in only(one.sender, Acked)}
    verdict.acknowledged += len(acked)
    taken_back = {each.id for each in only(one.sender, TakenBack)}
    handed = {member: {each.id for each in only(other.recipient, Handed)} for member, other in known.items()}
    for each in acked.values():
        if each.key not in asked or each.id != id_of(one.member, each.key):
            verdict.strange.append(f"{one.member}: {each.id} is not the message of key {each.key}")
            continue
        for member in asked[each.key].to:
            name = f"{one.member} -> {member} {each.id}"
            proof = one.proofs.get((each.id, member)) or one.proofs.get((each.id, EVERYBODY))
            there = _There(each.id in handed[member], each.id in known[member].kept)
            _check_end(name, proof, there, each.id in taken_back, verdict)


@dataclass(frozen=True)
class _There:
    """Whether a recipient was handed a message, ever, and whether its archive holds it at the end."""

    is_handed: bool
    is_kept: bool


def _check_end(name: str, proof: Proof | None, there: _There, is_taken_back: bool, verdict: Verdict) -> None:
    if proof is None:
        (verdict.unverifiable if there.is_handed else verdict.lost).append(f"{name}: no receipt at the end")
        return
    if proof.fault:
        verdict.unverifiable.append(f"{name}: {proof.end}, {proof.fault}")
    if proof.end == DELIVERED:
        verdict.deliveries += 1
        if not there.is_handed:
            verdict.lost.append(f"{name}: receipted, never handed over")
    elif proof.end in CLOSED:
        verdict.closed += 1
        # An archive that died may have handed it over, and nobody alive knows; the one that signed must not have it.
        if there.is_kept:
            verdict.strange.append(f"{name}: {proof.end}, and handed over all the same")
        if not is_taken_back:
            verdict.lost.append(f"{name}: {proof.end}, which nobody asked for")
    else:
        verdict.lost.append(f"{name}: still {proof.end}")


# -- what was received ---------------------------------------------------------------------------------
def _check_recipient(one: Account, wanted: set[tuple[str, str]], taken_back: frozenset[str], verdict: Verdict) -> None:
    handed, told = only(one.recipient, Handed), only(one.recipient, Told)
    verdict.late += sum(each.mark == LATE for each in handed)
    for what, lines in (("handed over", handed), ("told of", told)):
        for (age, message), count in Counter((each.age, each.id) for each in lines).items():
            if count > 1:
                verdict.duplicated.append(f"{one.member}: {message} {what} {count} times in age {age}")
    for each in handed:
        if (each.sender, each.id) not in wanted:
            verdict.strange.append(f"{one.member}: {each.id} of {each.sender}, which nobody sent here")
    # What was taken back is closed in an archive that came from a backup, and does not come again.
    for message in sorted({each.id for each in handed} - set(one.kept) - taken_back):
        verdict.lost.append(f"{one.member}: {message} was handed over, and is gone")
    for message in sorted({each.id for each in told} - {each.id for each in handed}):
        verdict.lost.append(f"{one.member}: {message} was told of, never handed over")
    for message, count in Counter(one.kept).items():
        if count > 1:
            verdict.duplicated.append(f"{one.member}: {message} is {count} times in the inbox")


def _check_order(one: Account, known: Mapping[str, Account], id_of: IdOf, verdict: Verdict) -> None:
    # A sender's archive restored from a backup takes what is submitted again after what it still knew.
    ranks = {
        (sender, age): {id_of(sender, key): rank for rank, key in enumerate(keys)}
        for sender, other in known.items()
        for age, keys in _keys_by_age(other).items()
    }
    last: dict[tuple[int, str, int], tuple[int, str]] = {}
    for each in only(one.recipient, Handed):
        if each.mark == LATE:
            continue
        for (sender, sender_age), rank in ranks.items():
            if sender != each.sender or each.id not in rank:
                continue
            before, place = last.get((each.age, sender, sender_age)), rank[each.id]
            if before is not None and before[0] > place:
                verdict.disorder.append(f"{one.member}: {each.id} of {sender} came after {before[1]}")
            else:
                last[each.age, sender, sender_age] = place, each.id


def _keys_by_age(one: Account) -> dict[int, list[str]]:
    # A key counts where it was first acknowledged: asked again in a later age, it is the same message.  One that was
    # taken back, forgotten and then asked again has no place: whatever came after it went before.
    found: dict[int, list[str]] = {}
    acked, taken_back = only(one.sender, Acked), {each.id for each in only(one.sender, TakenBack)}
    newest = {each.key: each.age for each in acked}
    seen: set[str] = set()
    for each in acked:
        if each.id in taken_back and newest[each.key] > each.age:
            seen.add(each.key)
        if each.key not in seen:
            seen.add(each.key)
            found.setdefault(each.age, []).append(each.key)
    return found
