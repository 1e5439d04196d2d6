"""The people of this member: who they are, how each proves it, their open sessions, and the log of what they did.

Of passwords, recovery codes, invitations and sessions only hashes are here.  Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keys.journal import START, Entry, chain
from node.people.roles import Role
from node.store import Transaction


@dataclass(frozen=True, slots=True)
class Person:
    """One person: `login` is what they type, `name` what others read; `desks` are all that they may see."""

    id: int
    login: str
    name: str
    role: Role
    desks: tuple[str, ...]
    language: str
    theme: str
    created_at: int
    disabled_at: int | None


@dataclass(frozen=True, slots=True)
class Passkey:
    """One authenticator of a person: credential id, COSE public key, and how often it says that it was used."""

    id: bytes
    person: int
    public_key: bytes = field(repr=False)
    sign_count: int
    label: str
    created_at: int
    used_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which a person is logged in, named by the SHA-256 hash of what its cookie holds."""

    hash: bytes
    person: int
    method: str
    created_at: int
    seen_at: int
    address: str
    agent: str


_PERSON = "SELECT id, login, name, role, language, theme, created_at, disabled_at FROM person"


# -- people --------------------------------------------------------------------------------------------
def add(tx: Transaction, login: str, name: str, role: Role, desks: tuple[str, ...], at: int) -> int:
    """The id of a person made just now, who cannot log in yet; `ConflictError` if the login is taken."""
    person = tx.add(
        "INSERT INTO person (login, name, role, language, theme, created_at) VALUES (?, ?, ?, '', '', ?)",
        (login, name, role.value, at),
    )
    tx.many("INSERT INTO person_desk (person, desk) VALUES (?, ?)", [(person, desk) for desk in desks])
    return person


def change(tx: Transaction, person: int, name: str, role: Role, desks: tuple[str, ...]) -> None:
    """Afterwards the person has this name, role and these desks."""
    tx.run("UPDATE person SET name = ?, role = ? WHERE id = ?", (name, role.value, person))
    tx.run("DELETE FROM person_desk WHERE person = ?", (person,))
    tx.many("INSERT INTO person_desk (person, desk) VALUES (?, ?)", [(person, desk) for desk in desks])


def disable(tx: Transaction, person: int, at: int | None) -> None:
    """Afterwards the person cannot log in, or again can if `at` is None."""
    tx.run("UPDATE person SET disabled_at = ? WHERE id = ?", (at, person))


def prefer(tx: Transaction, person: int, language: str, theme: str) -> None:
    """Afterwards pages come to this person in this language and theme; empty means what the browser asks for."""
    tx.run("UPDATE person SET language = ?, theme = ? WHERE id = ?", (language, theme, person))


def everybody(tx: Transaction) -> list[Person]:
    """All people, by login."""
    return [_person(tx, row) for row in tx.all(f"{_PERSON} ORDER BY login")]


def find(tx: Transaction, person: int) -> Person | None:
    """The person with this id."""
    row = tx.one(f"{_PERSON} WHERE id = ?", (person,))
    return None if row is None else _person(tx, row)


def find_login(tx: Transaction, login: str) -> Person | None:
    """The person who logs in so."""
    row = tx.one(f"{_PERSON} WHERE login = ?", (login,))
    return None if row is None else _person(tx, row)


def _person(tx: Transaction, row: tuple[Any, ...]) -> Person:
    person, login, name, role, language, theme, created_at, disabled_at = row
    desks = tx.all("SELECT desk FROM person_desk WHERE person = ? ORDER BY desk", (person,))
    return Person(
        person, login, name, Role(role), tuple(desk for (desk,) in desks), language, theme, created_at, disabled_at
    )


# -- proofs of identity ----------------------------------------------------------------------------------
def set_password(tx: Transaction, person: int, password: str, totp: str) -> None:
    """Afterwards the person logs in with the password behind this Argon2id hash and codes of this TOTP secret."""
    tx.run("UPDATE person SET password = ?, totp = ?, totp_step = 0 WHERE id = ?", (password, totp, person))


def password(tx: Transaction, person: int) -> tuple[str, str, int] | None:
    """The password's hash, the TOTP secret and the last time step whose code was used; None if there are none."""
    row = tx.one("SELECT password, totp, totp_step FROM person WHERE id = ? AND password IS NOT NULL", (person,))
    return None if row is None else (row[0], row[1], row[2])


def use_totp(tx: Transaction, person: int, step: int) -> bool:
    """Whether no code of this time step or a later one was used before; afterwards one was."""
    return tx.run("UPDATE person SET totp_step = ? WHERE id = ? AND totp_step < ?", (step, person, step)) == 1


def add_passkey(tx: Transaction, key: Passkey) -> None:
    """Afterwards the person can log in with it; `ConflictError` if it is there already."""
    tx.run(
        "INSERT INTO passkey (id, person, public_key, sign_count, label, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (key.id, key.person, key.public_key, key.sign_count, key.label, key.created_at),
    )


def passkey(tx: Transaction, credential: bytes) -> Passkey | None:
    """The passkey with this credential id."""
    row = tx.one(f"{_PASSKEY} WHERE id = ?", (credential,))
    return None if row is None else Passkey(*row)


def passkeys(tx: Transaction, person: int) -> list[Passkey]:
    """The person's passkeys, oldest first."""
    return [Passkey(*row) for row in tx.all(f"{_PASSKEY} WHERE person = ? ORDER BY created_at, id", (person,))]


_PASSKEY = "SELECT id, person, public_key, sign_count, label, created_at, used_at FROM passkey"


def use_passkey(tx: Transaction, credential: bytes, sign_count: int, at: int) -> None:
    """Afterwards the passkey was used at `at`, and says so many uses."""
    tx.run("UPDATE passkey SET sign_count = ?, used_at = ? WHERE id = ?", (sign_count, at, credential))


