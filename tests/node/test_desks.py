"""Desks and tokens: shown once, stored hashed, valid until revoked, and no wider than their desk."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest
from sqlcipher3 import dbapi2
from sqlite_utils import Database

from node import desks
from node.desks import AtDesk, Desks, FreshToken
from node.memory_store import MemoryStore
from node.schema import steps
from node.sql import SqlTransaction
from node.tables import desks as table
from protocol.errors import ExistsError, UnauthorizedError, UnknownDeskError, UsageError

NOW = 1_800_000_000


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    store = MemoryStore()
    store.run(lambda tx: desks.add(tx, "central", NOW))
    yield store
    store.close()


def token(store: MemoryStore, desk: str = "central", label: str = "") -> FreshToken:
    fresh = desks.draw_token(desk, label, NOW)
    store.run(lambda tx: desks.add_token(tx, fresh))
    return fresh


def caller(store: MemoryStore, header: str | None) -> AtDesk:
    return store.read(Desks).caller(header, NOW)


def test_a_token_speaks_for_its_desk(store: MemoryStore) -> None:
    fresh = token(store)
    assert fresh.text.startswith("vlj_")
    assert len(base64.urlsafe_b64decode(fresh.text[13:] + "=")) == desks.TOKEN_BYTES
    assert caller(store, f"Bearer {fresh.text}") == AtDesk("central", token=fresh.token.handle)
    assert caller(store, f"bearer  {fresh.text} ") == AtDesk("central", token=fresh.token.handle)


def test_whoever_finds_a_token_knows_which_one_to_end(store: MemoryStore) -> None:
    fresh, _other = token(store), token(store)
    handle = fresh.text.split("_")[1]
    assert len(handle) == 8
    assert [each.handle for each in store.read(table.tokens) if each == fresh.token] == [handle]
    assert store.run(lambda tx: desks.revoke(tx, handle, NOW)).hash == fresh.token.hash


def test_a_token_of_before_is_called_by_its_hash_and_goes_on() -> None:
    text, database = "vlj_" + "A" * 43, Database(dbapi2.connect(":memory:", isolation_level=None))
    steps.apply(database, stop_before="handled")
    hashed = hashlib.sha256(text.encode()).digest()
    database.execute("INSERT INTO token (hash, desk, label, created_at) VALUES (?, 'central', '', ?)", (hashed, NOW))
    steps.apply(database)
    tx = SqlTransaction(database.conn)
    assert Desks(tx).caller(f"Bearer {text}", NOW).token == hashed.hex()[:8]
    assert desks.revoke(tx, hashed.hex()[:8], NOW).revoked_at == NOW


def test_no_two_tokens_are_alike_and_no_text_is_kept(store: MemoryStore) -> None:
    first, second = token(store), token(store)
    assert first.text != second.text
    stored = store.read(table.tokens)
    assert {each.hash for each in stored} == {hashlib.sha256(each.text.encode()).digest() for each in (first, second)}
    assert first.text not in repr(first)
    assert first.text not in repr(stored)


@pytest.mark.parametrize("spoil", [None, "", "Bearer", "Basic {}", "Bearer x{}", "Bearer {}x", "Bearer {}=", "{}",
                                   "Bearer \udce4{}"])  # fmt: skip
def test_nothing_else_opens_the_door(store: MemoryStore, spoil: str | None) -> None:
    fresh = token(store)
    with pytest.raises(UnauthorizedError):
        caller(store, None if spoil is None else spoil.format(fresh.text))


def test_a_token_is_good_until_its_last_second(store: MemoryStore) -> None:
    fresh = desks.draw_token("central", "", NOW, expires_at=NOW + 10)
    store.run(lambda tx: desks.add_token(tx, fresh))
    door, header = store.read(Desks), f"Bearer {fresh.text}"
    assert door.caller(header, NOW + 9.9).desk == "central"
    with pytest.raises(UnauthorizedError):
        door.caller(header, NOW + 10)


def test_a_revoked_token_is_none(store: MemoryStore) -> None:
    fresh, other = token(store), token(store)
    ended = store.run(lambda tx: desks.revoke(tx, fresh.token.handle, NOW + 5))
    assert (ended.desk, ended.revoked_at) == ("central", NOW + 5)
    again = store.run(lambda tx: desks.revoke(tx, fresh.token.handle, NOW + 9))
    assert again.revoked_at == NOW + 5
    with pytest.raises(UnauthorizedError):
        caller(store, f"Bearer {fresh.text}")
    assert caller(store, f"Bearer {other.text}").desk == "central"


@pytest.mark.parametrize("handle", ["", "zz", "0" * 65])
def test_a_handle_names_one_token_or_none_is_ended(store: MemoryStore, handle: str) -> None:
    token(store)
    token(store)
    with pytest.raises(UsageError):
        store.run(lambda tx: desks.revoke(tx, handle, NOW))
    assert all(each.revoked_at is None for each in store.read(table.tokens))


def test_desks_have_names_and_each_one_once(store: MemoryStore) -> None:
    store.run(lambda tx: desks.add(tx, "antidrogas", NOW + 1))
    with pytest.raises(ExistsError):
        store.run(lambda tx: desks.add(tx, "central", NOW + 2))
    with pytest.raises(UsageError):
        store.run(lambda tx: desks.add(tx, "Sala 1", NOW))
    fresh = token(store, "antidrogas", "sistema")
    listed = store.read(desks.listed)
    assert [(name, at, len(tokens)) for name, at, tokens in listed] == [("antidrogas", NOW + 1, 1), ("central", NOW, 0)]
    assert listed[0][2] == [fresh.token]
    assert store.read(Desks).require("antidrogas") == "antidrogas"
    with pytest.raises(UnknownDeskError):
        store.read(Desks).require("nada")


def test_no_token_for_no_desk(store: MemoryStore) -> None:
    with pytest.raises(UnknownDeskError):
        token(store, "nada")
    with pytest.raises(UsageError):
        desks.draw_token("central", "x" * 65, NOW)
    assert store.read(table.tokens) == []
