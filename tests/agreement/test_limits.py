"""Every limit of SPEC 12 is the constant in the code, and every constant of the code is in SPEC."""

from __future__ import annotations

import re

import pytest

from protocol import limits
from tests.agreement.spec import table

# The words of the table, and the constants that hold their numbers, in order.
NAMES = {
    "frame": ["MAX_FRAME_BYTES"],
    "signed statement": ["MAX_STATEMENT_BYTES"],
    "log entry": ["MAX_ENTRY_BYTES"],
    "signed calendar": ["MAX_CALENDAR_BYTES"],
    "nesting of arrays": ["MAX_DEPTH"],
    "items in an array": ["MAX_ARRAY_ITEMS"],
    "signed note": ["MAX_NOTE_BYTES"],
    "signatures on a note": ["MAX_NOTE_SIGNATURES"],
    "offer": ["MAX_OFFER_BYTES"],
    "leaves in an offer": ["MAX_OFFER_LEAVES"],
    "proof in an offer": ["MAX_OFFER_PROOF"],
    "ciphertext": ["MIN_CIPHERTEXT_BYTES", "MAX_CIPHERTEXT_BYTES"],
    "core": ["MAX_CORE_BYTES"],
    "slot": ["MAX_SLOT_BYTES"],
    "attestation data": ["MAX_ATTESTATION_BYTES"],
    "bodies in a manifest": ["MAX_BODIES"],
    "bodies of one manifest together, kept by senders": ["MAX_BODIES_BYTES"],
    "signed part of a body": ["MAX_SIGNED_PART_BYTES"],
    "leaves in a batch": ["MAX_BATCH_LEAVES"],
    "path in a wrap": ["MAX_BATCH_PATH"],
    "audience": ["MAX_AUDIENCE"],
    "attachments of a message, blobs of an envelope": ["MAX_ATTACHMENTS"],
    "content of a message": ["MAX_CONTENT_BYTES"],
    "encoded link": ["MAX_LINK_BYTES"],
    "views in a manifest": ["MAX_VIEWS"],
    "negatives in a view": ["MAX_VIEW_NEGATIVES"],
    "name, role, login method of an actor": ["MAX_ACTOR_BYTES"],
    "note of a handover": ["MAX_HANDOVER_NOTE_BYTES"],
    "incarnations in a notice": ["MAX_NOTICE_INCARNATIONS"],
    "envelopes in a Submit, Results or Deliver frame": ["MAX_ENVELOPES_PER_FRAME"],
    "hello, Finish": ["MAX_HELLO_BYTES"],
    "detail of a Close": ["MAX_DETAIL_BYTES"],
    "members in a Lookup": ["MAX_LOOKUP_MEMBERS"],
    "requests unanswered in a session": ["MAX_REQUESTS"],
    "incarnations of a node at its hub's word in a day": ["MAX_HUB_INCARNATIONS_A_DAY"],
    "envelope lifetime": ["ENVELOPE_LIFETIME_SECONDS"],
    "epoch": ["EPOCH_SECONDS"],
    "grace after an epoch": ["EPOCH_GRACE_SECONDS"],
    "epochs in a calendar": ["CALENDAR_EPOCHS"],
    "messages after a charter's expiry": ["CHARTER_GRACE_SECONDS"],
    "clocks differ, told": ["CLOCK_TELL_SECONDS"],
    "clocks differ, refused": ["CLOCK_REFUSE_SECONDS"],
}
UNITS = {"KIB", "MIB", "DAY_SECONDS"}


def numbers(text: str) -> list[int]:
    return [int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*", text)]


def in_spec() -> dict[str, list[int]]:
    return {name: numbers(value) for name, value in table("12")}


@pytest.mark.parametrize("name", in_spec())
def test_the_number_of_the_table_is_the_number_of_the_code(name: str) -> None:
    assert in_spec()[name] == [getattr(limits, constant) for constant in NAMES[name]]


def test_every_constant_is_in_the_table() -> None:
    constants = {name for name in vars(limits) if name.isupper()} - UNITS
    assert constants == {each for names in NAMES.values() for each in names}


def test_units_are_what_they_say() -> None:
    assert (limits.KIB, limits.MIB, limits.DAY_SECONDS) == (1024, 1024**2, 86_400)
