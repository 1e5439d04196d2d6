"""Explicit-state model of message delivery: one sender node S, hub H, recipient node R.

Every reachable state within the bounds of a scenario is explored. A handler is one step (compute,
persist, then send); a crash between persist and send equals a lost frame, and a rule turned off
puts the send before the persist, so that a crash may come between. Loss is always possible,
order is free, duplicates and the other faults have budgets.

Edges are `ok` (protocol), `wait` (a 14-day expiry seen on S's own clock), `env` (the author) or
`fault`. "Can still reach" means by ok and wait edges alone.

Run: python -m tests.models.delivery [scenario ...]
"""
from __future__ import annotations

import sys
import time
from collections import deque
from multiprocessing import Pool
from typing import Iterator, NamedTuple

OK, WAIT, ENV, FAULT = range(4)

RULES = {
    "author_persist": "the outbox is fsynced before the author is answered",
    "link_persist": "a link is fsynced before a byte of it leaves",
    "hub_persist": "the hub commits before it answers",
    "archive_persist_handover": "the archive row commits before anything is handed over",
    "archive_persist_receipt": "the archive row commits before receipt and hub acknowledgement leave",
    "receipt_persist": "S commits a receipt before its ack leaves",
    "dedupe_message_id": "R dedupes by (sender, message id)",
    "dedupe_link": "R dedupes by link number",
    "dedupe_hub": "the hub dedupes by envelope id",
    "ack_releases": "a receipt is sent again until ack covers it",
    "never_receipted": "receipts are never receipted",
    "resend_after_notice": "S sends again all that a restored R lacks",
    "new_incarnation": "a restored node starts a new incarnation",
    "high_water": "a node whose hub or peer shows a higher number refuses to send",
    "void_closes": "a void closes its number for ever",
    "quarantine_acks": "what cannot be verified is acknowledged to the hub",
    "hub_incarnation": "mailbox positions carry the hub's incarnation",
    "hub_resubmit": "nodes re-submit what is not receipted to a restored hub",
    "hub_forgets": "so they do to a hub that has forgotten what it answered, and go on from its mailbox cursor",
    "own_clock": "S re-seals at expiry by its own clock, whatever the hub said",
    # rules that the exploration asked for
    "notice_contiguous": "the restore notice carries the last CONTIGUOUS number",
    "stale_receipts": "receipts of an older incarnation than the peer's newest close nothing",
    "notice_reseals_open": "on a notice S also re-seals what is open though R holds it, to be receipted again",
    "notice_first": "nothing of a peer's new incarnation is applied before its first link, the notice",
    "stale_acks": "an ack of an older incarnation than the peer's newest releases nothing",
    "ack_downward": "an ack of a newer incarnation is believed downward too",
    "restored_reseals": "a restored node re-seals its open links, for the hub drops known envelope ids",
    "void_by_message": "R answers and closes a void by message id, under whatever number the message came",
    "restored_void": "a restored node says `withdrawn` only on R's answer, even of what looks unsent",
    "compared_void": "a node that has not compared numbers since it started waits to say `withdrawn` of what looks unsent",
    "cursor_shown": "the hub also shows the node's own mailbox cursor; ahead of the node's = rolled back",
    "new_hub": "a node that meets a newer hub incarnation than it stored starts a new incarnation itself",
    "answer_of_session": "a hub's answer counts only in the session that asked",
    "duplicate_receipted": "a duplicate is receipted again",
    "caller_resubmits": "after S's restore its callers submit again what came after the backup",
    "stable_id": "the message id follows from desk and idempotency key",
    "receipts_archived": "released receipts stay archived; a restored S is sent them again",
    "refusal_by_envelope": "refusing what cannot be verified names the envelope and closes no number",
    "void_truth": "a delivered receipt beats a void, and the author is told",
    "reseal_once": "one re-seal per envelope id",
    "taken_waits": "what is being taken back and whose number R holds for other content is not linked again: R answers its void",
    "delivered_stays": "what R signed for stays told as delivered, though R has lost it since and its number was closed",
    "notice_voids": "what its author took back and R had nevertheless is not sent again when R has lost it, but voided",
    "signed_is_late": "what R signed for is taken back no more, under whatever number it goes again",
}


class St(NamedTuple):
    acked: frozenset          # contents that the author was told are safe
    told: tuple               # per content: '' D(elivered) W(ithdrawn)
    msgs: frozenset           # S: (mid, h(eld) | l(inked) | c(losed)); mid = (content, generation)
    s_inc: int
    links: tuple              # S: (inc, seq, mid, state, k, epoch, fresh); state o(pen) d v(oiding) V(oid) x
    answered: frozenset       # S, volatile: envelopes the hub said it holds
    s_chk: bool               # S, volatile: high water was compared
    s_rinc: int               # S: newest incarnation of R seen
    s_got: frozenset          # S: numbers held of R's links, in s_rinc
    queue: tuple              # H: (pos, envelope)
    dd: frozenset             # H: envelope ids seen
    hpos: int
    hinc: int
    high: tuple               # H: highest (inc, seq) of S
    shown: tuple              # H: (incarnation of R, number) up to which S has taken R's links
    notes: frozenset          # H: expiry notices not yet read
    arch: frozenset           # R: contents archived and handed over
    rmids: frozenset          # R: message ids archived
    hand: tuple               # handovers remembered by the surviving archive, per content
    r_links: frozenset        # R: (inc, seq, outcome, mid)
    cur: tuple                # R: (hinc, pos)
    r_inc: int
    epoch: int                # R's only openable prekey epoch
    r_out: tuple              # R: receipts of r_inc, in order
    r_ackd: int               # R: released up to
    r_sinc: int               # R: newest incarnation of S seen
    net: frozenset
    snap: tuple               # (S, H, R) backups
    left: tuple               # fault budgets
    tot: tuple                # ghost: handovers ever
    ever: frozenset           # ghost: contents ever durable at R
    names: frozenset          # ghost: (inc, seq, mid) that ever reached the hub
    s_ans: frozenset = frozenset()  # S: envelopes that this hub ever answered, where it may forget them unnoticed
    back: frozenset = frozenset()   # S: messages that their authors took back once they had a number
    signed: frozenset = frozenset()  # S: messages that R signed for
    voids: frozenset = frozenset()  # R: messages closed for ever
    late: frozenset = frozenset()  # ghost: messages that S agreed to take back although R had signed for them


