"""Limits on everything that comes from outside (SPEC section 12).  Bytes unless the name says otherwise."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_FRAME_BYTES: Final = 4 * MIB
MAX_STATEMENT_BYTES: Final = 256 * KIB
MAX_CALENDAR_BYTES: Final = 32 * KIB
MAX_ENTRY_BYTES: Final = 64
MAX_DEPTH: Final = 16
MAX_ARRAY_ITEMS: Final = 16_384
MAX_NOTE_BYTES: Final = 160 * KIB
MAX_NOTE_SIGNATURES: Final = 32

MIN_CIPHERTEXT_BYTES: Final = 8 * KIB
MAX_CIPHERTEXT_BYTES: Final = 1 * MIB
MAX_BODIES: Final = 256
# What senders put into one manifest: the rest of 1 MiB is for views with their negatives, and for first acceptances.
MAX_BODIES_BYTES: Final = 640 * KIB
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
CHARTER_GRACE_SECONDS: Final = 90 * DAY_SECONDS
CLOCK_TELL_SECONDS: Final = 300
CLOCK_REFUSE_SECONDS: Final = 3_600
MAX_CORE_BYTES: Final = 8 * KIB
MAX_SLOT_BYTES: Final = 2_304
MAX_ATTESTATION_BYTES: Final = 512
MAX_SIGNED_PART_BYTES: Final = 64 * KIB
MAX_ACTOR_BYTES: Final = 255
MAX_HANDOVER_NOTE_BYTES: Final = 4 * KIB
MAX_NOTICE_INCARNATIONS: Final = 1_024
MAX_VIEW_NEGATIVES: Final = 16
MAX_ENVELOPES_PER_FRAME: Final = 256
MAX_HELLO_BYTES: Final = 8 * KIB
MAX_DETAIL_BYTES: Final = 255
MAX_LOOKUP_MEMBERS: Final = 128
MAX_REQUESTS: Final = 256
