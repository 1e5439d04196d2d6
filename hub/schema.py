"""The tables of the SQLite store, as migrations: once released, one is never edited, another is added.

An item's `place` is its member's number in the upper bits and its position in the lower forty, so that a
mailbox is a range of the table itself: reading it in order, and erasing its head, touch no index.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database, Migrations

from hub.shares import Share, encode_shares

POSITION_BITS: Final = 40

migrations: Final = Migrations("valija-hub")


@migrations()
def members(db: Database) -> None:
    """What is kept of each member."""
    db.execute("""
        CREATE TABLE member (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            last_position INTEGER NOT NULL,
            handed_over INTEGER NOT NULL,
            acknowledged INTEGER NOT NULL,
            messages INTEGER NOT NULL,
            waiting_bytes INTEGER NOT NULL,
            highest_submission BLOB NOT NULL
        ) STRICT""")
    db.execute("CREATE TABLE calendar (member TEXT PRIMARY KEY, signed BLOB NOT NULL) STRICT, WITHOUT ROWID")


@migrations()
def envelopes(db: Database) -> None:
    """What was accepted, and what waits."""
    # The counter of waiting items stands apart from the ciphertext: changing it rewrites its whole row.
    db.execute("""
        CREATE TABLE envelope (
            ref INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            sender TEXT NOT NULL,
            submission BLOB NOT NULL,
            expires_at INTEGER NOT NULL,
            waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
            UNIQUE (sender, submission)
        ) STRICT""")
    db.execute("CREATE INDEX envelope_expiry ON envelope (expires_at)")
    db.execute("""
        CREATE TABLE content (
            ref INTEGER PRIMARY KEY REFERENCES envelope,
            core BLOB NOT NULL,
            ciphertext BLOB NOT NULL
        ) STRICT""")
    db.execute(
        "CREATE TABLE batch (id INTEGER PRIMARY KEY, signature BLOB NOT NULL, keep_until INTEGER NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX batch_expiry ON batch (keep_until)")
    db.execute("""
        CREATE TABLE acceptance (
            ref INTEGER NOT NULL REFERENCES envelope,
            recipient TEXT NOT NULL,
            position INTEGER NOT NULL,
            slot_digest BLOB NOT NULL,
            data BLOB NOT NULL,
            salt BLOB NOT NULL,
            leaf INTEGER NOT NULL,
            path BLOB NOT NULL,
            batch INTEGER NOT NULL,
            PRIMARY KEY (ref, recipient)
        ) STRICT, WITHOUT ROWID""")


@migrations()
def mailboxes(db: Database) -> None:
    """The items, in order of place; a notice carries its own attestation."""
    db.execute("""
        CREATE TABLE item (
            place INTEGER PRIMARY KEY,
            ref INTEGER,
            slot BLOB,
            size_bytes INTEGER NOT NULL,
            queued_at_ms INTEGER NOT NULL,
            expires_at INTEGER,
            data BLOB,
            salt BLOB,
            leaf INTEGER,
            path BLOB,
            batch INTEGER
        ) STRICT""")
    db.execute("CREATE INDEX notice_expiry ON item (expires_at) WHERE expires_at IS NOT NULL")


@migrations()
def log(db: Database) -> None:
    """The registry log, its newest checkpoint, and the hub's own incarnation."""
    db.execute("""
        CREATE TABLE entry (
            position INTEGER PRIMARY KEY,
            entry BLOB NOT NULL,
            statement_hash BLOB NOT NULL UNIQUE,
            statement BLOB NOT NULL
        ) STRICT""")
    db.execute("""
        CREATE TABLE checkpoint (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            size INTEGER NOT NULL,
            note BLOB NOT NULL
        ) STRICT""")
    db.execute("""
        CREATE TABLE incarnation (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            charter_version INTEGER NOT NULL,
            leaf_index INTEGER NOT NULL
        ) STRICT""")


@migrations()
def shares(db: Database) -> None:
    """How much of each mailbox every sender has taken; what waits already is counted."""
    db.execute("ALTER TABLE member ADD COLUMN shares BLOB NOT NULL DEFAULT x''")
    rows = db.execute(
        "SELECT m.id, e.sender, count(*), sum(i.size_bytes) FROM member m "
        "JOIN item i ON i.place BETWEEN m.id << ?1 AND (m.id << ?1) + ?2 JOIN envelope e ON e.ref = i.ref "
        "GROUP BY m.id, e.sender",
        (POSITION_BITS, (1 << POSITION_BITS) - 1),
    ).fetchall()
    found: dict[int, dict[str, Share]] = {}
    for member, sender, messages, size_bytes in rows:
        found.setdefault(member, {})[sender] = Share(messages, size_bytes)
    for member, each in found.items():
        db.execute("UPDATE member SET shares = ? WHERE id = ?", (encode_shares(each), member))


@migrations()
def operators(db: Database) -> None:
    """What operators decided of mailboxes, who they are, and the journal of what they did."""
    db.execute("""
        CREATE TABLE rule (
            member TEXT PRIMARY KEY,
            is_suspended INTEGER NOT NULL,
            max_messages INTEGER,
            max_bytes INTEGER
        ) STRICT, WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE operator (
            login TEXT PRIMARY KEY,
            role TEXT NOT NULL,
            password TEXT NOT NULL,
            totp TEXT NOT NULL,
            totp_step INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE journal (
            number INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            who TEXT NOT NULL,
            act TEXT NOT NULL,
            about TEXT NOT NULL,
            detail TEXT NOT NULL,
            hash BLOB NOT NULL
        ) STRICT""")


@migrations()
def watched(db: Database) -> None:
    """When each member was last seen, and what each minute of the last day was like: no name stands with a minute."""
    db.execute("CREATE TABLE presence (member TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID")
    db.execute("CREATE TABLE minute (at INTEGER PRIMARY KEY, told BLOB NOT NULL) STRICT")
