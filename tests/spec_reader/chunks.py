"""SPEC 4.3, C2SP chunked-encryption: the instance Cobblestone-256."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.spec_reader.refusal import refuse, require

CHUNK, TAG, HEADER = 16_384, 16, 56


def sealed_size(plaintext: int) -> int:
    return HEADER + plaintext + TAG * (plaintext // CHUNK + 1)


def seal(key: bytes, salt: bytes, context: bytes, plaintext: bytes) -> bytes:
    aead, nonce, commitment = _derive(key, salt, context)
    pieces = [plaintext[at : at + CHUNK] for at in range(0, len(plaintext) + 1, CHUNK)]
    sealed = [aead.encrypt(_nonce(nonce, number), piece, None) for number, piece in enumerate(pieces)]
    return salt + commitment + b"".join(sealed)


def unseal(key: bytes, context: bytes, ciphertext: bytes) -> bytes:
    salt, claimed, rest = ciphertext[:24], ciphertext[24:HEADER], ciphertext[HEADER:]
    require(len(ciphertext) >= HEADER + TAG, "cannot_open", "shorter than an empty message")
    aead, nonce, commitment = _derive(key, salt, context)
    require(hmac.compare_digest(commitment, claimed), "cannot_open", "commitment")
    step = CHUNK + TAG
    pieces = [rest[at : at + step] for at in range(0, len(rest) + 1, step)]
    require(TAG <= len(pieces[-1]) < step, "cannot_open", "truncated")
    try:
        return b"".join(aead.decrypt(_nonce(nonce, number), piece, None) for number, piece in enumerate(pieces))
    except InvalidTag:
        refuse("cannot_open", "a chunk does not open")


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, bytes, bytes]:
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    output = HKDFExpand(SHA512(), 32 + 12 + 32, info).derive(key)
    return AESGCM(output[:32]), output[32:44], output[44:]


def _nonce(base: bytes, number: int) -> bytes:
    return (int.from_bytes(base, "big") ^ number).to_bytes(12, "big")
