"""What no statement can say, told to the officer who wrote it: every fault at once, each with what to write instead.

`read_body` refuses the same, one fault at a time and in a programmer's words; it stays the judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.bodies import (
    MAX_REASON_BYTES,
    MAX_TITLE_BYTES,
    MAX_TITLES,
    Admission,
    Certificate,
    Expulsion,
    Revocation,
    Role,
    Roster,
    Suspension,
    Titles,
    read_country,
    read_titles,
)
from protocol.codec import Value, text, uint
from protocol.errors import ValijaError
from protocol.limits import ENVELOPE_LIFETIME_SECONDS, MAX_AUDIENCE, MIB
from protocol.names import read_name
from protocol.trust.charter import (
    MAX_ORIGIN_BYTES,
    MAX_STEWARDS,
    MAX_WITNESSES,
    MIN_LIFETIME_SECONDS,
    MIN_WITNESSES,
    Charter,
    Limits,
    Witnesses,
    hub_url,
)
from protocol.trust.notes import key_name
from protocol.trust.statements import Statement

NAME_RULE: Final = "2 to 32 of a-z, 0-9 and single hyphens inside"


@dataclass(frozen=True, slots=True)
class Wording:
    """What a charter says besides its keys: in a plan before its files are read, or in a charter that is drafted."""

    name: str
    threshold: int
    stewards: int
    origin: str
    url: str
    witnesses: tuple[int, int, int]
    limits: Limits

    @classmethod
    def of(cls, charter: Charter) -> Wording:
        """The wording of this charter."""
        witnesses = charter.witnesses
        return cls(
            charter.name,
            charter.threshold,
            len(charter.stewards),
            charter.hub.origin,
            charter.hub.url,
            (witnesses.quorum, witnesses.faulty, len(witnesses.keys)),
            charter.limits,
        )


def faults_of_wording(said: Wording) -> Iterator[str]:
    """Each fault in what a charter says besides its keys."""
    if refusal(read_name, said.name):
        yield f"name: {said.name!r} is no name; write {NAME_RULE}"
    if not 1 <= said.stewards <= MAX_STEWARDS:
        yield f"stewards: there are {said.stewards}; name 1 to {MAX_STEWARDS}"
    elif not 1 <= said.threshold <= said.stewards:
        yield f"threshold: {said.threshold} of {said.stewards} stewards cannot sign; write 1 to {said.stewards}"
    if refusal(lambda: key_name(text(said.origin, MAX_ORIGIN_BYTES))):
        yield (
            f"origin: {said.origin!r} is no name of a log; "
            f"write 1 to {MAX_ORIGIN_BYTES} bytes without spaces and +, as hub.example.org/aiamp"
        )
    if refusal(hub_url, said.url):
        yield f"url: {said.url!r} is no address; write it in ASCII without spaces, as https://hub.example.org"
    yield from _faults_of_witnesses(*said.witnesses)
    yield from _faults_of_limits(said.limits)


def _faults_of_witnesses(quorum: int, faulty: int, count: int) -> Iterator[str]:
    if (quorum, faulty, count) == (0, 0, 0):
        return
    if not MIN_WITNESSES <= count <= MAX_WITNESSES:
        yield f"witnesses: there are {count}; name {MIN_WITNESSES} to {MAX_WITNESSES}, or none at all"
    elif faulty < 0 or not Witnesses(quorum, faulty, ((("", b""),) * count)).is_sound():
        yield (
            f"witnesses: with a quorum of {quorum} of {count} and {faulty} faulty ones two views could contradict "
            "each other, or none come about; 2 of 3 with 0 faulty ones or 5 of 7 with 2 hold"
        )


def _faults_of_limits(limits: Limits) -> Iterator[str]:
    lifetime = limits.envelope_lifetime_seconds
    alarm, stop = limits.freshness_alarm_seconds, limits.freshness_stop_seconds
    if not MIN_LIFETIME_SECONDS <= lifetime <= ENVELOPE_LIFETIME_SECONDS:
        span = f"{MIN_LIFETIME_SECONDS} to {ENVELOPE_LIFETIME_SECONDS}"
        yield f"envelope_lifetime_seconds: {lifetime}; write {span}, an hour to 14 days"
    if refusal(uint, limits.mailbox_bytes, 63):
        yield f"mailbox_bytes: {limits.mailbox_bytes}; write a number of bytes, as {4096 * MIB}"
    if refusal(uint, limits.mailbox_messages, 63):
        yield f"mailbox_messages: {limits.mailbox_messages}; write a number of messages, as 1000000"
    if refusal(uint, alarm, 63) or refusal(uint, stop, 63) or alarm > stop:
        yield (
            f"freshness: an alarm after {alarm} seconds and a stop after {stop}; write seconds, the alarm no later "
            "than the stop"
        )


def faults_of_keys(charter: Charter) -> Iterator[str]:
    """Each fault among names and keys of a charter, and in how long it holds."""
    stewards = [(steward.name, half) for steward in charter.stewards for half in steward.key.value()]
    yield from _repeated("stewards", [steward.name for steward in charter.stewards], stewards)
    witnesses = charter.witnesses.keys
    yield from _repeated("witnesses", [name for name, _key in witnesses], witnesses)
    if charter.expires_at <= charter.created_at:
        yield "expires: this is past; write a later day, as 2028-11-22, or 730d from now"


def _repeated(what: str, names: Sequence[str], keys: Iterable[tuple[str, Value]]) -> Iterator[str]:
    yield from (f"{what}: {name} is named twice" for name, count in Counter(names).items() if count > 1)
    owners: dict[Value, set[str]] = {}
    for name, key in keys:
        owners.setdefault(key, set()).add(name)
    shared = {" and ".join(sorted(each)) for each in owners.values() if len(each) > 1}
    yield from (f"{what}: {each} have one key; each needs one of their own" for each in sorted(shared))


# -- other statements ----------------------------------------------------------------------------------
def faults(statement: Statement) -> list[str]:
    """Everything in a drafted statement that none can say, in plain words."""
    match statement:
        case Charter():
            return [*faults_of_wording(Wording.of(statement)), *faults_of_keys(statement)]
        case Admission():
            country = [] if refusal(read_country, statement.country) is None else [statement.country]
            wrong = [f"country: {each!r} is no country; write two capital letters, as AR" for each in country]
            return [*_faults_of_names("member", statement.member), *_faults_of_titles(statement.titles), *wrong]
        case Roster():
            members = [party.member for party in statement.members]
            many = [f"members: there are {len(members)}; at most {MAX_AUDIENCE}"] if len(members) > MAX_AUDIENCE else []
            names = [*_faults_of_names("network", statement.network), *_faults_of_names("members", *members)]
            return [*names, *_repeated("members", members, []), *many, *_faults_of_titles(statement.titles)]
        case Suspension() | Expulsion():
            return [*_faults_of_names("member", statement.member), *_faults_of_reason(statement.reason)]
        case Revocation():
            return list(_faults_of_reason(statement.reason))
        case Certificate(role=Role.NODE):
            return list(_faults_of_names("member", statement.member))
    return []


def _faults_of_names(what: str, *names: str) -> Iterator[str]:
    yield from (f"{what}: {each!r} is no name; write {NAME_RULE}" for each in names if refusal(read_name, each))


def _faults_of_reason(reason: str) -> Iterator[str]:
    if len(reason.encode()) > MAX_REASON_BYTES:
        yield f"reason: {len(reason.encode())} bytes; at most {MAX_REASON_BYTES}"


def _faults_of_titles(titles: Titles) -> Iterator[str]:
    if len(titles) > MAX_TITLES:
        yield f"titles: there are {len(titles)}; at most {MAX_TITLES}"
    for language, title in titles:
        if refusal(read_titles, [[language, ""]]):
            yield f"title: {language!r} is no language; write its tag, as es or pt-BR"
        if len(title.encode()) > MAX_TITLE_BYTES:
            yield f"title: {language} has {len(title.encode())} bytes; at most {MAX_TITLE_BYTES}"


def refusal(read: Callable[..., Any], *said: Any) -> str | None:
    """Why `read` does not take what is said; None if it does."""
    try:
        read(*said)
    except ValijaError as error:
        return error.detail or str(error)
    return None
