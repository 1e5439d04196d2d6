"""Every refusal of Valija, as one tree; each leaf has a stable code (SPEC section 13).

The tree separates whose move it is: the peer misbehaved (`PeerError`), our caller broke the
contract (`UsageError`), the envelope did not open (`OpenError`, one opaque kind), the same name
holds something else (`ConflictError`), the line broke (`TransportError`), the disk did
(`StoreError`), or a key could not be had (`KeyAccessError`).  A class docstring is the sentence
that a person reads: what is wrong, then what to do.  No payload, key or plaintext enters one.
"""

from __future__ import annotations

from typing import ClassVar


class ValijaError(Exception):
    """Something failed that has no better name; report it with this code."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "") -> None:
        """Keep `detail`, which names the field, limit or identifier concerned and never a value that is secret."""
        self.detail = detail
        super().__init__(detail)

    def __str__(self) -> str:
        """The sentence for a person, with the detail when there is one."""
        sentence = (type(self).__doc__ or "").strip().splitlines()[0]
        return f"{sentence} ({self.detail})" if self.detail else sentence


# -- the peer misbehaved ---------------------------------------------------------------------------
class PeerError(ValijaError):
    """The other side sent something that the protocol does not allow; nothing of it was used."""

    code = "peer_error"


class MalformedError(PeerError):
    """These bytes are not a well-formed value of the expected kind; ask the sender to update its software."""

    code = "malformed"


class NonCanonicalError(MalformedError):
    """These bytes decode, but are not the one permitted encoding; ask the sender to update its software."""

    code = "non_canonical"


class LimitError(PeerError):
    """A size, count or depth passes its limit; send less at once."""

    code = "limit_exceeded"


class VersionError(PeerError):
    """This protocol version or suite is not spoken here; update the older side."""

    code = "unsupported_version"


class VerificationError(PeerError):
    """Something that should prove itself does not; it was refused."""

    code = "unverifiable"


class SignatureError(VerificationError):
    """A signature does not verify under the key that should have made it; it was refused."""

    code = "bad_signature"


class ProofError(VerificationError):
    """A Merkle proof does not lead to the root it should; it was refused."""

    code = "bad_proof"


class ReplayError(VerificationError):
    """This was seen before or is out of turn; it was refused."""

    code = "replayed"


class StaleError(VerificationError):
    """This is older than what is already known; fetch the newer and try again."""

    code = "stale"


class WrongSenderError(PeerError):
    """The envelope names another sender than the member of this session; submit it from its own node."""

    code = "wrong_sender"


class BadExpiryError(PeerError):
    """The envelope's expiry is past or too far ahead; check the clock and seal it again."""

    code = "bad_expiry"


class LogError(VerificationError):
    """The registry's log breaks its own rules, as no honest hub's does; keep what is held and tell the stewards."""

    code = "bad_log"


class WrongRecipientError(VerificationError):
    """The slot is addressed to another member; it was refused."""

    code = "wrong_recipient"


class AudienceError(VerificationError):
    """The audience is not the network's roster at that registry size, or omits this member; it was refused."""

    code = "audience_mismatch"


class FrameError(PeerError):
    """A session message does not open under the session's key; the session ends and is opened anew."""

    code = "bad_frame"


class WrongAssociationError(PeerError):
    """This concerns another association; check the charter that this node was given."""

    code = "wrong_association"


class WrongHubError(VerificationError):
    """The hub does not prove to be the one in the charter; check the address, then ask the stewards."""

    code = "wrong_hub"


class ClockSkewError(PeerError):
    """The clocks of node and hub differ by more than an hour; correct the clock of this machine."""

    code = "clock_skew"


class ThresholdError(VerificationError):
    """Too few distinct stewards signed this; collect the missing signatures."""

    code = "threshold_not_met"


# -- standing: who may take part --------------------------------------------------------------------
class StandingError(ValijaError):
    """The certificate or member is expired, revoked, suspended or expelled; ask the association's stewards."""

    code = "not_in_standing"


class UnknownMemberError(StandingError):
    """No member of this name is admitted; check the spelling with `valija-node networks` or `status`."""

    code = "unknown_member"


class UnknownRecipientError(StandingError):
    """The recipient is not an admitted member of this association; check the address."""

    code = "unknown_recipient"


class RecipientSuspendedError(StandingError):
    """The recipient is suspended or expelled; the message cannot be delivered to it."""

    code = "recipient_suspended"


class CharterExpiredError(StandingError):
    """The charter has expired, so nothing can be changed; the stewards must sign the next one."""

    code = "charter_expired"


# -- held: nothing is wrong with the message, it waits -------------------------------------------------
class HeldError(ValijaError):
    """The message waits at its sender and is sent by itself as soon as it can be."""

    code = "held"


class NoPrekeyError(HeldError):
    """The recipient's node has been away past its prekeys; the message waits until it is back."""

    code = "no_prekey"


class PrekeyUnknownError(HeldError):
    """The hub does not know the prekey used; the message is sealed again with a current one."""

    code = "prekey_unknown"


class PrekeyExpiredError(HeldError):
    """The prekey used is too old; the message is sealed again with a current one."""

    code = "prekey_expired"


class MailboxFullError(HeldError):
    """The recipient's mailbox at the hub, or this sender's share of it, is full; the message waits until there is room."""

    code = "mailbox_full"


class ResealLimitError(HeldError):
    """The recipient could not open it three times in a day; it waits a day, and both operators should look."""

    code = "reseal_limit"