B = ("crash", "dup", "lie", "saveS", "restS", "silentS", "saveH", "restH", "emptyH",
     "saveR", "restR", "prekey", "expire", "withdraw", "silentH")
IX = {n: i for i, n in enumerate(B)}
S_FIELDS = ("msgs", "s_inc", "links", "s_rinc", "s_got", "back", "signed")
H_FIELDS = ("queue", "dd", "hpos", "high", "shown", "notes")
R_FIELDS = ("arch", "rmids", "hand", "r_links", "cur", "r_out", "r_ackd", "r_sinc", "voids")


def contiguous(numbers) -> int:
    n = 0
    while n + 1 in numbers:
        n += 1
    return n


class Model:
    def __init__(self, n: int, cap: int, off=(), seals: int = 4, ready: bool = False, any_order: bool = False, saved: bool = False, **budget: int):
        self.n, self.cap, self.seals = n, cap, seals
        self.on = {r: r not in off for r in RULES}
        self.ready, self.saved, self.any_order = ready, saved, any_order
        self.budget = tuple(budget.get(b, 0) for b in B)

    def start(self) -> St:
        e = frozenset()
        msgs = frozenset(((c, 0), "h") for c in range(self.n)) if self.ready else e
        old = (e, 1, (), 1, e, e, e) if self.saved else None
        return St(frozenset(m[0] for m, _ in msgs), ("",) * self.n, msgs, 1, (), e, True, 1, e, (), e, 0, 1, (0, 0), (1, 0), e, e, e,
                  (0,) * self.n, e, (1, 0), 1, 1, (), 0, 1, e, (old, None, None), self.budget,
                  (0,) * self.n, e, e)

    # -- small helpers ---------------------------------------------------------------------------
    def put(self, net, *frames):
        for f in frames:
            if len(net) < self.cap:
                net = net | {f}
        return net

    @staticmethod
    def pay(s, what):
        i = IX[what]
        return s.left[:i] + (s.left[i] - 1,) + s.left[i + 1:]

    def cut(self, net, *tags):
        return frozenset(f for f in net if f[0] not in tags) if self.on["answer_of_session"] else net

    @staticmethod
    def tell(told, c, word):
        return told[:c] + (word,) + told[c + 1:]

    def ended(self, s, mid):
        """What the author is told of a message that was closed."""
        return s.told if mid in s.signed and self.on["delivered_stays"] else self.tell(s.told, mid[0], "W")

    def unwanted(self, s, mid):
        """Why a message shall go no more, and the ghost of it: once R signed for it, only because its time is over."""
        if mid in s.signed and self.on["signed_is_late"]:
            return "time is over for", s.late
        return "author withdraws", s.late | ({mid} & s.signed)

    @staticmethod
    def env(ln):
        inc, seq, mid, st, k, ep, _ = ln
        return (inc, seq, "m" if st in "od" else "v", mid, k, ep)

    # -- all steps -------------------------------------------------------------------------------
    def steps(self, s: St) -> Iterator[tuple[str, int, St]]:
        has = lambda b: s.left[IX[b]] > 0
        yield from self.sender(s, has)
        for f in s.net:
            rest = s.net - {f}
            for label, kind, t in self.receive(s._replace(net=rest), f, has):
                yield label, kind, t
                if has("dup") and len(t.net) < self.cap and kind == OK:
                    yield label + " (and the frame stays to arrive again)", FAULT, t._replace(
                        net=t.net | {f}, left=self.pay(t, "dup"))
            yield f"frame lost: {f}", FAULT, s._replace(net=rest)
        yield from self.hub(s, has)
        yield from self.recipient(s, has)

    def sender(self, s, has):
        on = self.on
        room = len(s.net) < self.cap
        known = {m[0] for m, _ in s.msgs}
        for c in range(self.n):
            if c not in s.acked and all(x in s.acked for x in range(c)) and (
                    not self.saved or c == 0 or s.snap[0] == "used"):
                msgs = s.msgs | {((c, 0), "h")}
                yield f"author submits M{c}; S stores it and answers", ENV, s._replace(
                    msgs=msgs, acked=s.acked | {c})
                if not on["author_persist"] and has("crash"):
                    yield f"S answers the author of M{c}, then crashes before storing it", FAULT, s._replace(
                        acked=s.acked | {c}, left=self.pay(s, "crash"))
            elif c in s.acked and c not in known and on["caller_resubmits"] and s.snap[0] == "used":
                mid = (c, 0 if on["stable_id"] else 1)
                yield f"caller submits M{c} again after S's restore", OK, s._replace(msgs=s.msgs | {(mid, "h")})
        first = min((m for m, st in s.msgs if st == "h"), default=None)
        for mid, st in s.msgs:
            if st == "h" and (mid == first or self.any_order) and s.s_chk:
                seq = 1 + max((l[1] for l in s.links if l[0] == s.s_inc), default=0)
                ln = (s.s_inc, seq, mid, "o", 0, 0, False)
                msgs = s.msgs - {(mid, "h")} | {(mid, "l")}
                yield f"S signs and stores link ({s.s_inc},{seq}) for M{mid[0]}", OK, s._replace(
                    msgs=msgs, links=s.links + (ln,))
                if not on["link_persist"] and has("crash") and room:
                    e = (s.s_inc, seq, "m", mid, 1, s.epoch)
                    yield f"S sends link ({s.s_inc},{seq}) for M{mid[0]}, crashes before storing it", FAULT, s._replace(
                        net=s.net | {("sub", e)}, left=self.pay(s, "crash"), answered=frozenset())
            if st == "h" and has("withdraw") and s.s_inc > 1 and on["restored_void"]:
                seq = 1 + max((l[1] for l in s.links if l[0] == s.s_inc), default=0)
                why, late = self.unwanted(s, mid)
                yield f"{why} M{mid[0]}; restored S signs link ({s.s_inc},{seq}) as void", ENV, s._replace(
                    msgs=s.msgs - {(mid, st)} | {(mid, "l")}, left=self.pay(s, "withdraw"), back=s.back | {mid}, late=late,
                    links=s.links + ((s.s_inc, seq, mid, "v", 0, 0, False),))
            elif st == "h" and has("withdraw") and (s.s_chk or not on["compared_void"]):
                why, late = self.unwanted(s, mid)
                yield f"{why} M{mid[0]} before it was signed; told so", ENV, s._replace(
                    msgs=s.msgs - {(mid, st)} | {(mid, "c")}, told=self.ended(s, mid), late=late,
                    left=self.pay(s, "withdraw"))
        for i, ln in enumerate(s.links):
            inc, seq, mid, st, k, ep, fresh = ln
            new = lambda l: s.links[:i] + (l,) + s.links[i + 1:]
            if st == "o" and has("withdraw"):
                why, late = self.unwanted(s, mid)
                yield f"{why} M{mid[0]}; S stores a void for ({inc},{seq})", ENV, s._replace(
                    links=new((inc, seq, mid, "v", k, ep, False)), left=self.pay(s, "withdraw"), back=s.back | {mid}, late=late)
            if st not in "ov" or not s.s_chk:
                continue
            e = self.env(ln)
            if not fresh and k % 10 < self.seals and room:
                k2 = max(k, 20 * (s.s_inc - 1) + 10 * (s.snap[0] == "used")) + 1  # ids are never drawn twice
                l2 = (inc, seq, mid, st, k2, s.epoch, True)
                e2 = self.env(l2)
                yield f"S seals {self.show(e2)}, stores and sends it", OK, s._replace(
                    links=new(l2), net=s.net | {("sub", e2)})
            if fresh and e not in s.answered:
                if room and ("sub", e) not in s.net and ("ans", e) not in s.net:
                    yield f"S submits {self.show(e)} again", OK, s._replace(net=s.net | {("sub", e)})
            elif fresh and on["own_clock"] and not s.net and s.r_ackd == len(s.r_out) and e not in s.notes \
                    and all(x != e and x != ("bad", e) for _, x in s.queue):
                yield f"14 days pass: S sees no receipt for {self.show(e)} and will re-seal", WAIT, s._replace(
                    links=new((inc, seq, mid, st, k, ep, False)))
        for e in s.notes:
            links = tuple(l[:6] + (False,) if l[3] in "ov" and self.env(l) == e else l for l in s.links)
            yield f"S reads the expiry notice of {self.show(e)}", OK, s._replace(
                links=links, notes=s.notes - {e})
        if not s.s_chk:
            own = max(((l[0], l[1]) for l in s.links), default=(0, 0))
            behind = (on["high_water"] and s.high > own
                      or on["cursor_shown"] and s.shown > (s.s_rinc, contiguous(s.s_got))
                      or on["new_hub"] and s.hinc > 1)
            # Submissions go in order: the highest one that H shows tells whether any that it answered is gone.
            forgot = on["hub_forgets"] and not s.s_ans <= s.dd
            if forgot and not behind:
                yield "S sees that H has forgotten what it answered, starts a new incarnation, seals again", OK, s._replace(
                    s_chk=True, s_inc=s.s_inc + 1, s_ans=s.s_ans & s.dd,
                    links=tuple(l[:6] + (False,) for l in s.links))
            elif behind:
                links = tuple(l[:6] + (False,) for l in s.links)
                yield "S sees that it was rolled back, refuses, starts a new incarnation", OK, s._replace(
                    s_chk=True, s_inc=s.s_inc + 1, links=links if on["restored_reseals"] else s.links)
            else:
                yield "S opens a session and compares numbers", OK, s._replace(s_chk=True)
        if has("crash") and s.answered:
            yield "S crashes and restarts", FAULT, s._replace(
                answered=frozenset(), left=self.pay(s, "crash"), net=self.cut(s.net, "sub", "ans"))
        if has("saveS") and s.snap[0] is None and (self.n == 1 or not s.net):
            yield "S is backed up", FAULT, s._replace(left=self.pay(s, "saveS"), snap=(
                tuple(getattr(s, f) for f in S_FIELDS),) + s.snap[1:])
        for kind in ("restS", "silentS"):
            if has(kind) and isinstance(s.snap[0], tuple):
                old = dict(zip(S_FIELDS, s.snap[0]))
                if kind == "restS" and on["new_incarnation"]:
                    old["s_inc"] = s.s_inc + 1
                if kind == "restS" and on["restored_reseals"]:
                    old["links"] = tuple(l[:6] + (False,) for l in old["links"])
                yield ("S is restored from its backup" if kind == "restS" else
                       "S's disk image is rolled back and nobody notices"), FAULT, s._replace(
                    **old, answered=frozenset(), s_chk=kind == "restS", left=self.pay(s, kind),
                    net=self.cut(s.net, "sub", "ans"),
                    snap=("used",) + s.snap[1:])

    @staticmethod
    def show(e):
        if e[0] == "bad":
            return "a tampered envelope"
        inc, seq, kind, mid, k, ep = e
        return f"{'message' if kind == 'm' else 'void'}({inc},{seq}) M{mid[0]} seal {k} epoch {ep}"

    def receive(self, s, f, has):
        tag = f[0]
        if tag == "sub":
            yield from self.hub_stores(s, f[1], has)
        elif tag == "ans":
            kept = {f[1]} if self.budget[IX["silentH"]] else set()
            yield f"S learns that H holds {self.show(f[1])}", OK, s._replace(
                answered=s.answered | {f[1]}, s_ans=s.s_ans | kept)
        elif tag == "del":
            yield from self.recipient_opens(s, f, has)
        elif tag == "hack":
            if f[1] == s.hinc or not self.on["hub_incarnation"]:
                s = s._replace(queue=tuple(q for q in s.queue if q[0] != f[2]))
            yield f"H erases position {f[2]}", OK, s
        elif tag == "rc" and s.s_chk:
            yield from self.sender_reads(s, f, has)
        elif tag == "rr":
            yield "a receipt is receipted", OK, s._replace(net=self.put(s.net, ("rr", 1 - f[1])))
        elif tag == "ak":
            _, rinc, n, sinc = f
            t = s
            if rinc == s.r_inc and sinc > s.r_sinc and self.on["ack_downward"]:
                t = s._replace(r_sinc=sinc, r_ackd=n if self.on["receipts_archived"] else max(n, s.r_ackd))
            elif rinc == s.r_inc and n > s.r_ackd and (sinc >= s.r_sinc or not self.on["stale_acks"]):
                t = s._replace(r_ackd=n)
            yield f"R reads S's ack of {n} from incarnation {sinc}", OK, t

    # -- hub -------------------------------------------------------------------------------------
    def hub_stores(self, s, e, has):
        if e in s.dd and self.on["dedupe_hub"]:
            yield f"H has {self.show(e)} already and says so", OK, s._replace(net=self.put(s.net, ("ans", e)))
            return
        t = s._replace(queue=s.queue + ((s.hpos + 1, e),), hpos=s.hpos + 1, dd=s.dd | {e},
                       high=max(s.high, e[:2]), names=s.names | {(e[0], e[1], e[3])}, net=self.put(s.net, ("ans", e)))
        yield f"H stores {self.show(e)} and answers", OK, t
        if not self.on["hub_persist"] and has("crash"):
            yield f"H answers for {self.show(e)}, then crashes before storing it", FAULT, s._replace(
                net=t.net, left=self.pay(s, "crash"))

    def hub(self, s, has):
        if s.queue and len(s.net) < self.cap:
            pos, e = s.queue[0]
            if not any(x[0] in ("del", "hack") and x[1:3] == (s.hinc, pos) for x in s.net):
                yield f"H delivers position {pos}: {self.show(e)}", OK, s._replace(
                    net=s.net | {("del", s.hinc, pos, e)})
        if has("expire"):
            for q in s.queue:
                yield f"{self.show(q[1])} expires at H, with a notice", FAULT, s._replace(
                    queue=tuple(x for x in s.queue if x != q), left=self.pay(s, "expire"),
                    notes=s.notes | {q[1]} if q[1][0] != "bad" else s.notes)
        if has("lie"):
            left = self.pay(s, "lie")
            for i, (pos, e) in enumerate(s.queue):
                yield f"H lies: drops {self.show(e)}", FAULT, s._replace(
                    queue=s.queue[:i] + s.queue[i + 1:], left=left)
                if i and len(s.net) < self.cap:
                    yield f"H lies: delivers position {pos} out of turn", FAULT, s._replace(
                        net=s.net | {("del", s.hinc, pos, e)}, left=left)
                if e[0] != "bad":
                    yield f"H lies: tampers with {self.show(e)}", FAULT, s._replace(
                        queue=s.queue[:i] + ((pos, ("bad", e)),) + s.queue[i + 1:], left=left)
            for e in s.dd:
                if all(x != e for _, x in s.queue):
                    yield f"H lies: replays {self.show(e)}", FAULT, s._replace(
                        queue=s.queue + ((s.hpos + 1, e),), hpos=s.hpos + 1, left=left)
        if has("saveH") and s.snap[1] is None:
            yield "H is backed up", FAULT, s._replace(left=self.pay(s, "saveH"), snap=(
                s.snap[0], tuple(getattr(s, f) for f in H_FIELDS), s.snap[2]))
        for kind in ("restH", "emptyH"):
            if has(kind) and (kind == "emptyH" or isinstance(s.snap[1], tuple)):
                old = dict(zip(H_FIELDS, s.snap[1] if kind == "restH" else ((), frozenset(), 0, (0, 0), (1, 0), frozenset())))
                yield ("H is restored from its backup" if kind == "restH" else "H is replaced by an empty one"), \
                    FAULT, s._replace(**old, hinc=s.hinc + 1, left=self.pay(s, kind),
                                      net=self.cut(s.net, "sub", "ans", "del", "hack"),
                                      answered=frozenset() if self.on["hub_resubmit"] else s.answered)

        if has("silentH") and isinstance(s.snap[1], tuple):
            old = dict(zip(H_FIELDS, s.snap[1]))
            # Every session ends with it; in the next one R meets H's cursor.
            last = old["queue"][0][0] - 1 if old["queue"] else old["hpos"]
            cur = (s.cur[0], min(s.cur[1], last)) if self.on["hub_forgets"] else s.cur
            yield "H's disk image is rolled back and nobody notices", FAULT, s._replace(
                **old, cur=cur, s_chk=False, answered=frozenset(), left=self.pay(s, "silentH"),
                net=self.cut(s.net, "sub", "ans", "del", "hack"))

    # -- recipient -------------------------------------------------------------------------------
    def recipient_opens(self, s, f, has):
        on = self.on
        _, hinc, pos, e = f
        ack = ("hack", hinc, pos)
        seen = pos <= s.cur[1] and (hinc == s.cur[0] or not on["hub_incarnation"])
        if seen:
            yield f"R knows position {pos} and only acknowledges", OK, s._replace(net=self.put(s.net, ack))
            return
        cur = (hinc, pos)
        if e[0] == "bad" or e[5] != s.epoch:
            why = "verify" if e[0] == "bad" else "open"
            if e[0] == "bad" and not on["quarantine_acks"]:
                yield f"R cannot verify position {pos} and does not acknowledge", OK, s
                return
            r_links = s.r_links
            if e[0] == "bad":
                e = e[1]
                if not on["refusal_by_envelope"] and not any(l[:2] == e[:2] for l in s.r_links):
                    r_links = r_links | {e[:2] + ("V", e[3])}
            yield f"R cannot {why} {self.show(e)}: says so, acknowledges", OK, s._replace(
                r_out=self.issue(s, ("c", e, "")), cur=cur, r_links=r_links, net=self.put(s.net, ack))
            return
        inc, seq, kind, mid, _, _ = e
        c = mid[0]
        known = next((l for l in s.r_links if l[:2] == (inc, seq)), None)
        if known and not on["dedupe_link"] and kind == "m" and known[2] == "d":
            known = None
        if known and known[2] == "V" and kind == "m" and not on["void_closes"]:
            known = None
        if known and kind == "m" and known[3] != mid:
            yield f"R finds number ({inc},{seq}) taken by other content: refuses M{c}", OK, s._replace(
                r_out=self.issue(s, ("r", (inc, seq, mid), "T")), cur=cur, net=self.put(s.net, ack))
            return
        if known and (known[3] == mid or not on["void_by_message"]):
            out = s.r_out
            if on["duplicate_receipted"]:
                out = self.issue(s, ("r", (inc, seq, known[3]), known[2]))
            yield f"R closed ({inc},{seq}) before as {known[2]}: says so again", OK, s._replace(
                r_out=out, cur=cur, net=self.put(s.net, ack))
            return
        outcome = "V" if kind == "v" and not (mid in s.rmids and on["void_by_message"]) else "d"
        body = ("r", (inc, seq, mid), outcome)
        links = frozenset(l for l in s.r_links if l[:2] != (inc, seq)) | {(inc, seq, outcome, mid)}
        t = s._replace(r_out=self.issue(s, body), cur=cur, net=self.put(s.net, ack), r_links=links)
        if kind == "v":
            t = t._replace(voids=s.voids | {mid} if outcome == "V" else s.voids)
            if known:
                yield f"R answers {outcome} of M{c}; ({inc},{seq}) is that of other content", OK, t._replace(r_links=s.r_links)
            else:
                yield f"R closes ({inc},{seq}) as {outcome}", OK, t
            return
        if on["void_by_message"] and mid in s.voids:
            yield f"R closes ({inc},{seq}): M{c} was withdrawn under another number", OK, t._replace(
                r_out=self.issue(s, body[:2] + ("V",)), r_links=links - {(inc, seq, "d", mid)} | {(inc, seq, "V", mid)})
            return
        if mid in s.rmids and on["dedupe_message_id"]:
            yield f"R has M{c} already; records ({inc},{seq}), hands nothing over", OK, t
            return
        bump = lambda x: x[:c] + (min(x[c] + 1, 3),) + x[c + 1:]
        yield f"R archives M{c} as ({inc},{seq}), hands it over, acknowledges", OK, t._replace(
            arch=s.arch | {c}, rmids=s.rmids | {mid}, hand=bump(s.hand), tot=bump(s.tot), ever=s.ever | {c})
        if has("crash"):
            left = self.pay(s, "crash")
            if not on["archive_persist_handover"]:
                yield f"R hands M{c} over, then crashes before storing it", FAULT, s._replace(
                    hand=bump(s.hand), tot=bump(s.tot), left=left)
            if not on["archive_persist_receipt"]:
                rc = ("rc", s.r_inc, len(s.r_out) + 1, body)
                yield f"R acknowledges and receipts M{c}, then crashes before storing it", FAULT, s._replace(
                    net=self.put(s.net, rc, ack), left=left)

    def issue(self, s, body):
        pending = s.r_out[s.r_ackd:]
        return s.r_out if body in pending else s.r_out + (body,)

    def recipient(self, s, has):
        on = self.on
        room = self.cap - len(s.net)
        due = range(s.r_ackd + 1, len(s.r_out) + 1)[:room]
        if due and not any(x[0] in ("ak", "rc") and x[1] == s.r_inc for x in s.net):
            t = s._replace(net=s.net | {("rc", s.r_inc, n, s.r_out[n - 1]) for n in due})
            if on["ack_releases"]:
                yield "R sends " + ", ".join(f"{n}: {s.r_out[n - 1]}" for n in due), OK, t
            else:
                yield f"R sends {due} once and forgets", OK, t._replace(r_ackd=due[-1])
        if s.r_sinc < s.s_inc:
            held = contiguous(s.s_got) if s.s_rinc == s.r_inc else 0
            back = min(s.r_ackd, held) if on["receipts_archived"] else s.r_ackd
            yield f"R learns S's incarnation {s.s_inc}; S holds R's links up to {held}", OK, s._replace(
                r_sinc=s.s_inc, r_ackd=back)
        if has("prekey"):
            yield "R loses its prekey; a new one is published", FAULT, s._replace(
                epoch=s.epoch + 1, left=self.pay(s, "prekey"))
        if has("saveR") and s.snap[2] is None and (self.n == 1 or s.r_links and not s.net):
            yield "R is backed up", FAULT, s._replace(left=self.pay(s, "saveR"), snap=s.snap[:2] + (
                tuple(getattr(s, f) for f in R_FIELDS),))
        if has("restR") and isinstance(s.snap[2], tuple):
            old = dict(zip(R_FIELDS, s.snap[2]))
            incs = {l[0] for l in old["r_links"]}
            held = lambda i: {l[1] for l in old["r_links"] if l[0] == i}
            last = contiguous if on["notice_contiguous"] else max
            notice = ("n", tuple((i, last(held(i))) for i in sorted(incs)), "")
            if on["new_incarnation"]:
                old["r_out"] = (notice,) + old["r_out"][old["r_ackd"]:]
                old["r_ackd"] = 0
                inc = s.r_inc + 1
            else:
                inc, old["r_out"] = s.r_inc, old["r_out"] + (notice,)
            yield "R is restored from its backup; its prekeys are gone", FAULT, s._replace(
                **old, net=self.cut(s.net, "del", "hack"), r_inc=inc, epoch=s.epoch + 1, left=self.pay(s, "restR"))

    # -- sender reads R's links ------------------------------------------------------------------
    def sender_reads(self, s, f, has):
        on = self.on
        _, rinc, n, body = f
        stale = rinc < s.s_rinc
        if on["notice_first"] and rinc > s.s_rinc and n > 1:
            yield f"S sets aside R's link {n} of incarnation {rinc} until its notice", OK, s._replace(
                net=self.put(s.net, ("ak", rinc, 0, s.s_inc)))
            return
        got = s.s_got if rinc == s.s_rinc else frozenset()
        again = rinc == s.s_rinc and n in got
        t = s
        if not stale:
            t = t._replace(s_rinc=rinc, s_got=got | {n})
        if not again:
            t = self.apply(t, body, stale)
        if not stale:
            ak = ("ak", rinc, contiguous(t.s_got), s.s_inc)
            if not on["receipt_persist"] and has("crash"):
                yield f"S acks R's link {n}, then crashes before storing it", FAULT, s._replace(
                    net=self.put(s.net, ak), left=self.pay(s, "crash"), answered=frozenset())
            if not on["never_receipted"]:
                t = t._replace(net=self.put(t.net, ("rr", 0)))
            t = t._replace(shown=max(t.shown, ak[1:3]))
            if on["ack_releases"]:
                t = t._replace(net=self.put(t.net, ak))
        yield f"S reads R's link {n} of incarnation {rinc}: {body}" + (" (stale)" if stale else ""), OK, t

    def apply(self, s, body, stale):
        on = self.on
        tag, what, outcome = body
        if tag == "n":
            if stale or not on["resend_after_notice"]:
                return s
            last = dict(what)
            fix = {"d": "o", "V": "v", "o": "o", "v": "v"}
            again = lambda l: "v" if l[3] == "d" and l[2] in s.back and on["notice_voids"] else fix[l[3]]
            keep = "xdV" if on["notice_reseals_open"] else "xdVov"
            return s._replace(links=tuple(
                l if l[3] == "x" or l[1] <= last.get(l[0], 0) and l[3] in keep else l[:3] + (again(l),) + l[4:6] + (False,)
                for l in s.links))
        if tag == "c":
            match = (lambda l: self.env(l) == what) if on["reseal_once"] else (lambda l: l[:2] == what[:2])
            return s._replace(links=tuple(l[:6] + (False,) if l[3] in "ov" and match(l) else l for l in s.links))
        inc, seq, mid = what
        c = mid[0]
        i = next((i for i, l in enumerate(s.links) if l[:3] == (inc, seq, mid)), None)
        if i is None:
            top = max((l[1] for l in s.links if l[0] == s.s_inc), default=0)
            if on["high_water"] and inc == s.s_inc and seq > top:
                s = s._replace(s_inc=s.s_inc + 1)
            return s
        l = s.links[i]
        closes = not stale or not on["stale_receipts"]
        state, told, msgs = l[3], s.told, s.msgs
        if outcome == "d":
            if l[3] in "vV" and not on["void_truth"]:
                return s
            if closes:
                state, told, s = "d", self.tell(told, c, "D"), s._replace(signed=s.signed | {mid})
        elif outcome == "V" and l[3] in "ovV":
            if closes:
                state, told = "V", self.ended(s, mid)
        elif outcome == "T" and l[3] in "ov" and closes:
            if l[3] == "o" or not on["taken_waits"]:
                state, msgs = "x", msgs - {(mid, "l")} | {(mid, "h")}
            s = s._replace(s_inc=max(s.s_inc, inc + 1))
        return s._replace(told=told, msgs=msgs, links=s.links[:i] + (l[:3] + (state,) + l[4:],) + s.links[i + 1:])


