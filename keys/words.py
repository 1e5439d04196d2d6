"""Any statement in plain words: what it says, what follows from it, and what to look at twice.

`facts` gives the same for programs.  Both are made from the bytes alone; text that others wrote is shown
as text, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, assert_never

from keys.ceremony import Papers, Tally, by_former_root
from keys.kinds import Kind, PublicPart, hex_groups, spoken
from keys.times import show_time
from protocol.names import show_id
from protocol.signing import PublicKey
from protocol.trust.statements import (
    Admission,
    Cause,
    Certificate,
    Charter,
    Expulsion,
    Lift,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
    Suspension,
    Titles,
)

Facts: TypeAlias = dict[str, Any]
_RECENT_SECONDS: Final = 3_600
_CAUSES: Final = {
    Cause.FIRST: "it starts for the first time",
    Cause.RESTORED: "it was restored from a backup",
    Cause.ROLLED_BACK: "it found that it had been rolled back",
    Cause.HUB_CHANGED: "it met a restored or replaced hub",
}


def plain(text: str) -> str:
    """The text with every character that does not print, or that turns the line round, written as its number."""
    return "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in text)


def fingerprint(key: PublicKey) -> str:
    """The fingerprint of a key in groups of four digits."""
    return hex_groups(key.fingerprint)


# -- what it says ------------------------------------------------------------------------------------
def headline(signed: SignedStatement) -> str:
    """One or two sentences that an officer can agree or disagree with."""
    statement = signed.statement
    match statement:
        case Charter(version=1):
            return (
                f"This founds the association {statement.name}: who governs it, where its hub is, how long it holds. "
                "Whoever joins compares its fingerprint."
            )
        case Charter():
            return (
                f"This replaces charter {statement.version - 1} of {statement.name}: "
                "from then on the stewards, hub and limits below hold, and no others."
            )
        case Admission():
            return f"This admits {statement.member}: from then on the root key below speaks for it, and no other."
        case Certificate(role=Role.HUB):
            return "This lets the key below run the association's hub."
        case Certificate():
            return f"This lets the key below sign for {statement.member}, as its node."
        case Roster(members=()):
            return f"This dissolves the network #{statement.network}: nobody can write to it any more."
        case Roster():
            return (
                f"This says who belongs to the network #{statement.network}: "
                "a message to it goes to the members below, and to no others."
            )
        case Revocation():
            return "This ends the trust in one certificate. It cannot be taken back."
        case Suspension():
            return (
                f"This suspends {statement.member}: nothing it signs later is believed, until the suspension is lifted."
            )
        case Lift():
            return "This ends one suspension."
        case Expulsion():
            return f"This expels {statement.member}: it can come back only by a new admission."
        case Opening():
            return f"This begins a new memory of {_whom(statement.role, statement.member)}, because {_CAUSES[statement.cause]}."
        case _:
            assert_never(statement)


def facts(signed: SignedStatement) -> Facts:
    """What the statement says, field by field, in text and numbers."""
    statement = signed.statement
    association = hex_groups(signed.association)
    found: Facts = {"statement": show_id("stm", signed.id), "type": statement.type.name.lower()}
    match statement:
        case Charter():
            return found | {"association": association} | _charter_facts(statement)
        case Admission():
            further: Facts = {
                "member": statement.member,
                "titles": _titles(statement.titles),
                "country": statement.country,
                "root_key": fingerprint(statement.root),
                "admitted_at": show_time(statement.admitted_at),
            }
        case Certificate():
            further = {
                "for": _whom(statement.role, statement.member),
                "key": fingerprint(statement.key),
                "valid_from": show_time(statement.not_before),
                "valid_until": show_time(statement.not_after),
            }
        case Roster():
            further = {
                "network": f"#{statement.network}",
                "titles": _titles(statement.titles),
                "version": statement.version,
                "members": [party.member for party in statement.members],
                "signed_at": show_time(statement.signed_at),
            }
        case Revocation():
            further = {"certificate": show_id("stm", statement.certificate)} | _ending(statement)
        case Suspension():
            further = {"member": statement.member} | _ending(statement)
        case Expulsion():
            further = (
                {"member": statement.member} | _ending(statement) | {"signed_at": show_time(statement.expelled_at)}
            )
        case Lift():
            further = {"suspension": show_id("stm", statement.suspension), "lifted_at": show_time(statement.lifted_at)}
        case Opening():
            further = {
                "of": _whom(statement.role, statement.member),
                "certificate": show_id("stm", statement.certificate),
                "because": _CAUSES[statement.cause],
                "opened_at": show_time(statement.opened_at),
            }
        case _:
            assert_never(statement)
    return found | {"association": association} | further


def part_facts(public: PublicPart) -> Facts:
    """What a public key is, with both forms of its fingerprint."""
    return {
        "kind": public.kind.value,
        "name": public.name,
        "fingerprint": hex_groups(public.fingerprint),
        "to_read_out": spoken(public.fingerprint),
    }


def _charter_facts(charter: Charter) -> Facts:
    log = PublicPart(Kind.LOG, charter.name, (charter.hub.log_key, charter.hub.log_ed25519))
    return {
        "name": charter.name,
        "version": charter.version,
        "charter_before": show_id("stm", charter.previous) if charter.previous else None,
        "signatures_needed": f"{charter.threshold} of {len(charter.stewards)}",
        "stewards": {steward.name: fingerprint(steward.key) for steward in charter.stewards},
        "hub": {
            "address": plain(charter.hub.url),
            "root_key": fingerprint(charter.hub.root),
            "log": plain(charter.hub.origin),
            "log_key": hex_groups(log.fingerprint),
        },
        "witnesses": _witness_facts(charter),
        "continues_the_log": f"from {charter.continues.size} entries" if charter.continues else None,
        "limits": {
            "envelopes_live_hours": charter.limits.envelope_lifetime_seconds // 3600,
            "mailbox_mib": charter.limits.mailbox_bytes >> 20,
            "mailbox_messages": charter.limits.mailbox_messages,
            "alarm_without_news_hours": charter.limits.freshness_alarm_seconds // 3600,
            "no_sending_without_news_hours": charter.limits.freshness_stop_seconds // 3600,
        },
        "created_at": show_time(charter.created_at),
        "expires_at": show_time(charter.expires_at),
    }


def _witness_facts(charter: Charter) -> Facts:
    witnesses = charter.witnesses
    keys = {name: hex_groups(PublicPart(Kind.WITNESS, name, (key,)).fingerprint) for name, key in witnesses.keys}
    return {"needed": f"{witnesses.quorum} of {len(keys)}", **keys} if keys else {}


def _ending(statement: Revocation | Suspension | Expulsion) -> Facts:
    return {"not_trusted_after": show_time(statement.not_trusted_after), "reason": plain(statement.reason)}


def _titles(titles: Titles) -> Facts:
    return {language: plain(title) for language, title in titles}


def _whom(role: Role, member: str) -> str:
    return f"the node of {member}" if role is Role.NODE else "the hub"


# -- what to look at twice ---------------------------------------------------------------------------
def warnings(signed: SignedStatement, now: int, papers: Papers | None = None) -> list[str]:
    """What an officer should know before signing, at `now` (Unix seconds), with these papers at hand."""
    papers = papers or Papers()
    statement = signed.statement
    match statement:
        case Charter():
            return _charter_warnings(statement, now)
        case Admission():
            return _root_warnings(statement, papers.parts)
        case Certificate():
            return _certificate_warnings(signed, statement, now, papers)
        case Revocation() | Suspension() | Expulsion() if statement.not_trusted_after > now:
            return ["It takes effect in the future only; until then what is signed is still believed."]
        case Revocation() | Suspension() | Expulsion() if statement.not_trusted_after < now - _RECENT_SECONDS:
            return ["It reaches back: what was signed after that moment is no longer believed."]
    return []


def _charter_warnings(charter: Charter, now: int) -> list[str]:
    count, threshold = len(charter.stewards), charter.threshold
    said = []
    if charter.expires_at <= now:
        said.append("This charter has already expired.")
    if threshold == 1:
        said.append("One single steward can change everything.")
    elif 2 * threshold - count <= 1:
        said.append(
            f"With {threshold} of {count}, one dishonest steward is enough for two contradicting charters; "
            "3 of 4 or 5 of 7 would prevent that."
        )
    if threshold == count:
        said.append("If one steward loses a key, nothing can be changed any more.")
    if not charter.witnesses.keys:
        said.append("No witnesses: the hub's word alone says how new the registry is.")
    return said


def _certificate_warnings(signed: SignedStatement, certificate: Certificate, now: int, papers: Papers) -> list[str]:
    said = ["This certificate has already expired."] if certificate.not_after < now else []
    if by_former_root(signed, certificate, papers):
        said.append(
            "The root that signed it was replaced by a newer paper: it is trusted no longer, and not logged anew."
        )
    return said


def _root_warnings(admission: Admission, parts: Iterable[PublicPart]) -> list[str]:
    named = {part.name for part in parts if part.fingerprint == admission.root.fingerprint} - {admission.member}
    return [
        f"The paper of this root key says {name}; with it {name} would speak for {admission.member}."
        for name in sorted(named)
    ]


# -- who has signed ----------------------------------------------------------------------------------
def tally_facts(counted: Tally, names: Mapping[bytes, str]) -> Facts:
    """Whether the statement is complete, and for each group who signed and how many are missing."""
    return {
        "complete": counted.missing == 0,
        "missing": counted.missing,
        "groups": [
            {
                "who": group.title,
                "needed": group.needed,
                "signed": sorted(group.names[each] for each in group.signed),
                "not_signed": sorted(name for each, name in group.names.items() if each not in group.signed),
            }
            for group in counted.nearest
        ],
        "not_counted": sorted(names.get(each, hex_groups(each)) for each in counted.uncounted),
        "wanted": counted.wanted or None,
    }


def tally_lines(counted: Tally, names: Mapping[bytes, str]) -> list[str]:
    """The same in sentences."""
    told = tally_facts(counted, names)
    lines = [
        f"{group['who']}: {len(group['signed'])} of the {group['needed']} needed have signed"
        f"{' (' + ', '.join(group['signed']) + ')' if group['signed'] else ''}."
        for group in told["groups"]
    ]
    lines += [f"A signature by {each} does not count here." for each in told["not_counted"]]
    if counted.missing == 0:
        return [*lines, "Complete: nothing is missing."]
    if counted.missing:
        lines.append(f"{counted.missing} signature{'s are' if counted.missing > 1 else ' is'} missing.")
    if counted.wanted:
        lines.append(f"Not counted yet: {counted.wanted}.")
    return lines


def lines_of(told: Facts, indent: str = "  ") -> list[str]:
    """Facts as aligned lines, nested ones indented; empty ones are left out."""
    shown = {name: value for name, value in told.items() if value not in (None, "", {}, [])}
    width = max(map(len, shown), default=0)
    lines = []
    for name, value in shown.items():
        if isinstance(value, dict):
            lines += [f"{indent}{_label(name)}", *lines_of(value, indent + "  ")]
        else:
            text = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"{indent}{_label(name):<{width}}  {text}")
    return lines


def _label(name: str) -> str:
    return name.replace("_", " ")
