"""Mutants of `node`: its archive, what it takes from authors and from peers, and what it believes."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

ARCHIVE, ACCEPTANCE, RECEPTION = "node/archive.py", "node/acceptance.py", "node/reception.py"
NUMBERING, RECEIPTING = "node/numbering.py", "node/receipting.py"
T: Final = "tests/node/"
STORE: Final = (T + "test_store_contract.py", T + "test_archive.py")
RULES: Final = (T + "test_reception.py", T + "test_courier.py", T + "test_attack_peer.py", T + "test_machine.py")
SENDING: Final = (T + "test_courier.py", T + "test_machine.py")

RECEIVING: Final = (
    # -- the archive
    Mutant(
        "node-fsync",
        ARCHIVE,
        '            "synchronous = FULL",\n',
        '            "synchronous = NORMAL",\n',
        "the node's commits are synced",
        (T + "test_durable.py",),
    ),
    Mutant(
        "snapshot-fsync",
        ARCHIVE,
        "    sync(target)\n",
        "",
        "a copy of the archive is synced before it counts",
        (T + "test_durable.py",),
    ),
    Mutant(
        "node-answer-before-commit",
        ARCHIVE,
        '            tx.run("COMMIT")\n        except StoreError as error:\n',
        '            [answer() for answer in answers]\n            answers.clear()\n            tx.run("COMMIT")\n'
        "        except StoreError as error:\n",
        "what a node says follows its commit",
        STORE,
    ),
    Mutant(
        "node-fault-final",
        ARCHIVE,
        "            self._failed = error\n            _refuse(group, error)\n",
        "            _refuse(group, error)\n",
        "an archive that lost one write takes no other",
        STORE,
    ),
    Mutant(
        "node-job-undone",
        "node/sql.py",
        '        tx.run("ROLLBACK TO job")\n        tx.run("RELEASE job")\n        raise\n',
        '        tx.run("RELEASE job")\n        raise\n',
        "a job that fails leaves no trace in the archive",
        STORE,
    ),
    # -- taking messages from authors
    Mutant(
        "idempotency-conflict",
        ACCEPTANCE,
        '            raise ConflictError("idempotency key")\n',
        "            return None\n",
        "an idempotency key names one request",
        SENDING,
    ),
    Mutant(
        "idempotency-dedupe",
        ACCEPTANCE,
        "    known = outbox.requests(ctx.tx, [each for each in ids if isinstance(each, bytes)])\n",
        "    known: dict[MessageId, bytes] = {}\n",
        "a request that comes again is one message",
        SENDING,
    ),
    Mutant(
        "content-origin",
        ACCEPTANCE,
        "    if (origin.member, origin.desk) != (ctx.identity.me.member, request.desk):\n",
        "    if origin.member != ctx.identity.me.member:\n",
        "a content names the desk that hands it in",
        SENDING,
    ),
    Mutant(
        "author-expiry",
        ACCEPTANCE,
        "    elif not now < expires_at <= now + MAX_LIFE_SECONDS:\n",
        "    elif not expires_at:\n",
        "a message's expiry lies ahead, within a year",
        SENDING,
    ),
    # -- receiving
    Mutant(
        "position-dedupe",
        RECEPTION,
        "        if item.position > position:\n",
        "        if item.position:\n",
        "a position is taken once",
        RULES,
    ),
    Mutant(
        "cursor-stored",
        RECEPTION,
        '    state.put(ctx.tx, "cursor", position)\n',
        "",
        "what is acknowledged is stored as acknowledged",
        RULES,
    ),
    Mutant(
        "notice-first",
        RECEPTION,
        "    return link.kind is Kind.NOTICE and link.first_seq == 1\n",
        "    return True\n",
        "nothing of a later incarnation applies before its notice",
        RULES,
    ),
    Mutant(
        "older-ack-releases",
        RECEPTION,
        "    if taken.is_newest:\n        recovery.believe(ctx, taken.peer, link.ack)\n",
        "    recovery.believe(ctx, taken.peer, link.ack)\n",
        "an ack of an older incarnation releases nothing",
        RULES,
    ),
    Mutant(
        "older-receipt-closes",
        RECEPTION,
        "    for place in sorted(fresh) if taken.is_newest else ():",
        "    for place in sorted(fresh):",
        "a receipt of an older incarnation closes nothing",
        RULES,
    ),
    Mutant(
        "held-early",
        RECEPTION,
        "    if code == NOTICE_FIRST and inbox.held_codes(ctx.tx).get(code, 0) >= MAX_HELD_EARLY:\n",
        "    if code == NOTICE_FIRST and inbox.held_codes(ctx.tx).get(code, 0) < 0:\n",
        "a peer fills no archive with what came too early",
        RULES,
    ),
    Mutant(
        "negatives-seen",
        RECEPTION,
        "        _see(ctx, negative)\n",
        "        pass\n",
        "a revocation in a view applies on sight",
        RULES,
    ),
    Mutant(
        "quarantined",
        "node/refusing.py",
        "    inbox.quarantine(ctx.tx, replace(item, code=error.code))\n",
        "",
        "what cannot be verified is kept aside",
        RULES,
    ),
    Mutant(
        "held-desk",
        RECEPTION,
        '    return {desk if desk in known else "" for member, _slash, desk in named if member == me} or {""}\n',
        '    return {desk if desk in known else "" for _member, _slash, desk in named} or {""}\n',
        "another member's desk is none of ours",
        RULES,
    ),
    # -- numbers
    Mutant(
        "number-taken",
        NUMBERING,
        "    if before.name != name:\n        return Outcome.TAKEN\n",
        "",
        "a number used for another message is told as taken",
        RULES,
    ),
    Mutant(
        "message-dedupe",
        NUMBERING,
        "        if name not in remembered and not twice:\n",
        "        if not twice:\n",
        "a message is delivered once, under whatever number it comes",
        RULES,
    ),
    Mutant(
        "void-for-ever",
        NUMBERING,
        "    if memory.is_void:\n        return Outcome.VOID\n",
        "",
        "what was voided is not delivered later",
        RULES,
    ),
    Mutant(
        "void-remembered",
        NUMBERING,
        "            inbox.remember_void(ctx.tx, peer.id, message_id)\n",
        "            pass\n",
        "a void that comes first is remembered",
        RULES,
    ),
    Mutant(
        "void-after-delivered",
        NUMBERING,
        "    return Outcome.VOID if memory is None or memory.is_void else Outcome.DELIVERED\n",
        "    return Outcome.VOID\n",
        "what is held is delivered, whatever a void says",
        RULES,
    ),
    Mutant(
        "same-id-other-content",
        NUMBERING,
        "    same = memory.digest in {None, header.content_digest}\n",
        "    same = memory is not None\n",
        "a receipt signs for the content that is held",
        RULES,
    ),
    Mutant(
        "gap-marked",
        NUMBERING,
        "    return Mark.GAP_BEFORE if seq == link.first_seq > series.highest + 1 else Mark.NONE\n",
        "    return Mark.NONE\n",
        "a gap is marked",
        RULES,
    ),
    Mutant(
        "late-marked",
        NUMBERING,
        "    if seq <= series.highest:\n        return Mark.LATE\n",
        "",
        "what comes late is marked",
        RULES,
    ),
    # -- receipts
    Mutant(
        "receipt-of-its-link",
        RECEIPTING,
        "        if named != (ref.first_seq, ref.count, ref.manifest_digest):\n            continue\n",
        "",
        "a receipt closes the link that it names",
        RULES,
    ),
    Mutant(
        "delivered-beats-void",
        RECEIPTING,
        "        if before is LinkState.DELIVERED:\n            after = before",
        "        if before is LinkState.DELIVERED and False:\n            after = before",
        "delivered beats void",
        RULES,
    ),
    Mutant(
        "handed-over-by-its-recipient",
        RECEIPTING,
        "    carried = [link for link, _place in links.of_message(ctx.tx, message.id) if link.peer == source.peer.id]\n",
        "    carried = [link for link, _place in links.of_message(ctx.tx, message.id)]\n",
        "a message is taken in hand by whom it went to",
        RULES,
    ),
    Mutant(
        "reseal-of-ones-own",
        RECEIPTING,
        "    if link is None or link.peer != peer.id or link.state",
        "    if link is None or link.state",
        "a member asks for its own envelopes again alone",
        RULES,
    ),
    Mutant(
        "reseal-limit",
        RECEIPTING,
        "    if reseals >= RESEALS_A_DAY:\n",
        "    if reseals >= 100 * RESEALS_A_DAY:\n",
        "a link is sealed again three times a day",
        RULES,
    ),
    Mutant(
        "receipt-once",
        RECEPTION,
        "    subject = hashlib.sha256(link.raw).digest()\n",
        "    subject = hashlib.sha256(link.raw + repr(taken.inlink).encode()).digest()\n",
        "a link that comes again before its receipt went is receipted once",
        RULES,
    ),
)