# -- exploration and verdicts --------------------------------------------------------------------
def at_rest(s, c):
    """Whether R has it, or closed it because its author wants it no more."""
    return c in s.arch or any(m[0] == c for m in s.voids)


def settled(s, may_withdraw):
    """P1: each acknowledged content is at R and S knows, or is closed with the author told."""
    for c in s.acked:
        mine = [l for l in s.links if l[2][0] == c and l[3] != "x"]
        closed = any(m[0] == c and st == "c" for m, st in s.msgs)
        if s.told[c] == "D" and at_rest(s, c) and (mine or closed) and all(l[3] in "dV" for l in mine):
            continue
        if may_withdraw and s.told[c] == "W" and (closed or mine and all(l[3] == "V" for l in mine)):
            continue
        return False
    return True


def whole(s):
    return all(s.told[c] != "D" or at_rest(s, c) for c in s.acked)


def truth(s):
    return all(s.told[c] != "W" or c not in s.arch for c in s.acked)


def bad_now(s):
    if any(x > 1 for x in s.hand):
        yield "P2"
    if any(l[3] == "d" and l[2][0] not in s.ever for l in s.links):
        yield "P3"
    if len({x[:2] for x in s.names}) != len(s.names):
        yield "P4"
    if not truth(s):
        yield "P6 at once"
    if any((m, "h") in s.msgs for m in s.back) or any(l[3] == "o" and l[2] in s.back for l in s.links):
        yield "P7"
    if any(s.told[m[0]] != "D" for m in s.signed):
        yield "P8"
    if s.late:
        yield "P9"


