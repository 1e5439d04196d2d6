"""The archive's tables, as steps (`keys.migrating`): once released, one is never edited, another is added.

Outgoing.  A *message* (`outbox`) waits until it is *placed* in a manifest; each recipient of the manifest gets a
*link*, which carries the state of all of its numbers; a number that differs from its link has a row in `number_out`,
one that goes again although its recipient had signed for it, one in `signed`.
Who cannot be sealed to yet has a row in `waiting`; who never will be, one in `ended`.

Incoming.  A link that was verified is an `inlink`; what each of its numbers became is in `number_in`, by series of
(peer, incarnation); a message is in `inbox`, and in `received`, which outlives it.

Both directions keep the evidence: `manifest` (with salts and signed parts), `batch` signatures, `attestation`s.
Incarnations are 16 bytes, big-endian, so that their order is that of bytes.  Times are Unix seconds.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database, Migrations

_FIRST: Final = (
    # -- what there is one of -------------------------------------------------------------------------
    "CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE peer (
        id INTEGER PRIMARY KEY, association BLOB NOT NULL, member TEXT NOT NULL, newest BLOB,
        sent_at INTEGER NOT NULL DEFAULT 0, heard_at INTEGER NOT NULL DEFAULT 0, traffic_at INTEGER NOT NULL DEFAULT 0,
        silent INTEGER NOT NULL DEFAULT 0, notice_due INTEGER NOT NULL DEFAULT 0, UNIQUE (association, member))""",
    "CREATE TABLE alarm (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL)",
    # -- evidence -------------------------------------------------------------------------------------
    "CREATE TABLE batch (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, raw BLOB NOT NULL)",
    """CREATE TABLE manifest (
        id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        raw BLOB NOT NULL, bodies BLOB NOT NULL)""",
    """CREATE TABLE attestation (
        id INTEGER PRIMARY KEY, link INTEGER, envelope_id BLOB NOT NULL, event INTEGER NOT NULL, result TEXT NOT NULL,
        at INTEGER NOT NULL, data BLOB NOT NULL, proof BLOB NOT NULL, batch INTEGER NOT NULL)""",
    "CREATE INDEX attestation_link ON attestation (link) WHERE link IS NOT NULL",
    # -- outgoing -------------------------------------------------------------------------------------
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, message_id BLOB NOT NULL UNIQUE, desk TEXT NOT NULL,
        request BLOB NOT NULL, accepted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, addressed BLOB NOT NULL,
        header BLOB NOT NULL, content BLOB NOT NULL)""",
    """CREATE TABLE placement (
        message INTEGER NOT NULL, manifest INTEGER NOT NULL, place INTEGER NOT NULL,
        PRIMARY KEY (message, manifest)) WITHOUT ROWID""",
    """CREATE TABLE waiting (
        peer INTEGER NOT NULL, message INTEGER NOT NULL, audience BLOB NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (peer, message)) WITHOUT ROWID""",
    "CREATE INDEX waiting_message ON waiting (message)",
    """CREATE TABLE ended (
        message INTEGER NOT NULL, peer INTEGER NOT NULL, reason INTEGER NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (message, peer)) WITHOUT ROWID""",
    """CREATE TABLE link (
        id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, incarnation BLOB NOT NULL, first_seq INTEGER NOT NULL,
        count INTEGER NOT NULL, kind INTEGER NOT NULL, manifest INTEGER NOT NULL, raw BLOB NOT NULL,
        leaf BLOB NOT NULL UNIQUE, proof BLOB NOT NULL, batch INTEGER NOT NULL, signed_at INTEGER NOT NULL,
        state INTEGER NOT NULL, envelope INTEGER, relayed INTEGER NOT NULL DEFAULT 0, hold TEXT, wake_at INTEGER,
        first_attestation INTEGER, reseal_day INTEGER NOT NULL DEFAULT 0, reseals INTEGER NOT NULL DEFAULT 0,
        receipt INTEGER, receipt_place INTEGER)""",
    "CREATE INDEX link_series ON link (peer, incarnation, first_seq)",
    "CREATE INDEX link_manifest ON link (manifest)",
    "CREATE INDEX link_wake ON link (wake_at) WHERE wake_at IS NOT NULL",
    """CREATE TABLE number_out (
        link INTEGER NOT NULL, place INTEGER NOT NULL, state INTEGER NOT NULL, reason INTEGER,
        void_link INTEGER, receipt INTEGER, receipt_place INTEGER, PRIMARY KEY (link, place)) WITHOUT ROWID""",
    "CREATE INDEX number_voiding ON number_out (state) WHERE state = 2",
    "CREATE INDEX number_void_link ON number_out (void_link) WHERE void_link IS NOT NULL",
    """CREATE TABLE envelope (
        id INTEGER PRIMARY KEY, envelope_id BLOB NOT NULL UNIQUE, core BLOB NOT NULL, expires_at INTEGER NOT NULL)""",
    """CREATE TABLE own_series (
        peer INTEGER NOT NULL, incarnation BLOB NOT NULL, next_seq INTEGER NOT NULL, acked INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (peer, incarnation)) WITHOUT ROWID""",
    """CREATE TABLE owed (
        id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, subject BLOB NOT NULL, body BLOB NOT NULL,
        numbers INTEGER NOT NULL, due_at REAL NOT NULL, UNIQUE (peer, subject))""",
    "CREATE INDEX owed_due ON owed (due_at)",
    """CREATE TABLE handover (
        message INTEGER NOT NULL, peer INTEGER NOT NULL, inlink INTEGER NOT NULL, place INTEGER NOT NULL,
        at INTEGER NOT NULL, action INTEGER NOT NULL, PRIMARY KEY (message, peer, inlink, place)) WITHOUT ROWID""",
    # -- incoming -------------------------------------------------------------------------------------
    """CREATE TABLE inlink (
        id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, incarnation BLOB NOT NULL, first_seq INTEGER NOT NULL,
        count INTEGER NOT NULL, kind INTEGER NOT NULL, manifest INTEGER NOT NULL, raw BLOB NOT NULL,
        proof BLOB NOT NULL, batch INTEGER NOT NULL, core BLOB NOT NULL, attestation INTEGER NOT NULL,
        accepted_at INTEGER NOT NULL, received_at INTEGER NOT NULL)""",
    "CREATE INDEX inlink_series ON inlink (peer, incarnation, first_seq)",
    """CREATE TABLE peer_series (
        id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, incarnation BLOB NOT NULL, contiguous INTEGER NOT NULL DEFAULT 0,
        highest INTEGER NOT NULL DEFAULT 0, UNIQUE (peer, incarnation))""",
    """CREATE TABLE number_in (
        series INTEGER NOT NULL, seq INTEGER NOT NULL, outcome INTEGER NOT NULL, name BLOB NOT NULL,
        PRIMARY KEY (series, seq)) WITHOUT ROWID""",
    """CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, inlink INTEGER NOT NULL, place INTEGER NOT NULL,
        message_id BLOB NOT NULL, received_at INTEGER NOT NULL, mark INTEGER NOT NULL, digest BLOB NOT NULL,
        content BLOB NOT NULL)""",
    """CREATE TABLE received (
        peer INTEGER NOT NULL, message_id BLOB NOT NULL, inbox INTEGER, PRIMARY KEY (peer, message_id)) WITHOUT ROWID""",
    "CREATE TABLE inbox_desk (desk TEXT NOT NULL, inbox INTEGER NOT NULL, PRIMARY KEY (desk, inbox)) WITHOUT ROWID",
    """CREATE TABLE held (
        id INTEGER PRIMARY KEY, position INTEGER NOT NULL, core BLOB NOT NULL, ciphertext BLOB NOT NULL,
        slot BLOB NOT NULL, attestation BLOB NOT NULL, code TEXT NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY, position INTEGER NOT NULL, core BLOB NOT NULL, ciphertext BLOB NOT NULL,
        slot BLOB NOT NULL, attestation BLOB NOT NULL, code TEXT NOT NULL, at INTEGER NOT NULL)""",
    # -- what happened, in order, for those who follow --------------------------------------------------
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind INTEGER NOT NULL, subject INTEGER NOT NULL,
        place INTEGER)""",
    # -- the registry's mirror --------------------------------------------------------------------------
    "CREATE TABLE registry_leaf (leaf INTEGER PRIMARY KEY, entry BLOB NOT NULL, statement BLOB NOT NULL)",
    "CREATE TABLE registry_sight (statement BLOB PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE fork (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, size INTEGER NOT NULL, evidence BLOB NOT NULL)",
    "CREATE TABLE calendar (member TEXT PRIMARY KEY, raw BLOB NOT NULL) WITHOUT ROWID",
    # -- desks ------------------------------------------------------------------------------------------
    "CREATE TABLE desk (name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE token (
        hash BLOB PRIMARY KEY, desk TEXT NOT NULL, label TEXT NOT NULL, created_at INTEGER NOT NULL,
        revoked_at INTEGER) WITHOUT ROWID""",
    # -- search -----------------------------------------------------------------------------------------
    """CREATE VIRTUAL TABLE words USING fts5 (
        subject, body, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2')""",
    "CREATE VIRTUAL TABLE cases USING fts5 (reference, content = '', contentless_delete = 1, tokenize = 'trigram')",
    "CREATE TABLE thread (root BLOB NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (root, item)) WITHOUT ROWID",
)

