"""The encrypted channel of a session: fresh secrets in, AES-256-GCM both ways (SPEC section 11.1, steps 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.errors import FrameError, LimitError, MalformedError, UsageError
from protocol.limits import MAX_FRAME_BYTES

NONCE_BYTES: Final = 32
SHARE_BYTES: Final = 32
_KEY_BYTES: Final = 32
_COUNTER_BYTES: Final = 12
_INFO: Final = b"valija/0 session keys"


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """What is drawn freshly for each session and never used again: a nonce and an X25519 secret, 32 bytes each."""

    nonce: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse other sizes with `UsageError`."""
        if len(self.nonce) != NONCE_BYTES or len(self.secret) != SHARE_BYTES:
            raise UsageError("nonce or secret size")

    @property
    def share(self) -> bytes:
        """The public half of the secret, 32 bytes."""
        return X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()

    def agree(self, peer_share: bytes) -> bytes:
        """The X25519 result with the peer's share; `MalformedError` if it is all zero (RFC 7748, section 6.1)."""
        peer = X25519PublicKey.from_public_bytes(peer_share)
        try:
            return X25519PrivateKey.from_private_bytes(self.secret).exchange(peer)
        except ValueError:
            raise MalformedError("x25519 share") from None


def session_keys(shared: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The keys (k_node, k_hub), 32 bytes each, of this X25519 result under this transcript."""
    okm = HKDF(algorithm=hashes.SHA256(), length=2 * _KEY_BYTES, salt=salt, info=_INFO).derive(shared)
    return okm[:_KEY_BYTES], okm[_KEY_BYTES:]


class Channel:
    """AES-256-GCM both ways, each message under the next number of its direction (SPEC section 11.1, step 4)."""

    __slots__ = ("_received", "_receives", "_sends", "_sent")

    def __init__(self, send_key: bytes, receive_key: bytes) -> None:
        """Nothing sent and nothing received."""
        self._sends, self._receives = AESGCM(send_key), AESGCM(receive_key)
        self._sent = self._received = 0

    def seal(self, plaintext: bytes) -> bytes:
        """The next message to send."""
        nonce = self._sent.to_bytes(_COUNTER_BYTES, "big")
        self._sent += 1
        return self._sends.encrypt(nonce, plaintext, None)

    def open(self, message: bytes) -> bytes:
        """The plaintext of the next message received.

        Raises `LimitError` over the limit of a frame, and `FrameError` if it is not the peer's next message.
        """
        if len(message) > MAX_FRAME_BYTES:
            raise LimitError(f"a message of {len(message)} bytes, at most {MAX_FRAME_BYTES}")
        try:
            plaintext = self._receives.decrypt(self._received.to_bytes(_COUNTER_BYTES, "big"), message, None)
        except InvalidTag:
            raise FrameError(f"message {self._received}") from None
        self._received += 1
        return plaintext


def channel_of(own: Ephemeral, peer_share: bytes, salt: bytes, *, node: bool) -> Channel:
    """The channel of this side, once the transcript `salt` is known; `MalformedError` for a share of low order."""
    k_node, k_hub = session_keys(own.agree(peer_share), salt)
    return Channel(k_node, k_hub) if node else Channel(k_hub, k_node)