def explore(model, limit=400_000):
    start = model.start()
    index, states, parent = {start: 0}, [start], [None]
    back, fwd_ok, first = [[]], [[]], {}
    todo = deque([0])
    while todo and len(states) < limit:
        i = todo.popleft()
        s = states[i]
        for p in bad_now(s):
            first.setdefault(p, i)
        for label, kind, t in model.steps(s):
            if t == s:
                continue
            j = index.get(t)
            if j is None:
                j = index[t] = len(states)
                states.append(t)
                parent.append((i, label))
                back.append([])
                fwd_ok.append([])
                todo.append(j)
            if kind <= WAIT:
                back[j].append((i, kind))
                fwd_ok[i].append(j)
    cut = bool(todo)
    loop = []

    def doomed(goal, kinds):
        good = [goal(s) for s in states]
        work = [i for i, g in enumerate(good) if g]
        while work:
            for i, k in back[work.pop()]:
                if k <= kinds and not good[i]:
                    good[i] = True
                    work.append(i)
        return next((i for i, g in enumerate(good) if not g), None)

    if not cut:
        may = model.budget[IX["withdraw"]] > 0
        done = lambda s: settled(s, may)
        for name, goal, kinds in (("P1", done, WAIT), ("P1 prompt", done, OK), ("P3", whole, WAIT),
                                  ("P6", truth, WAIT)):
            i = doomed(goal, kinds)
            if i is not None:
                first.setdefault(name, i)
        fwd_in = [[] for _ in states]
        for i, out in enumerate(fwd_ok):
            for j in out:
                fwd_in[j].append(i)
        alive = [True] * len(states)
        for into, onward in ((fwd_in, fwd_ok), (fwd_ok, fwd_in)):
            degree = [sum(alive[j] for j in js) for js in into]
            work = [i for i, d in enumerate(degree) if alive[i] and not d]
            while work:
                i = work.pop()
                alive[i] = False
                for j in onward[i]:
                    degree[j] -= 1
                    if alive[j] and not degree[j]:
                        work.append(j)
        if any(alive):
            i = first["P5"] = alive.index(True)
            seen, cycle = {}, []
            while i not in seen:
                seen[i] = len(cycle)
                j = next(j for j in fwd_ok[i] if alive[j])
                cycle.append(next(l for l, _, t in model.steps(states[i]) if t == states[j]))
                i = j
            loop = ["and round and round: " + " -> ".join(cycle[seen[i]:])]
    stats = {"strict handover twice": sum(any(x > 1 for x in s.tot) for s in states),
             "withdrawn told while R has it": sum(not truth(s) for s in states),
             "longest receipt list": max(len(s.r_out) for s in states),
             "seals": max((l[4] % 10 for s in states for l in s.links), default=0)}

    def story(i):
        lines = []
        while parent[i]:
            i, label = parent[i]
            lines.append(label)
        return lines[::-1]

    return len(states), cut, {p: story(i) + (loop if p == "P5" else []) for p, i in first.items()}, stats