steps: Final = Migrations("valija-node")


@steps()
def first(db: Database) -> None:
    """The archive of release 0.1."""
    for statement in _FIRST:
        db.execute(statement)


@steps()
def alarms(db: Database) -> None:
    """An alarm is looked for by what it says, each time that one is raised."""
    db.execute("CREATE INDEX alarm_subject ON alarm (code, detail, at)")


_PEOPLE: Final = (
    """CREATE TABLE person (
        id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
        language TEXT NOT NULL, theme TEXT NOT NULL, created_at INTEGER NOT NULL, disabled_at INTEGER,
        password TEXT, totp TEXT, totp_step INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE person_desk (person INTEGER NOT NULL, desk TEXT NOT NULL, PRIMARY KEY (person, desk)) WITHOUT ROWID",
    """CREATE TABLE passkey (
        id BLOB PRIMARY KEY, person INTEGER NOT NULL, public_key BLOB NOT NULL, sign_count INTEGER NOT NULL,
        label TEXT NOT NULL, created_at INTEGER NOT NULL, used_at INTEGER) WITHOUT ROWID""",
    "CREATE TABLE recovery_code (person INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (person, hash)) WITHOUT ROWID",
    "CREATE TABLE invitation (hash BLOB PRIMARY KEY, person INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE web_session (
        hash BLOB PRIMARY KEY, person INTEGER NOT NULL, method TEXT NOT NULL, created_at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, act TEXT NOT NULL,
        about TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL)""",
)


