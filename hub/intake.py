"""What the hub checks of an envelope as such, before it looks at any slot (SPEC 9.4, first paragraph).

Everything here follows from the bytes, the registry and the hub's clock; the store is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.errors import BadExpiryError, StandingError, UnknownMemberError, UnknownRecipientError, WrongSenderError
from protocol.messages.envelope import Envelope, Submission
from protocol.names import Incarnation, Party, StatementId
from protocol.session.items import SubmitItem
from protocol.trust.registry import Registry

_U64_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose session it is, and the certificate that it proved."""

    party: Party
    certificate: StatementId


@dataclass(frozen=True, slots=True)
class Terms:
    """On what a sender's envelopes are taken `at` a time (Unix seconds): its standing, and how long they may live."""

    sender: Party
    standing: StandingError | None
    lifetime_seconds: int
    at: int

    @classmethod
    def of(cls, sender: Sender, registry: Registry, at: int) -> Terms:
        """The terms for this session's sender by the registry as it is."""
        standing = None
        try:
            registry.certificate_standing(sender.certificate, at)
        except StandingError as error:
            standing = error
        return cls(sender.party, standing, registry.charter.limits.envelope_lifetime_seconds, at)


def examine(item: SubmitItem, terms: Terms) -> Envelope:
    """The envelope in `item`, fit to be looked at slot by slot.

    Raises, in this order: what reading it raises; `WrongSenderError`; `StandingError`; `BadExpiryError`;
    `MalformedError` for another ciphertext than the core names.
    """
    envelope = Envelope.from_bytes(item.core, item.ciphertext, item.slots)
    if envelope.core.sender != terms.sender:
        raise WrongSenderError
    if terms.standing is not None:
        raise terms.standing
    if not terms.at < envelope.core.expires_at <= terms.at + terms.lifetime_seconds:
        raise BadExpiryError
    envelope.core.check_ciphertext(item.ciphertext)
    return envelope


def refusal_of_recipient(recipient: Party, registry: Registry, now: int) -> str | None:
    """The error code with which a slot for this recipient is refused at `now`; None if it is in standing."""
    if recipient.association != registry.association:
        return UnknownRecipientError.code
    try:
        registry.member_standing(recipient.member, now)
    except UnknownMemberError:
        return UnknownRecipientError.code
    except StandingError as error:
        return error.code
    return None


def submission_key(submission: Submission) -> bytes:
    """24 bytes that order as submissions do."""
    numbers = (submission.incarnation.charter_version, submission.incarnation.leaf_index, submission.counter)
    return b"".join([number.to_bytes(_U64_BYTES, "big") for number in numbers])


def read_submission_key(key: bytes) -> Submission | None:
    """The submission that `submission_key` encoded; None for no bytes."""
    if not key:
        return None
    version, leaf, counter = [int.from_bytes(key[at : at + _U64_BYTES], "big") for at in (0, 8, 16)]
    return Submission(Incarnation(version, leaf), counter)