PROPERTIES = {
    "P1": "every acknowledged message can still reach `R has it and S knows`, or is closed with a reason",
    "P2": "a surviving archive remembers at most one handover of a content",
    "P3": "delivered only if R had it durably; a restored R can become whole again, but for what its author wants no more",
    "P4": "a (sender, incarnation, number) never names two contents at the hub",
    "P5": "no cycle of protocol steps without a fault",
    "P6": "told `withdrawn` and handed over: the truth can still be told",
    "P7": "what its author took back is never again a message to be sent",
    "P8": "what R signed for is told as delivered, whatever becomes of it later",
    "P9": "nothing that R signed for is taken back afterwards",
    "P6 at once": "never told `withdrawn` while R has it (stronger than asked)",
    "P1 prompt": "as P1 without waiting for the 14-day expiry (stronger than asked)",
}

SCENARIOS = {
    "crash and duplicates, two messages": dict(n=2, cap=2, crash=1, dup=1),
    "hub lies": dict(n=1, cap=2, lie=2),
    "hub lies, two messages": dict(n=2, cap=1, lie=1),
    "prekey lost, expiry": dict(n=1, cap=2, prekey=1, expire=1),
    "withdrawal": dict(n=1, cap=2, withdraw=1, lie=1),
    "R restored": dict(n=1, cap=2, saveR=1, restR=1),
    "R restored, two messages": dict(n=2, cap=1, saveR=1, restR=1, ready=True),
    "S restored": dict(n=1, cap=2, saveS=1, restS=1),
    "S restored, two messages": dict(n=2, cap=1, saveS=1, restS=1),
    "S rolled back unnoticed": dict(n=2, cap=1, saved=True, silentS=1),
    "S rolled back unnoticed, H replaced": dict(n=2, cap=1, saved=True, silentS=1, emptyH=1, seals=3),
    "R and S restored": dict(n=1, cap=1, saveR=1, restR=1, saveS=1, restS=1),
    "H restored": dict(n=1, cap=2, saveH=1, restH=1, dup=1),
    "H replaced, two messages": dict(n=2, cap=1, emptyH=1),
    "H rolled back unnoticed": dict(n=1, cap=2, saveH=1, silentH=1),
    "H rolled back unnoticed, two messages": dict(n=2, cap=1, saveH=1, silentH=1),
    "R restored twice": dict(n=1, cap=1, saveR=1, restR=2),
    "R and H restored": dict(n=1, cap=1, saveR=1, restR=1, saveH=1, restH=1),
    "S and H restored": dict(n=1, cap=1, saveS=1, restS=1, saveH=1, restH=1),
    "withdrawal, R restored": dict(n=1, cap=1, withdraw=1, saveR=1, restR=1),
    "withdrawal, S restored": dict(n=1, cap=1, withdraw=1, saveS=1, restS=1),
    "two withdrawals, S restored": dict(n=1, cap=1, withdraw=2, saveS=1, restS=1),
    "two withdrawals, S rolled back unnoticed": dict(n=1, cap=1, withdraw=2, saveS=1, silentS=1),
}