class StaleViewError(HeldError):
    """This node's view of the registry is too old to send; check the connection to the hub."""

    code = "stale_view"


class ForkedViewError(HeldError):
    """The sender saw another registry than this node; it is set aside, and the stewards must be told at once."""

    code = "forked_view"


class ViewAheadError(HeldError):
    """The sender saw a newer registry than this node; the message waits until the mirror has caught up."""

    code = "view_ahead"


# -- our caller broke the contract -------------------------------------------------------------------
class UsageError(ValijaError):
    """The request cannot be carried out as given; correct it and try again."""

    code = "invalid_request"


class UnknownMessageError(UsageError):
    """No message with this id is here; check the id with `valija-node inbox` or `outbox`."""

    code = "unknown_message"


class UnknownNetworkError(UsageError):
    """No network of this name exists; see `valija-node networks`."""

    code = "unknown_network"


class UnknownDeskError(UsageError):
    """No desk of this name exists at this node; create it with `valija-node desk add`."""

    code = "unknown_desk"


class TooLateError(UsageError):
    """The message is already delivered or closed, so this can no longer be done."""

    code = "too_late"


class DisabledError(UsageError):
    """This webhook is disabled, so nothing is sent to it; enable it first (`valija-node webhook enable`)."""

    code = "disabled"


class HandlingError(UsageError):
    """The handling code of the message forbids this; ask the originator for permission."""

    code = "handling_forbids"


class UnauthorizedError(UsageError):
    """The token is missing or not valid; create one with `valija-node desk token`."""

    code = "unauthorized"


class LoginError(UnauthorizedError):
    """This does not let you in; check what you typed, or ask your administrator for a new invitation."""

    code = "login_failed"


class ForbiddenError(UsageError):
    """Your role or your desks do not allow this; ask your administrator."""

    code = "forbidden"


class TooManyError(UsageError):
    """Too many attempts or requests in a short time; wait as long as it says, then try again."""

    code = "too_many_requests"

    def __init__(self, detail: str = "", wait_seconds: int = 1) -> None:
        """Keep how long to wait, too."""
        self.wait_seconds = wait_seconds
        super().__init__(detail)


class ExistsError(UsageError):
    """There is something here already; nothing was overwritten. Choose another place."""

    code = "already_exists"


class ConfigError(UsageError):
    """The configuration is not valid; correct what is named."""

    code = "bad_config"


class NotRunningError(UsageError):
    """No daemon answers for this home; start it with `valija-node serve`."""

    code = "not_running"


class HomeLockedError(UsageError):
    """Another daemon already runs on this home; stop it first."""

    code = "home_locked"


class HomeMissingError(UsageError):
    """There is no home here; create one with the `init` command."""

    code = "home_missing"


class NewerHomeError(UsageError):
    """A newer program wrote this home; start that one, or put back the backup that it left here."""

    code = "home_newer"


class BackupError(UsageError):
    """This is no backup of ours, or not all of one; nothing was changed. Take another one."""

    code = "bad_backup"


class WithdrawnError(UsageError):
    """The author withdrew the message before it was delivered."""

    code = "withdrawn"


class MessageExpiredError(UsageError):
    """The message's own expiry passed before it was delivered."""

    code = "expired"


# -- the envelope did not open ----------------------------------------------------------------------
class OpenError(ValijaError):
    """The ciphertext does not open with any key held here; the sender is asked to seal it again."""

    code = "cannot_open"


# -- the same name holds something else --------------------------------------------------------------
class ConflictError(ValijaError):
    """This identifier already names other content; use a new one, or send exactly the same again."""

    code = "conflict"


# -- the line broke ---------------------------------------------------------------------------------
class TransportError(ValijaError):
    """The connection failed; it is tried again by itself."""

    code = "transport"
    retryable: ClassVar[bool] = True


class HubGoneError(TransportError):
    """The hub does not answer; messages wait here until it is back, anything else is to be tried again then."""

    code = "hub_gone"


class FencedError(TransportError):
    """A newer session of the same member took over; if that was not you, tell the stewards."""

    code = "fenced"


class RefillingError(TransportError):
    """The hub was put back from a backup and takes in the registry from its members' nodes; the connection is opened again by itself."""

    code = "refilling"


class DrainingError(TransportError):
    """The hub is being restarted; the connection is opened again by itself."""

    code = "draining"


class ProxyError(TransportError):
    """The HTTP proxy refused the connection; check its address and permissions."""

    code = "proxy_refused"


class TlsInspectedError(TransportError):
    """Something on the way replaces the hub's TLS certificate; set `ca_file` to its authority or ask for access."""

    code = "tls_inspected"


# -- the disk did -----------------------------------------------------------------------------------
class StoreError(ValijaError):
    """The store could not be read or written; check the disk, then start again."""

    code = "store"


class RolledBackError(StoreError):
    """The hub's store is older than what the hub signed; started again it takes in what its members' nodes hold."""

    code = "rolled_back"


class DamagedError(StoreError):
    """What is stored of this was damaged on disk; put the archive back from a backup."""

    code = "damaged"


# -- a key could not be had -------------------------------------------------------------------------
class KeyAccessError(ValijaError):
    """The private key cannot be used; check that the key file is there and the passphrase right."""

    code = "key_access"


class PassphraseError(KeyAccessError):
    """The passphrase or secret file does not open this key file; try again with the right one."""

    code = "wrong_passphrase"


class KeyDamagedError(KeyAccessError):
    """This key file is damaged or was altered; put back a copy of it, or have a new key admitted."""

    code = "key_damaged"
