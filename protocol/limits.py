"""Limits on everything that comes from outside (SPEC section 12).  Bytes unless the name says otherwise."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_FRAME_BYTES: Final = 4 * MIB
MAX_STATEMENT_BYTES: Final = 256 * KIB
MAX_CALENDAR_BYTES: Final = 32 * KIB
MAX_DEPTH: Final = 16
MAX_ARRAY_ITEMS: Final = 16_384

MIN_CIPHERTEXT_BYTES: Final = 8 * KIB
MAX_CIPHERTEXT_BYTES: Final = 1 * MIB
MAX_BODIES: Final = 256
MAX_BATCH_LEAVES: Final = 4096
MAX_BATCH_PATH: Final = 12
MAX_AUDIENCE: Final = 128
MAX_ATTACHMENTS: Final = 64
MAX_LINK_BYTES: Final = 254
MAX_CONTENT_BYTES: Final = 512 * KIB

DAY_SECONDS: Final = 86_400
ENVELOPE_LIFETIME_SECONDS: Final = 14 * DAY_SECONDS
EPOCH_SECONDS: Final = DAY_SECONDS
EPOCH_GRACE_SECONDS: Final = 3_600
CALENDAR_EPOCHS: Final = 15
CLOCK_TELL_SECONDS: Final = 300
CLOCK_REFUSE_SECONDS: Final = 3_600
