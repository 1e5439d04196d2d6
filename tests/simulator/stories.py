"""The rules of delivery, each with a story that ends well because of it, and what takes the rule out of the real cores.

The names are those of `tests.models.delivery.RULES`.  Where a rule is a second line of defence, the story takes out
the first one with it, as the model does (`dedupe_link` with `dedupe_message_id`): alone it would break nothing.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from hub.memory_base import Tables
from hub.memory_store import MemoryTransaction
from hub.relay import Group
from node import (
    acceptance,
    linking,
    numbering,
    posting,
    receipting,
    reception,
    recovery,
    refusing,
    status,
    upkeep,
)
from node.acceptance import Accepted, Request
from node.engine import Engine
from node.model import LinkState, pack
from node.posting import Post
from node.status import State
from node.tables import inbox, links, peers, signed, state
from protocol.errors import TooLateError
from protocol.messages.content import Urgency
from protocol.messages.message import Kind
from protocol.messages.receipts import Notice, Outcome
from protocol.names import MessageId, Party
from protocol.trust.statements import Cause
from tests.simulator.disks import Commit, Fate
from tests.simulator.judge import BrokenError
from tests.simulator.people import Asked, People
from tests.simulator.stage import AFTER_EXPIRY, AT_ONCE, Kept, R, S, Stage

Story = Callable[[Stage], None]
Removal = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Told:
    """A story, how the rule is removed, and what stands behind the rule and is removed with it."""

    story: Story
    removal: Removal
    behind: tuple[Removal, ...] = ()

    @contextmanager
    def removed(self, *, rule: bool) -> Iterator[None]:
        """What stands behind the rule is gone meanwhile, and with `rule` the rule too."""
        with ExitStack() as stack:
            for removal in (self.removal, *self.behind) if rule else self.behind:
                stack.enter_context(removal())
            yield


TOLD: dict[str, Told] = {}


def told(rule: str, removal: Removal, *behind: Removal) -> Callable[[Story], Story]:
    """This is the story of `rule`: it ends well without what stands `behind`, and not without `removal` too."""

    def kept(story: Story) -> Story:
        TOLD[rule] = Told(story, removal, behind)
        return story

    return kept


def without(owner: Any, name: str, double: Any = lambda *_args, **_how: None) -> Removal:
    """`owner.name` does what `double` does instead, by default nothing."""
    return lambda: mock.patch.object(owner, name, double)


# -- what is durable before what -----------------------------------------------------------------------
_decide = Fate.decide


def _unsynced(self: Fate, commit: Callable[[], object], undo: Callable[[], object]) -> None:
    if self.following is Commit.LOST and self.is_due():
        self.following = Commit.GOOD
        commit()
        self.on_lost()
    else:
        _decide(self, commit, undo)


unsynced = without(Fate, "decide", _unsynced)
"""A commit returns before it is durable: what it answered is out when the power fails."""

_request = recovery.request


def _unless_rolled_back(ctx: Any, cause: Cause) -> None:
    if cause is not Cause.ROLLED_BACK:
        _request(ctx, cause)


never_rolled_back = without(recovery, "request", _unless_rolled_back)
"""Whoever shows a node that it was rolled back is not believed."""


@told("author_persist", unsynced)
def author_persist(at: Stage) -> None:
    at.off(at.r)
    at.hub.kill()  # nobody else has it when the power fails
    at.power_fails_at_commit(at.s)
    at.write()
    at.run(30)
    at.hub.start()
    at.on(at.r)
    at.ends_well()


@told("link_persist", unsynced, never_rolled_back)
def link_persist(at: Stage) -> None:
    at.hub.kill()
    at.run(1)
    first = at.write()
    at.run(1)
    at.power_fails_at_commit(at.s, "SELECT 1 FROM link")
    at.hub.start()
    at.until(lambda: at.s.running is None, 120)
    at.until(lambda: at.s.running is not None and at.s.running.rounds is not None)
    at.town.people.withdraw(first)
    at.write("k2")
    at.ends_well()


def _on_from_its_own(tx: Any, position: int) -> None:
    state.put(tx, "cursor", max(position, state.cursor(tx)))


@contextmanager
def hub_never_behind() -> Iterator[None]:
    """What a hub has forgotten it is believed to hold, and its positions to grow for ever."""
    with without(recovery, "_has_forgotten", lambda *_: False)(), without(state, "go_on_from", _on_from_its_own)():
        yield


@told("hub_persist", unsynced, hub_never_behind)
def hub_persist(at: Stage) -> None:
    at.off(at.r)
    at.power_fails_at_commit(at.hub)
    at.write()
    at.run(60)
    at.on(at.r)
    at.ends_well()


@told("archive_persist_handover", unsynced)
def archive_persist_handover(at: Stage) -> None:
    at.power_fails_at_commit(at.r, "SELECT 1 FROM inbox")
    at.write()
    at.run(60)
    at.ends_well()


@told("archive_persist_receipt", unsynced, never_rolled_back)
def archive_persist_receipt(at: Stage) -> None:
    at.power_fails_at_commit(at.r, "SELECT 1 FROM link WHERE kind = 2")
    at.write(urgency=Urgency.URGENT)
    at.run(60)
    at.ends_well()


@told("receipt_persist", unsynced, never_rolled_back)
def receipt_persist(at: Stage) -> None:
    at.power_fails_at_commit(at.s, "SELECT 1 FROM inlink")
    at.write()
    at.run(60)
    at.ends_well()


# -- dedupe --------------------------------------------------------------------------------------------
forgets_ids = without(inbox, "remembered", lambda *_args: {})
forgets_numbers = without(numbering, "_known", lambda *_args: {})


@told("dedupe_message_id", forgets_ids)
def dedupe_message_id(at: Stage) -> None:
    backup = at.s.backup()
    at.crossed()
    at.restore(at.s, backup)
    at.ends_well(AT_ONCE)


@told("dedupe_link", forgets_numbers, forgets_ids)
def dedupe_link(at: Stage) -> None:
    at.off(at.r)
    at.write()
    at.run(5)
    kept = at.keep(R)
    at.on(at.r)
    at.run(60)
    at.show_again(kept[0])
    at.ends_well(AT_ONCE)


def _accepted_again(self: Any, acceptances: Any) -> None:
    for each in acceptances:
        self._put(self._tables.envelopes[each.ref].acceptances, each.recipient, each)


def _unanswered(at: Stage) -> None:
    """The hub holds what was sent, and the sender has not heard so."""
    at.until(lambda: at.hub.disk.tables.envelopes)
    wire = at.town.wire_of(S)
    if wire is not None:
        wire.cut("before the answer arrives")


@told(
    "dedupe_hub",
    without(Group, "_held"),
    without(MemoryTransaction, "add_acceptances", _accepted_again),
    forgets_numbers,
    forgets_ids,
)
def dedupe_hub(at: Stage) -> None:
    at.off(at.r)
    at.write()
    _unanswered(at)
    at.run(30)
    at.on(at.r)
    at.ends_well(AT_ONCE)


_owe_receipt = reception._owe_receipt


def _owe_first_only(ctx: Any, taken: Any, judged: Any, due_at: float) -> None:
    if judged.fresh:
        _owe_receipt(ctx, taken, judged, due_at)


@told(
    "duplicate_receipted",
    without(reception, "_owe_receipt", _owe_first_only),
)
def duplicate_receipted(at: Stage) -> None:
    # The receipt is lost with the hub, and the archive that would send it again with it: only a duplicate brings another.
    at.write()
    _unanswered(at)
    at.off(at.s)
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox"))
    at.run(10)
    at.r.kill()
    at.r.disk.archive.run(lambda tx: tx.run("DELETE FROM owed"))
    at.r.disk.archive.run(lambda tx: tx.run("UPDATE link SET state = 7, wake_at = NULL WHERE kind = 2"))
    at.r.start()
    at.empty_hub()
    at.on(at.s)
    at.ends_well()


_message_id, _told = acceptance._message_id, People._told


def _takes_any_id(self: People, asked: Asked, answer: Any) -> None:
    if isinstance(answer, Accepted):
        asked.message = answer.message_id
        self.by_message[asked.sender, asked.message] = asked
    _told(self, asked, answer)


@contextmanager
def ids_drawn() -> Iterator[None]:
    """What is handed in again has another id, and its author takes it as it comes: each story draws anew."""
    drawn = itertools.count()

    def draw(me: Party, request: Request) -> MessageId:
        named = repr((_message_id(me, request), next(drawn)))
        return MessageId(hashlib.sha256(named.encode()).digest()[:16])

    with without(acceptance, "_message_id", draw)(), without(People, "_told", _takes_any_id)():
        yield


@told("stable_id", ids_drawn)
def stable_id(at: Stage) -> None:
    backup = at.s.backup()
    at.crossed()
    at.restore(at.s, backup)
    at.ends_well()
    copies = sum(at.town.judge.handed.values())
    if copies != 1:
        raise BrokenError(f"twice: R has {copies} copies of what was written once")


# What is removed here is `Post.answered` of our own sessions; the channel of each, whose keys are its own, stands before
# it in reality: an answer of an older session is put into the hands of the engine past it, in both runs.
def _of_any_session(self: Post, envelope_id: Any) -> Any:
    self._sent.setdefault(envelope_id, 0)
    return _answered(self, envelope_id)


_answered, _engine_answered, _session_opened = Post.answered, Engine.answered, Engine.session_opened


@told("answer_of_session", without(Post, "answered", _of_any_session), hub_never_behind)
def answer_of_session(at: Stage) -> None:
    image = at.hub.disk.backup()
    late: list[Any] = []

    def arrives_late(self: Engine, ctx: Any, results: Any) -> Any:
        return _engine_answered(self, ctx, results) if late else late.append(results)

    def opened(self: Engine, *args: Any, **how: Any) -> Any:
        start = _session_opened(self, *args, **how)
        _engine_answered(self, args[0], late[0])
        return start

    at.off(at.r)
    with without(Engine, "answered", arrives_late)():
        at.write()
        at.until(lambda: late)
        at.hub.kill()
    at.hub.roll_back(image)
    with without(Engine, "session_opened", opened)():
        at.hub.start_again()
        at.run(60)
    at.on(at.r)
    at.ends_well()


@told("caller_resubmits", without(People, "restored"))
def caller_resubmits(at: Stage) -> None:
    backup = at.s.backup()
    at.off(at.r)
    at.write()
    at.run(1)
    at.hub.kill()
    at.hub.restore(Tables(calendars=dict(at.hub.disk.tables.calendars)))
    at.restore(at.s, backup)
    at.hub.start()
    at.on(at.r)
    at.ends_well()


# -- receipts and acks -----------------------------------------------------------------------------------
_store = linking._store


def _receipts_once(ctx: Any, unsigned: Any, proof: Any, batch_row: int) -> int:
    row = _store(ctx, unsigned, proof, batch_row)
    if unsigned.link.kind is Kind.RECEIPT:
        links.settle(ctx.tx, row, LinkState.RELEASED)
    return row


_keep = posting._keep


def _never_resealed(ctx: Any, envelope: Any, rows: Any, kind: Kind) -> None:
    _keep(ctx, envelope, rows, Kind.EMPTY if kind is Kind.RECEIPT else kind)


@contextmanager
def receipts_sent_once() -> Iterator[None]:
    """A receipt leaves once, and is forgotten, as an empty link is."""
    with without(linking, "_store", _receipts_once)(), without(posting, "_keep", _never_resealed)():
        yield


@told("ack_releases", receipts_sent_once)
def ack_releases(at: Stage) -> None:
    # The hub loses the receipt, and S has lost the hour at which it would ask again: R alone can bring it.
    at.write()
    at.until(lambda: at.s.tx.all("SELECT 1 FROM link WHERE relayed = 1"))
    at.off(at.s)
    at.run(10)
    for item in at.mailbox(S):
        at.drop(item)
    at.s.disk.archive.run(lambda tx: tx.run("UPDATE link SET wake_at = NULL"))
    at.on(at.s)
    at.ends_well(AFTER_EXPIRY)


def _receipts_receipted(ctx: Any, taken: Any) -> None:
    _receipts(ctx, taken)
    _owe_receipt(ctx, taken, numbering.Judged(()), ctx.now)


_receipts = reception._receipts


@told("never_receipted", without(reception, "_TAKERS", reception._TAKERS | {Kind.RECEIPT: _receipts_receipted}))
def never_receipted(at: Stage) -> None:
    at.write()
    at.ends_well(AT_ONCE / 5)


def _apply_old(ctx: Any, taken: Any) -> None:
    _receipts(ctx, replace(taken, is_newest=True))


@told("stale_receipts", without(reception, "_TAKERS", reception._TAKERS | {Kind.RECEIPT: _apply_old}))
def stale_receipts(at: Stage) -> None:
    before = at.r.backup()
    at.write()
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox"))
    at.off(at.s)
    at.run(10)
    (late,) = at.keep(S)
    at.drop(late.item)
    at.restore(at.r, before)
    at.run(30)
    at.off(at.r)
    at.on(at.s)
    at.until(lambda: at.mailbox(R), 300)  # the notice was read, and the message goes again
    for item in at.mailbox(R):
        at.drop(item)
    at.show_again(late)
    at.run(30)
    at.on(at.r)
    at.ends_well(AFTER_EXPIRY)


once_receipted = without(reception, "_owe_receipt", _owe_first_only)
"""What comes again is not receipted again: else it would stand in for the receipt that is missing."""

_of_peer = links.of_peer
_answer_notice = recovery.answer_notice


def _unless_released(tx: Any, peer: int, kinds: Any) -> Any:
    return [each for each in _of_peer(tx, peer, kinds) if each.state is not LinkState.RELEASED]


def _messages_alone(ctx: Any, peer: Any, notice: Any) -> None:
    with without(links, "of_peer", lambda tx, of, _kinds: _of_peer(tx, of, (Kind.MESSAGE, Kind.VOID)))():
        _answer_notice(ctx, peer, notice)


def _restored_without_a_receipt(at: Stage) -> None:
    at.write()
    at.until(lambda: at.s.tx.all("SELECT 1 FROM link WHERE relayed = 1"))
    before = at.s.backup()  # the message is under way, its receipt not there
    at.run(10)
    at.crossed("k2").asks_again = False  # its link carries the ack that releases the receipt; nobody asks again for it
    at.restore(at.s, before)
    at.ends_well()


@told("receipts_archived", without(links, "of_peer", _unless_released), once_receipted)
def receipts_archived(at: Stage) -> None:
    _restored_without_a_receipt(at)


@told("ack_downward", without(recovery, "answer_notice", _messages_alone), once_receipted)
def ack_downward(at: Stage) -> None:
    _restored_without_a_receipt(at)


_messages = reception._messages


def _any_ack(ctx: Any, taken: Any) -> None:
    recovery.believe(ctx, replace(taken.peer, newest=taken.received.link.incarnation), taken.received.link.ack)
    _messages(ctx, taken)


@told("stale_acks", without(reception, "_TAKERS", reception._TAKERS | {Kind.MESSAGE: _any_ack}), once_receipted)
def stale_acks(at: Stage) -> None:
    at.write()
    at.until(lambda: at.s.tx.all("SELECT 1 FROM link WHERE relayed = 1"))
    before = at.s.backup()
    at.run(10)
    at.off(at.r)
    at.write("k2")  # its link carries an ack, and the hub holds it back
    at.run(5)
    acking = at.keep(R)[0]
    at.drop(acking.item)
    at.town.people.asked[S, "k2"].asks_again = False
    at.restore(at.s, before)
    at.run(30)
    at.off(at.s)
    at.on(at.r)
    at.run(30)  # it reads the notice, and sends its receipt again
    for item in at.mailbox(S):
        at.drop(item)
    at.show_again(acking)
    at.run(30)
    at.on(at.s)
    at.ends_well(AFTER_EXPIRY)


never_linked_again = without(receipting, "_link_again")
"""A message whose number was taken stays without one."""


# -- restores --------------------------------------------------------------------------------------------
@contextmanager
def never_anew() -> Iterator[None]:
    """No node ever begins a new incarnation."""
    with without(recovery, "request")(), without(recovery, "restored")():
        yield


@told("new_incarnation", never_anew)
def new_incarnation(at: Stage) -> None:
    before = at.r.backup()
    at.crossed()
    at.restore(at.r, before)
    at.ends_well()


@told("resend_after_notice", without(recovery, "answer_notice"))
def resend_after_notice(at: Stage) -> None:
    before = at.r.backup()
    at.crossed()
    at.restore(at.r, before)
    at.ends_well()


def _highest(ctx: Any, target: Any) -> Any:
    known = peers.all_series(ctx.tx, target.peer.id)
    body = Notice(tuple((series.incarnation, series.highest) for series in known))
    return upkeep.draft(ctx, Kind.NOTICE, target, [body.encode()])


@told("notice_contiguous", without(upkeep, "notice", _highest))
def notice_contiguous(at: Stage) -> None:
    at.crossed("k1")
    at.off(at.r)
    at.write("k2")
    at.run(5)
    second = at.keep(R)[0]
    at.drop(second.item)
    at.write("k3")
    at.run(5)
    at.on(at.r)
    at.run(30)
    before = at.r.backup()  # it holds the numbers 1 and 3
    at.show_again(second)
    at.run(30)
    at.restore(at.r, before)
    at.ends_well()


def _only_later(ctx: Any, peer: Any, notice: Any) -> None:
    held = dict(notice.held)
    for link in links.of_peer(ctx.tx, peer.id, (Kind.MESSAGE, Kind.VOID)):
        if link.last_seq > held.get(link.incarnation, 0):
            links.reopen(ctx.tx, link.id, ctx.second)


@told("notice_first", without(reception, "_may_begin", lambda *_args: True), once_receipted)
def notice_first(at: Stage) -> None:
    image = at.r.backup()
    at.crossed("k1")
    at.off(at.r)
    at.r.restore(image, is_noticed=False)
    at.write("k2")
    at.run(5)
    at.off(at.s)
    at.on(at.r)
    at.until(lambda: len(at.mailbox(S)) == 2)
    notice = at.keep(S)[0]
    at.drop(notice.item)
    at.on(at.s)
    at.run(30)  # the receipt of a life of which S has heard nothing
    at.show_again(notice)
    at.ends_well()


@told("notice_reseals_open", without(recovery, "answer_notice", _only_later))
def notice_reseals_open(at: Stage) -> None:
    at.write()
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox"))
    at.off(at.r)
    at.r.disk.archive.run(lambda tx: tx.run("DELETE FROM owed"))  # it holds the message and has lost the receipt
    at.restore(at.r, at.r.backup())
    at.ends_well()


@told("restored_reseals", without(recovery, "_carry_over"))
def restored_reseals(at: Stage) -> None:
    at.off(at.r)
    at.write()
    at.run(5)
    before = at.s.backup()
    for item in at.mailbox(R):
        at.drop(item)
    at.restore(at.s, before)
    at.run(30)
    at.on(at.r)
    at.ends_well()


@told("high_water", never_rolled_back, never_linked_again)
def high_water(at: Stage) -> None:
    at.off(at.r)
    image = at.s.backup()
    at.write()
    at.run(5)
    at.s.kill()
    at.s.restore(image, is_noticed=False)
    at.town.people.asked[S, "k"].asks_again = False  # nobody asks again for what is at the hub
    at.on(at.s)
    at.write("k2")
    at.run(30)
    at.on(at.r)
    at.ends_well()


@told("cursor_shown", never_rolled_back)
def cursor_shown(at: Stage) -> None:
    image = at.r.backup()
    at.write()
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox") and not at.mailbox(R))
    at.off(at.r)
    at.r.restore(image, is_noticed=False)
    at.on(at.r)
    at.ends_well()


# -- hubs ------------------------------------------------------------------------------------------------
def _raise(_ctx: Any, _item: Any, _attestation: Any, error: Any) -> None:
    raise error


@told("quarantine_acks", without(refusing, "refuse", _raise))
def quarantine_acks(at: Stage) -> None:
    at.off(at.r)
    at.write()
    at.run(5)
    at.tamper(at.mailbox(R)[0])
    at.on(at.r)
    at.ends_well(AT_ONCE)


def _refused_for_good(ctx: Any, peer: Any, receipt: Any) -> None:
    link = links.by_leaf(ctx.tx, receipt.link_leaf)
    if link is not None:
        links.settle(ctx.tx, link.id, LinkState.REFUSED)


@told("refusal_by_envelope", without(receipting, "asked_again", _refused_for_good))
def refusal_by_envelope(at: Stage) -> None:
    quarantine_acks(at)


_asked_again = receipting.asked_again


def _as_often_as_asked(ctx: Any, peer: Any, receipt: Any) -> None:
    link = links.by_leaf(ctx.tx, receipt.link_leaf)
    if link is not None:
        links.wake(ctx.tx, link.id, None)  # that it is about to be sealed again is not looked at
    _asked_again(ctx, peer, receipt)


@told("reseal_once", without(receipting, "asked_again", _as_often_as_asked))
def reseal_once(at: Stage) -> None:
    # The hub shows what it damaged again and again: by each complaint for itself the limit of a day would be reached.
    at.off(at.r)
    at.write()
    at.run(5)
    at.tamper(at.mailbox(R)[0])
    damaged = at.keep(R)[0]
    at.off(at.s)
    at.on(at.r)
    for _time in range(receipting.RESEALS_A_DAY):
        at.run(10)
        at.show_again(damaged)
    at.run(10)
    at.on(at.s)
    at.ends_well()


_keep_envelope = links.keep_envelope


def _no_wake(tx: Any, core: Any, rows: Any, _wake_at: int) -> int:
    row = _keep_envelope(tx, core, rows, _wake_at)
    tx.run("UPDATE link SET wake_at = NULL WHERE envelope = ?", (row,))
    return row


@told("own_clock", without(links, "keep_envelope", _no_wake))
def own_clock(at: Stage) -> None:
    at.off(at.r)
    at.write()
    at.run(5)
    at.drop(at.mailbox(R)[0])
    at.on(at.r)
    at.ends_well(AFTER_EXPIRY)


def _same_positions(tx: Any, met: Any) -> None:
    state.put(tx, "hub", pack(met))


@told("hub_incarnation", without(state, "meet_hub", _same_positions), hub_never_behind)
def hub_incarnation(at: Stage) -> None:
    for number in range(3):
        at.crossed(f"before {number}")
    at.empty_hub()
    at.run(20)
    at.write()
    at.ends_well(AT_ONCE / 2)


@told("hub_forgets", hub_never_behind)
def hub_forgets(at: Stage) -> None:
    image = at.hub.disk.backup()
    for number in range(3):
        at.crossed(f"before {number}")
    at.off(at.r)
    at.write("forgotten")
    at.run(5)
    at.hub.kill()
    at.hub.roll_back(image)
    at.hub.start_again()
    at.run(60)
    at.write("after")  # under a position that R took something else from
    at.run(30)
    at.on(at.r)
    at.ends_well(AT_ONCE)


def _unless_hub_changed(ctx: Any, cause: Cause) -> None:
    if cause is not Cause.HUB_CHANGED:
        _request(ctx, cause)


@told("hub_resubmit", without(recovery, "request", _unless_hub_changed))
def hub_resubmit(at: Stage) -> None:
    at.off(at.r)
    at.write()
    at.run(5)
    at.empty_hub()
    at.run(60)
    at.on(at.r)
    at.ends_well()


@told("new_hub", without(recovery, "request", _unless_hub_changed), never_linked_again)
def new_hub(at: Stage) -> None:
    # S was rolled back unnoticed, and the hub that could have told it is gone as well.
    at.crossed("k1")
    image = at.s.backup()
    at.write("k2")
    at.until(lambda: len(at.r.tx.all("SELECT 1 FROM inbox")) == 2)
    at.off(at.s)
    at.s.restore(image, is_noticed=False)
    at.town.people.asked[S, "k2"].asks_again = False
    at.off(at.r)
    at.empty_hub()
    at.on(at.s)
    at.write("k3")
    at.run(60)
    at.on(at.r)
    at.ends_well()


# -- withdrawals -------------------------------------------------------------------------------------------
forgets_voids = without(inbox, "remember_void")


def _voids_forgotten(ctx: Any, series: Any, link: Any) -> Any:
    found = _known(ctx, series, link)
    return {seq: each for seq, each in found.items() if each.outcome is not Outcome.VOID}


_known = numbering._known


def _taken_back(at: Stage) -> Kept:
    """A message is recalled from the hub, which keeps a copy of it."""
    at.off(at.r)
    asked = at.write()
    at.run(5)
    kept = at.keep(R)[0]
    at.town.people.withdraw(asked)
    at.run(5)
    at.on(at.r)
    at.run(30)
    return kept


def _recorded_over(tx: Any, series: int, numbers: Any) -> None:
    rows = [(series, seq, int(each.outcome), each.name) for seq, each in numbers]
    tx.many("INSERT OR REPLACE INTO number_in (series, seq, outcome, name) VALUES (?, ?, ?, ?)", rows)


@told(
    "void_closes",
    without(numbering, "_known", _voids_forgotten),
    forgets_voids,
    without(inbox, "record", _recorded_over),
)
def void_closes(at: Stage) -> None:
    kept = _taken_back(at)
    at.show_again(kept)
    at.run(1)
    at.town.judge.check()  # at once: in the end the truth would come out
    at.ends_well()


_settle_voids = receipting._settle_voids


def _void_believed(ctx: Any, source: Any, link: Any, receipt: Any) -> None:
    _settle_voids(ctx, source, link, replace(receipt, exceptions=()))


@told("void_truth", without(receipting, "_settle_voids", _void_believed))
def void_truth(at: Stage) -> None:
    asked = at.write()
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox"))
    at.off(at.r)  # before its receipt is due
    at.town.people.withdraw(asked)
    at.run(30)
    at.r.disk.archive.run(lambda tx: tx.run("DELETE FROM owed"))  # the void alone can bring the truth
    at.on(at.r)
    at.ends_well()


def _void_by_number(_memory: Any) -> Outcome:
    return Outcome.VOID


def _withdrawn_unseen(at: Stage, *, is_noticed: bool) -> None:
    """An older image of the sender knows nothing of what arrived; it is handed in and taken back while the hub is away."""
    before = at.s.backup()
    asked = at.crossed()
    at.off(at.s)
    at.s.restore(before, is_noticed=is_noticed)
    at.town.hub.kill()
    at.on(at.s)
    at.run(2)
    at.town.people.withdraw(asked)
    at.run(2)
    at.town.hub.start()
    at.ends_well()


@told("void_by_message", without(numbering, "_void_outcome", _void_by_number))
def void_by_message(at: Stage) -> None:
    _withdrawn_unseen(at, is_noticed=True)


@told("restored_void", without(recovery, "was_restored", lambda _ctx: False))
def restored_void(at: Stage) -> None:
    _withdrawn_unseen(at, is_noticed=True)


@told("compared_void", without(recovery, "started"))
def compared_void(at: Stage) -> None:
    _withdrawn_unseen(at, is_noticed=False)


def _never_there(at: Stage, asked: Asked) -> None:
    if at.r.tx.all("SELECT 1 FROM inbox WHERE message_id = ?", (asked.message,)):
        raise BrokenError("sent again: R has what its author took back")


def _stays_delivered(at: Stage, asked: Asked) -> None:
    told = [each.state for each in status.deliveries(at.s.tx, asked.message, int(at.s.now()))]
    if told != [State.DELIVERED]:
        raise BrokenError(f"untrue: told {told[0]} of what R has signed for")


@told("delivered_stays", without(signed, "keep"))
def delivered_stays(at: Stage) -> None:
    before = at.r.backup()
    asked = at.write(expires_at=int(at.s.now() + 120))
    at.run(10)
    _stays_delivered(at, asked)
    at.off(at.r)
    at.run(200)
    at.restore(at.r, before)
    at.ends_well()
    _never_there(at, asked)
    _stays_delivered(at, asked)


def _all_open_again(tx: Any, link: int, place: int) -> None:
    tx.run("DELETE FROM number_out WHERE link = ? AND place >= ?", (link, place))


@told("notice_voids", without(links, "reopen_numbers", _all_open_again))
def notice_voids(at: Stage) -> None:
    before = at.r.backup()
    asked = at.write()
    at.until(lambda: at.r.tx.all("SELECT 1 FROM inbox"))
    at.town.people.withdraw(asked)  # before its receipt is due
    at.run(30)
    _stays_delivered(at, asked)
    at.restore(at.r, before)
    at.ends_well()
    _never_there(at, asked)
    _stays_delivered(at, asked)


@told("signed_is_late", without(signed, "peers_of", lambda *_args: set()))
def signed_is_late(at: Stage) -> None:
    before = at.r.backup()
    asked = at.crossed()
    at.restore(at.r, before)
    at.until(lambda: at.s.tx.all("SELECT 1 FROM link WHERE kind = 1 AND state = 1"))  # it goes again
    answers: list[Any] = []
    if at.s.running is not None:
        at.s.running.withdraw(asked.message, answers.append)
    at.ends_well()
    if [type(each) for each in answers] != [TooLateError]:
        raise BrokenError(f"untrue: {answers} to whoever takes back what R has signed for")


unreachable = without(upkeep, "voids", lambda *_args: [])
"""Just now nothing can be sealed to whoever would be asked to close a number."""


@told("taken_waits", without(receipting, "_goes_again", lambda _before: True), never_rolled_back)
def taken_waits(at: Stage) -> None:
    at.off(at.r)
    image = at.s.backup()
    at.write()
    at.run(5)
    at.s.kill()
    at.s.restore(image, is_noticed=False)
    at.town.people.asked[S, "k"].asks_again = False  # nobody asks again for what is at the hub
    at.on(at.s)
    asked = at.write("k2")
    at.run(1_000)  # its first envelope had a number of before
    at.on(at.r)
    at.until(lambda: len(at.r.tx.all("SELECT 1 FROM owed")) == 2)
    at.off(at.r)  # before it says that the number is taken
    with unreachable():
        at.town.people.withdraw(asked)
        at.run(30)
        at.on(at.r)
        at.run(30)
    at.write("k3")
    at.ends_well()
    _never_there(at, asked)
