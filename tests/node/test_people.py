"""Who gets in, and who does not: passwords with codes, passkeys, recovery codes, invitations, sessions, roles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import pyotp
import pytest

from keys import passwords
from keys.journal import first_broken
from keys.throttle import FREE_FAILURES, LONGEST_SECONDS
from node import desks
from node.desks import Desks
from node.memory_store import MemoryStore
from node.people import heads, register
from node.people.accounts import Accounts
from node.people.acts import NODE, Act
from node.people.doors import Doors, LoggedIn, Where
from node.people.passkeys import CHALLENGE_SECONDS
from node.people.register import INVITATION_SECONDS, Lifetime, Register
from node.people.roles import Power, Role
from node.people.site import Site
from node.store import Transaction
from node.tables import people as table
from protocol.errors import (
    ExistsError,
    ForbiddenError,
    LoginError,
    TooManyError,
    UnauthorizedError,
    UnknownDeskError,
    UsageError,
)
from tests.support.authenticator import Authenticator

T = TypeVar("T")

HERE = Where("192.0.2.7", "Browser/1.0")
PASSWORD = "una frase bastante larga"


@dataclass
class Keeper:
    store: MemoryStore

    async def write(self, job: Callable[[Transaction], T]) -> T:
        return self.store.run(job)

    async def read(self, job: Callable[[Transaction], T]) -> T:
        return self.store.read(job)


@dataclass
class Office:
    """The people of a member with two desks, and a clock turned by hand."""

    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        for name in ("central", "antidrogas"):
            self.store.run(lambda tx, name=name: desks.add(tx, name, int(self.now)))  # type: ignore[misc]
        self.site = Site("http://localhost:8451", "localhost")
        self.open()

    def open(self) -> None:
        """Start anew on what is stored."""
        self.register = Register(Keeper(self.store), self.store.read(Desks), lambda: self.now, Lifetime(3_600, 600))
        self.doors = Doors(self.register, self.site)
        self.accounts = Accounts(self.doors)

    async def invite(self, login: str = "ana.perez", role: Role = Role.PROSECUTOR, *places: str) -> str:
        return await self.register.add(NODE, login, "Ana Pérez", role, places or ("central",))

    async def enrol(self, login: str = "ana.perez") -> tuple[LoggedIn, list[str], str]:
        text, secret = await self.invite(login), pyotp.random_base32()
        opened, codes = await self.doors.enrol_password(text, PASSWORD, secret, self.code(secret), HERE)
        self.now += 60
        return opened, codes, secret

    async def enrol_passkey(self) -> tuple[Authenticator, LoggedIn]:
        text, key = await self.invite(), Authenticator()
        made = key.make(await self.doors.ask_enrol_passkey(text))
        opened, _codes = await self.doors.enrol_passkey(text, "teléfono", made, HERE)
        return key, opened

    def code(self, secret: str, steps: int = 0) -> str:
        return pyotp.TOTP(secret).at(int(self.now) + 30 * steps)

    def acts(self) -> list[str]:
        return [entry.act for _, entry, _ in self.store.read(table.journal)]


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_PASSES", 1)
    monkeypatch.setattr(passwords, "_MEMORY_BYTES", 8_192)
    passwords.nobody.cache_clear()


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.store.close()


# -- password and code -----------------------------------------------------------------------------------
async def test_a_password_with_its_code_opens_a_session(office: Office) -> None:
    _, _, secret = await office.enrol()
    opened = await office.doors.login_password("ana.perez", PASSWORD, office.code(secret), HERE)
    visitor = await office.register.visitor(opened.cookie)
    assert visitor is not None
    assert (visitor.person.name, visitor.session.method, visitor.session.address) == (
        "Ana Pérez", "password+totp", HERE.address,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [-1, 1])
async def test_a_code_may_be_a_step_early_or_late(office: Office, steps: int) -> None:
    _, _, secret = await office.enrol()
    await office.doors.login_password("ana.perez", PASSWORD, office.code(secret, steps), HERE)


async def test_a_code_lets_in_once(office: Office) -> None:
    _, _, secret = await office.enrol()
    code = office.code(secret)
    await office.doors.login_password("ana.perez", PASSWORD, code, HERE)
    with pytest.raises(LoginError):
        await office.doors.login_password("ana.perez", PASSWORD, code, HERE)


@pytest.mark.parametrize(
    ("login", "password", "shift"),
    [("ana.perez", PASSWORD + "x", 0), ("ana.perez", PASSWORD, 3), ("nadie", PASSWORD, 0), ("ana.perez", "", 0)],
)
async def test_nothing_less_lets_in(office: Office, login: str, password: str, shift: int) -> None:
    _, _, secret = await office.enrol()
    with pytest.raises(LoginError):
        await office.doors.login_password(login, password, office.code(secret, shift), HERE)
    assert (office.acts()[-1] == Act.LOGIN_FAILED) == (login == "ana.perez")


async def test_what_is_stored_of_a_password_is_its_hash(office: Office) -> None:
    opened, codes, _ = await office.enrol()
    dump = "\n".join(office.store.read(lambda tx: [repr(row) for row in _everything(tx)]))
    assert "$argon2id$" in dump
    for secret in (PASSWORD, opened.cookie, codes[0], codes[0].replace("-", "")):
        assert secret not in dump
    assert opened.cookie not in repr(opened)


def _everything(tx: Transaction) -> list[object]:
    tables = ("person", "person_desk", "passkey", "recovery_code", "invitation", "web_session", "journal")
    return [row for name in tables for row in tx.all(f"SELECT * FROM {name}")]  # noqa: S608


@pytest.mark.parametrize("password", ["corta", "ana.perez ana.perez", "aaaaaaaaaaaaaaaa", "x" * 257])
async def test_a_weak_password_is_refused(office: Office, password: str) -> None:
    text, secret = await office.invite(), pyotp.random_base32()
    with pytest.raises(UsageError):
        await office.doors.enrol_password(text, password, secret, office.code(secret), HERE)
    await office.doors.enrol_password(text, PASSWORD, secret, office.code(secret), HERE)


# -- guessing --------------------------------------------------------------------------------------------
@pytest.mark.attack("brute force")
async def test_guessing_is_slowed_and_the_owner_gets_in_later(office: Office) -> None:
    _, _, secret = await office.enrol()
    for _ in range(FREE_FAILURES):
        with pytest.raises(LoginError):
            await office.doors.login_password("ana.perez", "adivinada", "000000", HERE)
    with pytest.raises(TooManyError):
        await office.doors.login_password("ana.perez", PASSWORD, office.code(secret), HERE)
    office.now += LONGEST_SECONDS
    await office.doors.login_password("ana.perez", PASSWORD, office.code(secret), HERE)


async def test_many_guesses_at_once_gain_nothing(office: Office) -> None:
    await office.enrol()
    tries = [
        office.doors.login_password("ana.perez", f"adivinada {i}", "000000", HERE) for i in range(FREE_FAILURES * 3)
    ]
    told = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(type(each) is LoginError for each in told) == FREE_FAILURES
    assert sum(type(each) is TooManyError for each in told) == FREE_FAILURES * 2


@pytest.mark.attack("brute force")
async def test_guesses_of_which_nobody_awaits_the_answer_count(office: Office) -> None:
    await office.enrol()
    for number in range(FREE_FAILURES):
        guess = asyncio.create_task(office.doors.login_password("ana.perez", f"adivinada {number}", "000000", HERE))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        guess.cancel()
    with pytest.raises(TooManyError, match="wait"):
        await office.doors.login_password("ana.perez", "adivinada", "000000", HERE)


@pytest.mark.attack("brute force")
async def test_an_address_that_guesses_logins_is_slowed_too(office: Office) -> None:
    for number in range(FREE_FAILURES):
        with pytest.raises(LoginError):
            await office.doors.login_recovery(f"nadie{number}", "ABCD-EFGH-IJKL-MNOP", HERE)
    with pytest.raises(TooManyError):
        await office.doors.login_recovery("otro", "ABCD-EFGH-IJKL-MNOP", HERE)
    with pytest.raises(LoginError):
        await office.doors.login_recovery("otro", "ABCD-EFGH-IJKL-MNOP", Where("192.0.2.8", ""))


# -- passkeys --------------------------------------------------------------------------------------------
async def test_a_passkey_opens_a_session(office: Office) -> None:
    key, _ = await office.enrol_passkey()
    opened = await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)
    assert opened.visitor.person.login == "ana.perez"
    assert opened.visitor.session.method == "passkey"


@pytest.mark.parametrize(
    "fault",
    [
        lambda key: setattr(key, "origin", "http://localhost:9999"),
        lambda key: setattr(key, "host", "evil.example"),
        lambda key: setattr(key, "verifies", False),
        lambda key: setattr(key, "key", Authenticator().key),
        lambda key: setattr(key, "credential", bytes(32)),
        lambda key: setattr(key, "count", -1),
    ],
    ids=["origin", "host", "without its owner", "other key", "unknown", "copied"],
)
async def test_no_other_passkey_does(office: Office, fault: Callable[[Authenticator], None]) -> None:
    key, _ = await office.enrol_passkey()
    key.count = 5
    await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)
    fault(key)
    with pytest.raises(UnauthorizedError):
        await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)


async def test_an_answer_counts_once_and_not_for_long(office: Office) -> None:
    key, _ = await office.enrol_passkey()
    answer = key.prove(office.doors.ask_passkey())
    await office.doors.login_passkey(answer, HERE)
    with pytest.raises(UnauthorizedError):
        await office.doors.login_passkey(answer, HERE)
    late = key.prove(office.doors.ask_passkey())
    office.now += CHALLENGE_SECONDS + 1
    with pytest.raises(UnauthorizedError):
        await office.doors.login_passkey(late, HERE)


async def test_a_question_to_one_person_is_not_answered_by_another(office: Office) -> None:
    key, opened = await office.enrol_passkey()
    question = await office.accounts.ask_new_passkey(opened.visitor)
    with pytest.raises(UnauthorizedError):
        await office.doors.login_passkey(key.prove(question), HERE)


@pytest.mark.parametrize("answer", [{}, {"id": 7}, {"id": "!!"}, {"id": "AAAA", "response": {}}, {"id": "AAAA"}])
async def test_what_is_no_answer_lets_nobody_in(office: Office, answer: dict[str, object]) -> None:
    await office.enrol_passkey()
    with pytest.raises(UnauthorizedError):
        await office.doors.login_passkey(answer, HERE)


async def test_the_last_way_in_stays(office: Office) -> None:
    key, opened = await office.enrol_passkey()
    with pytest.raises(UsageError):
        await office.accounts.drop_passkey(opened.visitor, key.credential)
    second = Authenticator()
    made = second.make(await office.accounts.ask_new_passkey(opened.visitor))
    await office.accounts.new_passkey(opened.visitor, "", made)
    elsewhere = await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)
    await office.accounts.drop_passkey(opened.visitor, key.credential)
    # Whoever came in by it is out, too.
    assert await office.register.visitor(elsewhere.cookie) is None
    assert await office.register.visitor(opened.cookie)
    with pytest.raises(LoginError):
        await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)
    await office.doors.login_passkey(second.prove(office.doors.ask_passkey()), HERE)


async def test_a_lost_authenticator_is_replaced_by_whoever_came_in_with_a_recovery_code(office: Office) -> None:
    _, codes, old = await office.enrol()
    other = await office.doors.login_password("ana.perez", PASSWORD, office.code(old), HERE)
    opened = await office.doors.login_recovery("ana.perez", codes[0], HERE)
    secret, chosen = pyotp.random_base32(), PASSWORD + " nueva"
    await office.doors.renew_password(opened.visitor, chosen, secret, office.code(secret), HERE)
    assert office.acts()[-1] == Act.PASSWORD_SET
    assert await office.register.visitor(opened.cookie)
    assert await office.register.visitor(other.cookie) is None
    office.now += 60
    with pytest.raises(LoginError):
        await office.doors.login_password("ana.perez", PASSWORD, office.code(old), HERE)
    await office.doors.login_password("ana.perez", chosen, office.code(secret), HERE)


async def test_a_login_is_fresh_for_ten_minutes(office: Office) -> None:
    _, opened = await office.enrol_passkey()
    office.now += register.FRESH_SECONDS - 1
    assert office.register.is_fresh(opened.visitor)
    office.now += 1
    assert not office.register.is_fresh(opened.visitor)


# -- recovery codes and invitations ------------------------------------------------------------------------
async def test_a_recovery_code_lets_in_once(office: Office) -> None:
    _, codes, _ = await office.enrol()
    typed = codes[3].lower().replace("-", " ")
    opened = await office.doors.login_recovery("ana.perez", typed, HERE)
    assert opened.visitor.session.method == "recovery-code"
    assert (await office.accounts.show(opened.visitor))[2] == len(codes) - 1
    with pytest.raises(LoginError):
        await office.doors.login_recovery("ana.perez", codes[3], HERE)


async def test_new_codes_replace_the_old_ones(office: Office) -> None:
    opened, codes, _ = await office.enrol()
    fresh = await office.accounts.renew_codes(opened.visitor)
    with pytest.raises(LoginError):
        await office.doors.login_recovery("ana.perez", codes[0], HERE)
    await office.doors.login_recovery("ana.perez", fresh[0], HERE)


async def test_nobody_gets_in_with_the_code_of_another(office: Office) -> None:
    _, codes, _ = await office.enrol()
    await office.enrol("luis")
    with pytest.raises(LoginError):
        await office.doors.login_recovery("luis", codes[0], HERE)


async def test_an_invitation_is_good_once_and_for_three_days(office: Office) -> None:
    text, secret = await office.invite(), pyotp.random_base32()
    await office.doors.enrol_password(text, PASSWORD, secret, office.code(secret), HERE)
    with pytest.raises(LoginError):
        await office.doors.enrol_password(text, PASSWORD, secret, office.code(secret), HERE)
    late = await office.register.invite(NODE, "ana.perez")
    office.now += INVITATION_SECONDS
    with pytest.raises(LoginError):
        await office.doors.invited(late)


async def test_a_newer_invitation_ends_the_older(office: Office) -> None:
    old = await office.invite()
    await office.register.invite(NODE, "ana.perez")
    with pytest.raises(LoginError):
        await office.doors.invited(old)


async def test_a_second_invitation_ends_every_way_in_of_before(office: Office) -> None:
    key, opened = await office.enrol_passkey()
    text, fresh = await office.register.invite(NODE, "ana.perez"), Authenticator()
    # A device that was lost is logged out before the invitation is used.
    assert await office.register.visitor(opened.cookie) is None
    await office.doors.enrol_passkey(text, "", fresh.make(await office.doors.ask_enrol_passkey(text)), HERE)
    with pytest.raises(LoginError):
        await office.doors.login_passkey(key.prove(office.doors.ask_passkey()), HERE)


# -- sessions ----------------------------------------------------------------------------------------------
async def test_a_session_ends_by_itself(office: Office) -> None:
    opened, _, _ = await office.enrol()
    for _ in range(5):
        office.now += 500
        assert await office.register.visitor(opened.cookie) is not None
    office.now += 600
    assert await office.register.visitor(opened.cookie) is None


async def test_no_use_makes_a_session_last_longer_than_its_time(office: Office) -> None:
    opened, _, _ = await office.enrol()
    seen = 0
    while await office.register.visitor(opened.cookie) is not None:
        office.now, seen = office.now + 500, seen + 1
    assert 6 <= seen <= 8


async def test_sessions_are_listed_and_closed_and_outlive_a_restart(office: Office) -> None:
    first, _, secret = await office.enrol()
    second = await office.doors.login_password("ana.perez", PASSWORD, office.code(secret), HERE)
    assert len((await office.accounts.show(second.visitor))[3]) == 2
    office.open()
    await office.register.refresh()
    assert await office.register.visitor(first.cookie) is not None
    await office.accounts.close_session(second.visitor, first.visitor.session.hash)
    assert await office.register.visitor(first.cookie) is None
    assert await office.register.visitor(second.cookie) is not None


async def test_nobody_closes_the_session_of_another(office: Office) -> None:
    mine, _, _ = await office.enrol()
    other, _, _ = await office.enrol("luis")
    await office.accounts.close_session(other.visitor, mine.visitor.session.hash)
    assert await office.register.visitor(mine.cookie) is not None


@pytest.mark.parametrize("cookie", [None, "", "x", "A" * 43, "\udce4"])
async def test_no_other_cookie_opens_anything(office: Office, cookie: str | None) -> None:
    await office.enrol()
    assert await office.register.visitor(cookie) is None


# -- people and roles --------------------------------------------------------------------------------------
async def test_who_is_disabled_is_out_at_once_and_stays_out(office: Office) -> None:
    opened, codes, secret = await office.enrol()
    await office.register.disable(NODE, "ana.perez")
    assert await office.register.visitor(opened.cookie) is None
    with pytest.raises(LoginError):
        await office.doors.login_password("ana.perez", PASSWORD, office.code(secret), HERE)
    text = await office.register.enable(NODE, "ana.perez")
    with pytest.raises(LoginError):
        await office.doors.login_recovery("ana.perez", codes[0], HERE)
    assert (await office.doors.invited(text)).login == "ana.perez"


async def test_a_change_of_role_or_desks_counts_in_open_sessions(office: Office) -> None:
    opened, _, _ = await office.enrol()
    await office.register.assign(NODE, "ana.perez", "Ana Pérez", Role.CLERK, ["antidrogas"])
    visitor = await office.register.visitor(opened.cookie)
    assert visitor is not None
    visitor.require(Power.WRITE, "antidrogas")
    for power, desk in ((Power.DECIDE, "antidrogas"), (Power.READ, "central"), (Power.ADMINISTER, None)):
        with pytest.raises(ForbiddenError):
            visitor.require(power, desk)


async def test_logins_are_taken_once_and_desks_must_exist(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.invite()
    with pytest.raises(ExistsError):
        await office.invite()
    with pytest.raises(UnknownDeskError):
        await office.invite("luis", Role.CLERK, "blanqueo")
    for login in ("Ana", "a", "ana..perez", "ana perez", "../ana", "x" * 33):
        with pytest.raises(UsageError):
            await office.invite(login)
    monkeypatch.setattr(register, "MAX_DESKS", 0)
    with pytest.raises(UsageError, match="at most"):
        await office.invite("luis", Role.CLERK)
    monkeypatch.undo()
    for name in ("", " ", "x" * 121):
        with pytest.raises(UsageError):
            await office.register.add(NODE, "luis", name, Role.CLERK, [])


async def test_nobody_is_called_as_the_journal_calls_the_operator(office: Office) -> None:
    with pytest.raises(UsageError, match="choose another"):
        await office.register.add(NODE, NODE, "Nadie", Role.CLERK, [])


async def test_the_journal_tells_every_act_and_shows_tampering(office: Office) -> None:
    opened, _, _ = await office.enrol()
    await office.register.record(opened.visitor, Act.OPENED, "msg_a", "central")
    await office.accounts.logout(opened.visitor)
    assert office.acts() == ["person-added", "invited", "password-set", "logged-in", "opened", "logged-out"]

    def check() -> int | None:
        return first_broken([(entry, hashed) for _, entry, hashed in office.store.read(table.journal)])

    assert check() is None
    whole = await heads.checked(office.register)
    assert (whole.broken, (whole.count, whole.head)) == (None, office.store.read(table.journal_head))
    office.store.run(lambda tx: tx.run("UPDATE journal SET who = 'otra' WHERE act = 'opened'"))
    assert check() == 4
    assert (await heads.checked(office.register)).broken == 5
    office.store.run(lambda tx: tx.run("DELETE FROM journal WHERE id = 2"))
    assert check() == 1
    assert (await heads.checked(office.register)).broken == 2


async def test_a_journal_without_its_end_shows_and_a_long_one_is_read_in_slices(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "_SLICE", 2)
    opened, _, _ = await office.enrol()
    for _ in range(3):
        await office.register.record(opened.visitor, Act.OPENED, "msg_a", "central")
    assert (await heads.checked(office.register)).count == len(office.acts())
    office.store.run(lambda tx: tx.run("DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)"))
    assert (await heads.checked(office.register)).broken == len(office.acts()) + 1


async def test_the_log_tells_each_head_once_and_the_last_at_the_end(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "TELL_SECONDS", 0)
    opened, _, _ = await office.enrol()
    lines: list[dict[str, Any]] = []
    log: Any = SimpleNamespace(info=lambda event, **told: lines.append({"event": event} | told))
    telling = asyncio.create_task(heads.keep_telling(office.register, log))
    async with asyncio.timeout(10):
        while not lines:  # noqa: ASYNC110 - what is waited for is a line of the log
            await asyncio.sleep(0.01)
    assert len(lines) == 1
    telling.cancel()
    await office.register.record(opened.visitor, Act.OPENED, "msg_a", "central")
    with pytest.raises(asyncio.CancelledError):
        await telling
    number, head = office.store.read(table.journal_head)
    assert [each["count"] for each in lines] == [number - 1, number]
    assert (lines[-1]["event"], lines[-1]["head"]) == ("journal_head", head.hex())
