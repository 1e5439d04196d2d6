"""Drafts of statements, from what officers write: a plan in TOML or options, and other people's public keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypeVar, get_type_hints

import msgspec

from keys.faults import Wording, faults, faults_of_wording, refusal
from keys.kinds import Kind, PublicPart
from keys.settings import meant
from keys.times import read_time
from protocol.codec import encode
from protocol.errors import ConfigError, LimitError, MalformedError, UsageError
from protocol.limits import DAY_SECONDS, ENVELOPE_LIFETIME_SECONDS, MIB
from protocol.names import AssociationId, Party
from protocol.trust.statements import (
    NO_ASSOCIATION,
    Certificate,
    Charter,
    CharterHub,
    Continues,
    Limits,
    Role,
    Roster,
    SignedStatement,
    Statement,
    Steward,
    Titles,
    Witnesses,
    read_body,
)

ReadPart: TypeAlias = Callable[[str], PublicPart]
CERTIFICATE_DAYS: Final = 365
S = TypeVar("S", bound=Statement)


class HubPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hub: files of its root and log public keys, the log's name, and where nodes find it."""

    root: str
    log: str
    origin: str
    url: str


class WitnessPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The witnesses: files of their public keys, how many make a quorum, how many may lie."""

    quorum: int
    faulty: int
    keys: tuple[str, ...]


class LimitsPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the hub keeps for each member, and how old a node's view may be."""

    envelope_lifetime_seconds: int = ENVELOPE_LIFETIME_SECONDS
    mailbox_bytes: int = 4096 * MIB
    mailbox_messages: int = 1_000_000
    freshness_alarm_seconds: int = DAY_SECONDS
    freshness_stop_seconds: int = 3 * DAY_SECONDS


class CharterPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole charter, as `charter draft --from FILE` reads it; public keys are named by their files."""

    name: str
    threshold: int
    stewards: tuple[str, ...]
    expires: str
    hub: HubPlan
    witnesses: WitnessPlan | None = None
    limits: LimitsPlan = LimitsPlan()


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {"hub": HubPlan, "witnesses": WitnessPlan, "limits": LimitsPlan}


def read_plan(values: Mapping[str, Any]) -> CharterPlan:
    """The plan that these tables tell; `ConfigError` names every field that is missing, unknown or wrong."""
    mistakes = _mistakes(values, CharterPlan, "")
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return msgspec.convert(values, CharterPlan)


def _mistakes(values: Mapping[str, Any], plan: type[msgspec.Struct], inside: str) -> list[str]:
    hints = get_type_hints(plan)
    required = [each.name for each in msgspec.structs.fields(plan) if each.required]
    missing = [f"{inside}{name} is missing" for name in required if name not in values]
    unknown = [f"{inside}{name} is no setting{meant(name, hints)}" for name in values if name not in hints]
    known = [(name, value) for name, value in values.items() if name in hints]
    return [*missing, *unknown, *(each for name, value in known for each in _wrong(inside + name, value, hints[name]))]


def _wrong(where: str, value: Any, hint: Any) -> list[str]:
    if where in _TABLES and isinstance(value, dict):
        return _mistakes(value, _TABLES[where], f"{where}.")
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        return [f"{where}: {error}".replace("`", "")]
    return []


# -- charters ----------------------------------------------------------------------------------------
def first_charter(plan: CharterPlan, read: ReadPart, now: int) -> Charter:
    """The founding charter of `plan`, created `now`; `read` gives the public key in a file.

    Raises `UsageError` that names every fault, of what no charter can say and of files that `read` does not give.
    """
    mistakes = [*_faults_of_files(plan, read, now), *faults_of_wording(_wording(plan))]
    if mistakes:
        raise UsageError("; ".join(mistakes))
    return _sound(
        Charter(
            association=NO_ASSOCIATION,
            name=plan.name,
            version=1,
            previous=None,
            threshold=plan.threshold,
            stewards=_stewards([read(each) for each in plan.stewards]),
            hub=_hub(plan.hub, read),
            witnesses=_witnesses(plan.witnesses, read),
            continues=None,
            limits=Limits(*msgspec.structs.astuple(plan.limits)),
            created_at=now,
            expires_at=read_time(plan.expires, now),
        )
    )


def _faults_of_files(plan: CharterPlan, read: ReadPart, now: int) -> Iterator[str]:
    witnesses = plan.witnesses.keys if plan.witnesses else ()
    named = [(name, Kind.STEWARD) for name in plan.stewards] + [(name, Kind.WITNESS) for name in witnesses]
    for name, kind in (*named, (plan.hub.root, Kind.HUB_ROOT), (plan.hub.log, Kind.LOG)):
        if (why := refusal(lambda: read(name).require(kind))) is not None:  # noqa: B023 - called at once
            yield why
    if (why := refusal(read_time, plan.expires, now)) is not None:
        yield f"expires: {why}"


def _wording(plan: CharterPlan) -> Wording:
    witnesses = (
        (plan.witnesses.quorum, plan.witnesses.faulty, len(plan.witnesses.keys)) if plan.witnesses else (0, 0, 0)
    )
    limits = Limits(*msgspec.structs.astuple(plan.limits))
    return Wording(plan.name, plan.threshold, len(plan.stewards), plan.hub.origin, plan.hub.url, witnesses, limits)


def next_charter(previous: SignedStatement, plan: CharterPlan | None, read: ReadPart, now: int) -> Charter:
    """The charter after `previous`: what `plan` says, or without one the same again; `UsageError` if it is none."""
    before = charter_of(previous)
    body = first_charter(plan, read, now) if plan else replace(before, created_at=now)
    return replace(
        body,
        association=previous.association,
        version=before.version + 1,
        previous=previous.id,
        continues=None,
    )


def change_charter(charter: Charter, changes: Mapping[str, Any], read: ReadPart, now: int) -> Charter:
    """The charter with these changes, each under the name of its option; `UsageError` for what no charter can say.

    `add_steward` and `remove_steward` list files and names; `threshold`, `origin`, `url`, `name` and `expires`
    replace; `hub_root` and `log` name files; `continues` is `(size, root)` of a replaced hub's log.
    """
    kept = [steward for steward in charter.stewards if steward.name not in changes.get("remove_steward", ())]
    if len(charter.stewards) - len(kept) != len(changes.get("remove_steward", ())):
        raise UsageError("there is no such steward to remove")
    added = _stewards([read(each) for each in changes.get("add_steward", ())])
    continues = changes.get("continues")
    changed = replace(
        charter,
        stewards=tuple(sorted((*kept, *added), key=lambda steward: steward.name)),
        hub=_change_hub(charter.hub, changes, read),
        threshold=changes.get("threshold", charter.threshold),
        continues=Continues(*continues) if continues else charter.continues,
        expires_at=read_time(changes["expires"], now) if "expires" in changes else charter.expires_at,
    )
    return _sound(changed)


def _change_hub(hub: CharterHub, changes: Mapping[str, Any], read: ReadPart) -> CharterHub:
    if "hub_root" in changes:
        hub = replace(hub, root=read(changes["hub_root"]).require(Kind.HUB_ROOT).key)
    if "log" in changes:
        log_key, log_ed25519 = read(changes["log"]).require(Kind.LOG).parts
        hub = replace(hub, log_key=log_key, log_ed25519=log_ed25519)
    return replace(hub, url=changes.get("url", hub.url), origin=changes.get("origin", hub.origin))


def _stewards(parts: Sequence[PublicPart]) -> tuple[Steward, ...]:
    stewards = [Steward(part.require(Kind.STEWARD).name, part.key) for part in parts]
    return tuple(sorted(stewards, key=lambda steward: steward.name))


def _hub(plan: HubPlan, read: ReadPart) -> CharterHub:
    root = read(plan.root).require(Kind.HUB_ROOT)
    log_key, log_ed25519 = read(plan.log).require(Kind.LOG).parts
    return CharterHub(root.key, plan.origin, log_key, log_ed25519, plan.url)


def _witnesses(plan: WitnessPlan | None, read: ReadPart) -> Witnesses:
    if plan is None:
        return Witnesses()
    parts = [read(each).require(Kind.WITNESS) for each in plan.keys]
    return Witnesses(plan.quorum, plan.faulty, tuple(sorted((part.name, part.parts[0]) for part in parts)))


def charter_of(signed: SignedStatement) -> Charter:
    """The charter that this statement is; `UsageError` if it is another."""
    if not isinstance(signed.statement, Charter):
        raise UsageError(f"a charter is needed, not {signed.statement.type.name.lower()}")
    return signed.statement


# -- other statements --------------------------------------------------------------------------------
def certificate(association: AssociationId, member: str, part: PublicPart, begins: int, days: int) -> Certificate:
    """The certificate of a node's key, or of the hub's with `member` empty, from `begins` on for `days` days."""
    role = Role.NODE if member else Role.HUB
    key = part.require(Kind.NODE if member else Kind.HUB).key
    return _sound(Certificate(association, role, member, key, begins, begins + days * DAY_SECONDS))


def roster(
    association: AssociationId, network: str, titles: Titles, version: int, members: Sequence[str], now: int
) -> Roster:
    """The roster of these members of the association, in any order; none of them dissolves the network."""
    parties = tuple(sorted(Party(association, member) for member in members))
    return _sound(Roster(association, network, titles, version, parties, now))


def read_titles(written: Sequence[str]) -> Titles:
    """Titles from `language=title`; `UsageError` for another form."""
    pairs = [each.partition("=") for each in written]
    if not all(language and equals and title for language, equals, title in pairs):
        raise UsageError("a title is written es=Ministerio Público Fiscal")
    return tuple((language, title) for language, _equals, title in pairs)


def draft(statement: Statement) -> SignedStatement:
    """The paper of this statement, with no signature yet; `UsageError` for what no statement can say."""
    return SignedStatement.from_bytes(encode([_sound(statement).body(), []]))


def _sound(statement: S) -> S:
    if mistakes := faults(statement):
        raise UsageError("; ".join(mistakes))
    try:
        read_body(statement.body())
    except (MalformedError, LimitError) as error:
        raise UsageError(error.detail) from None
    return statement