ONE = dict(n=1, cap=1)
TWO = dict(n=2, cap=1)
BOTH = ONE | dict(saveR=1, restR=1, saveS=1, restS=1)
OFF = [  # rules turned off, where to look
    ("author_persist", ONE | dict(crash=1)),
    ("link_persist", TWO | dict(crash=1, any_order=True)),
    ("hub_persist", ONE | dict(crash=1)),
    ("hub_persist own_clock", ONE | dict(crash=1)),
    ("archive_persist_handover", ONE | dict(crash=1)),
    ("archive_persist_receipt", dict(n=1, cap=2, crash=1)),
    ("receipt_persist", ONE | dict(crash=1)),
    ("dedupe_message_id", ONE | dict(saveS=1, restS=1)),
    ("dedupe_link", ONE | dict(saveS=1, restS=1, expire=1)),
    ("dedupe_link dedupe_message_id", ONE | dict(expire=1)),
    ("dedupe_hub", dict(n=1, cap=1, dup=1, seals=2)),
    ("ack_releases", ONE),
    ("ack_releases", ONE | dict(saveR=1, restR=1)),
    ("never_receipted", ONE),
    ("resend_after_notice", ONE | dict(saveR=1, restR=1)),
    ("new_incarnation", TWO | dict(saved=True, restS=1)),
    ("new_incarnation", ONE | dict(saveR=1, restR=1)),
    ("high_water", TWO | dict(saved=True, silentS=1)),
    ("void_closes", dict(n=1, cap=2, withdraw=1)),
    ("void_closes void_by_message", dict(n=1, cap=2, withdraw=1)),
    ("void_truth", ONE | dict(withdraw=1)),
    ("quarantine_acks", ONE | dict(lie=1)),
    ("hub_incarnation", TWO | dict(emptyH=1)),
    ("hub_incarnation own_clock", TWO | dict(emptyH=1)),
    ("hub_resubmit", ONE | dict(emptyH=1)),
    ("hub_resubmit own_clock", ONE | dict(emptyH=1)),
    ("hub_forgets", TWO | dict(saveH=1, silentH=1)),
    ("hub_forgets own_clock", TWO | dict(saveH=1, silentH=1)),
    ("own_clock", ONE | dict(lie=1)),
    ("notice_contiguous", TWO | dict(saveR=1, restR=1, ready=True)),
    ("stale_receipts", dict(n=1, cap=2, saveR=1, restR=1)),
    ("notice_reseals_open", BOTH),
    ("notice_first", dict(n=1, cap=2, saveR=1, restR=1)),
    ("stale_acks", dict(n=1, cap=2, saveS=1, restS=1)),
    ("ack_downward", ONE | dict(saveS=1, restS=1)),
    ("restored_reseals", BOTH),
    ("void_by_message", ONE | dict(withdraw=1, saveS=1, restS=1)),
    ("restored_void", ONE | dict(withdraw=1, saveS=1, restS=1)),
    ("compared_void", ONE | dict(withdraw=1, saveS=1, silentS=1)),
    ("cursor_shown", ONE | dict(saveS=1, silentS=1)),
    ("new_hub", TWO | dict(saved=True, silentS=1, emptyH=1, seals=3)),
    ("answer_of_session", ONE | dict(emptyH=1)),
    ("duplicate_receipted", BOTH),
    ("caller_resubmits", ONE | dict(saveS=1, restS=1)),
    ("stable_id", ONE | dict(saveS=1, restS=1)),
    ("receipts_archived", ONE | dict(saveS=1, restS=1)),
    ("refusal_by_envelope", ONE | dict(lie=1)),
    ("reseal_once", dict(n=1, cap=2, prekey=1, dup=1)),
    ("delivered_stays", ONE | dict(withdraw=1, saveR=1, restR=1)),
    ("notice_voids", ONE | dict(withdraw=1, saveR=1, restR=1)),
    ("signed_is_late", ONE | dict(withdraw=1, saveR=1, restR=1)),
    ("high_water", TWO | dict(saved=True, silentS=1, withdraw=1, seals=1)),
    ("high_water taken_waits", TWO | dict(saved=True, silentS=1, withdraw=1, seals=1)),
]