def drop_passkey(tx: Transaction, person: int, credential: bytes) -> bool:
    """Whether the person had this passkey; afterwards not."""
    return tx.run("DELETE FROM passkey WHERE id = ? AND person = ?", (credential, person)) == 1


def set_recovery_codes(tx: Transaction, person: int, hashes: list[bytes]) -> None:
    """Afterwards these codes, each once, let the person in, and no others."""
    tx.run("DELETE FROM recovery_code WHERE person = ?", (person,))
    tx.many("INSERT INTO recovery_code (hash, person) VALUES (?, ?)", [(each, person) for each in hashes])


def recovery_codes(tx: Transaction, person: int) -> int:
    """How many are left."""
    row = tx.one("SELECT count(*) FROM recovery_code WHERE person = ?", (person,))
    return int(row[0]) if row else 0


def use_recovery_code(tx: Transaction, person: int, hashed: bytes) -> bool:
    """Whether this code was left; afterwards it is not."""
    return tx.run("DELETE FROM recovery_code WHERE person = ? AND hash = ?", (person, hashed)) == 1


def forget_proofs(tx: Transaction, person: int) -> None:
    """Afterwards the person has no way to log in, and no session."""
    for table in ("passkey", "recovery_code", "web_session", "invitation"):
        tx.run(f"DELETE FROM {table} WHERE person = ?", (person,))  # noqa: S608 - names from the line above
    tx.run("UPDATE person SET password = NULL, totp = NULL, totp_step = 0 WHERE id = ?", (person,))


# -- invitations -----------------------------------------------------------------------------------------
def invite(tx: Transaction, person: int, hashed: bytes, expires_at: int) -> None:
    """Afterwards whoever has the text behind `hashed` may choose, once, how this person logs in."""
    tx.run("DELETE FROM invitation WHERE person = ?", (person,))
    tx.run("INSERT INTO invitation (hash, person, expires_at) VALUES (?, ?, ?)", (hashed, person, expires_at))


def invited(tx: Transaction, hashed: bytes, now: int) -> int | None:
    """The id of the person for whom this invitation is good at `now`."""
    row = tx.one("SELECT person FROM invitation WHERE hash = ? AND expires_at > ?", (hashed, now))
    return None if row is None else int(row[0])


def use_invitation(tx: Transaction, hashed: bytes) -> bool:
    """Whether it was still there; afterwards not."""
    return tx.run("DELETE FROM invitation WHERE hash = ?", (hashed,)) == 1


# -- sessions --------------------------------------------------------------------------------------------
_SESSION = "SELECT hash, person, method, created_at, seen_at, address, agent FROM web_session"


def open_session(tx: Transaction, session: Session) -> None:
    """Afterwards this browser is logged in."""
    tx.run(
        "INSERT INTO web_session (hash, person, method, created_at, seen_at, address, agent) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            session.hash,
            session.person,
            session.method,
            session.created_at,
            session.seen_at,
            session.address,
            session.agent,
        ),
    )


def sessions(tx: Transaction, person: int | None = None) -> list[Session]:
    """The open sessions, of one person or of all, newest first."""
    where, values = ("", ()) if person is None else (" WHERE person = ?", (person,))
    return [Session(*row) for row in tx.all(f"{_SESSION}{where} ORDER BY created_at DESC, hash", values)]


def see_session(tx: Transaction, hashed: bytes, at: int) -> None:
    """Afterwards the session was used at `at`."""
    tx.run("UPDATE web_session SET seen_at = max(seen_at, ?) WHERE hash = ?", (at, hashed))


def close_session(tx: Transaction, hashed: bytes) -> bool:
    """Whether it was open; afterwards not."""
    return tx.run("DELETE FROM web_session WHERE hash = ?", (hashed,)) == 1


def close_sessions(tx: Transaction, person: int, but: bytes = b"") -> int:
    """How many sessions of the person were closed: all but the one named."""
    return tx.run("DELETE FROM web_session WHERE person = ? AND hash <> ?", (person, but))


# -- the log of what people did --------------------------------------------------------------------------
def record(tx: Transaction, entry: Entry) -> bytes:
    """The head of the log, once `entry` is its newest."""
    head = chain(journal_head(tx)[1], entry)
    tx.run(
        "INSERT INTO journal (at, who, act, about, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.at, entry.who, entry.act, entry.about, entry.detail, head),
    )
    return head


def journal_head(tx: Transaction) -> tuple[int, bytes]:
    """How many entries there are, and the hash of the newest."""
    row = tx.one("SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1")
    return (0, START) if row is None else (int(row[0]), bytes(row[1]))


def journal_length(tx: Transaction) -> int:
    """The number that the newest entry was given, whether it is still there or not."""
    row = tx.one("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
    return int(row[0]) if row else 0


def journal(tx: Transaction, after: int = 0, limit: int = 1_000) -> list[tuple[int, Entry, bytes]]:
    """At most `limit` entries behind the one with this number, oldest first: number, entry, hash."""
    sql = "SELECT id, at, who, act, about, detail, hash FROM journal WHERE id > ? ORDER BY id LIMIT ?"
    return [(row[0], Entry(*row[1:6]), row[6]) for row in tx.all(sql, (after, limit))]


def journal_newest(tx: Transaction, before: int, limit: int) -> list[tuple[int, Entry]]:
    """At most `limit` entries before the one with this number, newest first."""
    sql = "SELECT id, at, who, act, about, detail FROM journal WHERE id < ? ORDER BY id DESC LIMIT ?"
    return [(row[0], Entry(*row[1:])) for row in tx.all(sql, (before, limit))]