@steps()
def people(db: Database) -> None:
    """The people who log in, and the journal of what they do."""
    for statement in _PEOPLE:
        db.execute(statement)


@steps()
def lasting(db: Database) -> None:
    """What costs the same in an archive of years: which receipts nobody released yet, and rarer merges of the index."""
    db.execute("CREATE INDEX link_unreleased ON link (peer, incarnation, first_seq) WHERE state = 1 AND kind IN (2, 4)")
    db.execute("INSERT INTO words (words, rank) VALUES ('automerge', 8)")


_READING: Final = (
    "CREATE TABLE opened (inbox INTEGER NOT NULL, person INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (inbox, person)) WITHOUT ROWID",
    "CREATE TABLE flag (person INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (person, item)) WITHOUT ROWID",
    """CREATE TABLE draft (
        id INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, form BLOB NOT NULL,
        updated_at INTEGER NOT NULL, send_at INTEGER, failure TEXT)""",
    "CREATE INDEX draft_person ON draft (person, updated_at)",
    "CREATE INDEX draft_due ON draft (send_at) WHERE send_at IS NOT NULL",
)


@steps()
def reading(db: Database) -> None:
    """What each person opened and flagged, and what they are writing."""
    for statement in _READING:
        db.execute(statement)


@steps()
def leaner(db: Database) -> None:
    """Indexes by which nothing is looked for, each a page more to encrypt at every commit."""
    for index in ("inlink_series", "attestation_link", "owed_due"):
        db.execute(f"DROP INDEX {index}")


@steps()
def scoped(db: Database) -> None:
    """What a token is good for, and until when; those made before are good for everything, and for ever."""
    db.execute("ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read send acknowledge events webhooks'")
    db.execute("ALTER TABLE token ADD COLUMN expires_at INTEGER")