def job(args):
    name, off, conf = args
    t = time.time()
    n, cut, found, stats = explore(Model(off=off, **conf))
    return name, off, n, cut, found, stats, time.time() - t


def tell_story(lines):
    for i, line in enumerate(lines, 1):
        print(f"    {i}. {line}")


def main(argv):
    begun, total = time.time(), 0
    with Pool(2) as pool:
        jobs = [(n, (), c) for n, c in SCENARIOS.items() if not argv or any(a in n for a in argv)]
        jobs.sort(key=lambda j: -j[2]["n"])
        for name, off, n, cut, found, stats, sec in pool.imap(job, jobs):
            total += n
            print(f"\n== {name}: {n} states{' (CUT: P1, P3, P5, P6 not judged)' if cut else ''}, {sec:.1f} s; {stats}")
            print("   holds: " + ", ".join(p for p in PROPERTIES if p not in found))
            for p, lines in found.items():
                print(f"  {p} FAILS: {PROPERTIES[p]}")
                tell_story(lines)
            sys.stdout.flush()
        print("\n== Rules turned off")
        jobs = [(o, tuple(o.split()), c) for o, c in OFF if not argv or any(a in o for a in argv)]
        for name, off, n, cut, found, stats, sec in pool.imap(job, jobs):
            total += n
            broken = [p for p in PROPERTIES if p in found]
            print(f"-- without {name.replace(' ', ' and ')}: {n} states{' (CUT)' if cut else ''}; "
                  f"breaks {', '.join(broken) or 'nothing'}")
            if broken:
                tell_story(found[broken[0]])
            sys.stdout.flush()
    print(f"\n{total} states in {time.time() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