_WEBHOOKS: Final = (
    """CREATE TABLE webhook (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, desk TEXT NOT NULL, url TEXT NOT NULL,
        secret BLOB NOT NULL, old_secret BLOB, old_until INTEGER NOT NULL, created_at INTEGER NOT NULL,
        row INTEGER NOT NULL, part INTEGER NOT NULL, failing_since INTEGER, disabled_at INTEGER, disabled_why TEXT)""",
    """CREATE TABLE notice (
        id INTEGER PRIMARY KEY AUTOINCREMENT, webhook INTEGER NOT NULL, event TEXT NOT NULL, type TEXT NOT NULL,
        thread TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        next_at INTEGER, tried_at INTEGER, status INTEGER, outcome TEXT)""",
    "CREATE INDEX notice_due ON notice (webhook, thread, id) WHERE next_at IS NOT NULL",
    "CREATE INDEX notice_told ON notice (webhook, id)",
)


@steps()
def webhooks(db: Database) -> None:
    """Where desks want to be told what happens, and what is still to be told there."""
    for statement in _WEBHOOKS:
        db.execute(statement)


_URGENT: Final = (
    """CREATE TABLE urgent (
        desk TEXT NOT NULL, inbox INTEGER NOT NULL, emergency INTEGER NOT NULL, received_at INTEGER NOT NULL,
        told_at INTEGER, escalated_at INTEGER, PRIMARY KEY (desk, inbox)) WITHOUT ROWID""",
    """CREATE TABLE nudge (
        desk TEXT NOT NULL, step TEXT NOT NULL, sent_at INTEGER, count INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER, failing_since INTEGER, outcome TEXT,
        PRIMARY KEY (desk, step)) WITHOUT ROWID""",
)


@steps()
def urgent(db: Database) -> None:
    """What is urgent and unopened from now on, and who was called because of it."""
    for statement in _URGENT:
        db.execute(statement)


@steps()
def by_desk(db: Database) -> None:
    """What a desk sent is found without reading what all others sent."""
    db.execute("CREATE INDEX outbox_desk ON outbox (desk)")


@steps()
def enabled(db: Database) -> None:
    """When a webhook was put in force again: from then on it has thirty days anew."""
    db.execute("ALTER TABLE webhook ADD COLUMN enabled_at INTEGER NOT NULL DEFAULT 0")


@steps()
def reread(db: Database) -> None:
    """Who opened what this member sent; `opened` tells it of what came."""
    db.execute(
        "CREATE TABLE opened_sent (outbox INTEGER NOT NULL, person INTEGER NOT NULL, at INTEGER NOT NULL, "
        "PRIMARY KEY (outbox, person)) WITHOUT ROWID"
    )


@steps()
def answered(db: Database) -> None:
    """What desks of this member answered to what came, from now on: the receipts that they had signed, oldest first."""
    db.execute(
        "CREATE TABLE answer (id INTEGER PRIMARY KEY AUTOINCREMENT, inbox INTEGER NOT NULL, receipt BLOB NOT NULL, "
        "UNIQUE (inbox, receipt))"
    )


@steps()
def handled(db: Database) -> None:
    """What people call a token; those made before are called by the start of their hash."""
    db.execute("ALTER TABLE token ADD COLUMN handle TEXT NOT NULL DEFAULT ''")
    db.execute("UPDATE token SET handle = lower(hex(substr(hash, 1, 4)))")


@steps()
def signed(db: Database) -> None:
    """By which receipts recipients signed for what they have lost since: it goes again, and was delivered all the same."""
    db.execute(
        "CREATE TABLE signed (link INTEGER NOT NULL, place INTEGER NOT NULL, receipt INTEGER NOT NULL, "
        "receipt_place INTEGER NOT NULL, PRIMARY KEY (link, place)) WITHOUT ROWID"
    )


@steps()
def sized(db: Database) -> None:
    """How many leaves were held when a negative was seen outside the log.

    Of those seen before nobody knows: as many as are held now, so that no admission held now outlasts an expulsion.
    """
    db.execute("ALTER TABLE registry_sight ADD COLUMN size INTEGER")
    db.execute("UPDATE registry_sight SET size = (SELECT count(*) FROM registry_leaf)")
