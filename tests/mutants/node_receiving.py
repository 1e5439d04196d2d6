"""Mutants of `node`: its archive, what it takes from authors and from peers, and what it believes."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

ARCHIVE, ACCEPTANCE, RECEPTION = "node/archive.py", "node/acceptance.py", "node/reception.py"
NUMBERING, RECEIPTING = "node/numbering.py", "node/receipting.py"
T: Final = "tests/node/"

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
        (
            T + "test_archive.py::test_jobs_that_wait_together_are_one_commit",
            T + "test_store_contract.py::test_what_a_job_gives_comes_back_once_it_is_stored",
        ),
    ),
    Mutant(
        "node-fault-final",
        ARCHIVE,
        "            self._failed = error\n            _refuse(group, error)\n",
        "            _refuse(group, error)\n",
        "an archive that lost one write takes no other",
        (T + "test_archive.py::test_when_the_disk_fails_nothing_more_is_taken",),
    ),
    Mutant(
        "node-job-undone",
        "node/sql.py",
        '        tx.run("ROLLBACK TO job")\n        tx.run("RELEASE job")\n        raise\n',
        '        tx.run("RELEASE job")\n        raise\n',
        "a job that fails leaves no trace in the archive",
        (T + "test_store_contract.py::test_a_job_that_raises_changes_nothing_and_harms_nobody",),
    ),
    # -- taking messages from authors
    Mutant(
        "idempotency-conflict",
        ACCEPTANCE,
        '            raise ConflictError("idempotency key")\n',
        "            return None\n",
        "an idempotency key names one request",
        (T + "test_courier.py::test_another_request_under_the_same_key_is_a_conflict",),
    ),
    Mutant(
        "idempotency-dedupe",
        ACCEPTANCE,
        "    known = outbox.requests(ctx.tx, [each for each in ids if isinstance(each, bytes)])\n",
        "    known: dict[MessageId, bytes] = {}\n",
        "a request that comes again is one message",
        (T + "test_courier.py::test_the_same_request_again_is_the_same_message",),
    ),
    Mutant(
        "content-origin",
        ACCEPTANCE,
        "    if (origin.member, origin.desk) != (ctx.identity.me.member, request.desk):\n",
        "    if origin.member != ctx.identity.me.member:\n",
        "a content names the desk that hands it in",
        (T + "test_courier.py::test_what_no_recipient_would_take_is_refused",),
    ),
    Mutant(
        "author-expiry",
        ACCEPTANCE,
        "    elif not now < expires_at <= now + MAX_LIFE_SECONDS:\n",
        "    elif not expires_at:\n",
        "a message's expiry lies ahead, within a year",
        (T + "test_courier.py::test_what_no_recipient_would_take_is_refused",),
    ),
    # -- receiving
    Mutant(
        "position-dedupe",
        RECEPTION,
        "        if item.position > position:\n",
        "        if item.position:\n",
        "a position is taken once",
        (T + "test_reception.py::test_a_run_says_what_is_new_and_what_to_acknowledge",),
    ),
    Mutant(
        "cursor-stored",
        RECEPTION,
        '    state.put(ctx.tx, "cursor", position)\n',
        "",
        "what is acknowledged is stored as acknowledged",
        (T + "test_reception.py::test_a_run_says_what_is_new_and_what_to_acknowledge",),
    ),
    Mutant(
        "notice-first",
        RECEPTION,
        "    return link.kind is Kind.NOTICE and link.first_seq == 1\n",
        "    return True\n",
        "nothing of a later incarnation applies before its notice",
        (
            T + "test_reception.py::test_a_restored_reader_gets_back_what_was_delivered_and_what_was_void",
            T + "test_attack_peer.py::test_only_so_much_waits_for_a_notice",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "older-ack-releases",
        RECEPTION,
        "    if taken.is_newest:\n        recovery.believe(ctx, taken.peer, link.ack)\n",
        "    recovery.believe(ctx, taken.peer, link.ack)\n",
        "an ack of an older incarnation releases nothing",
        (T + "test_machine.py",),
    ),
    Mutant(
        "older-receipt-closes",
        RECEPTION,
        "    for place in sorted(fresh) if taken.is_newest else ():",
        "    for place in sorted(fresh):",
        "a receipt of an older incarnation closes nothing",
        (T + "test_machine.py",),
    ),
    Mutant(
        "held-early",
        RECEPTION,
        "    if code == NOTICE_FIRST and inbox.held_codes(ctx.tx).get(code, 0) >= MAX_HELD_EARLY:\n",
        "    if code == NOTICE_FIRST and inbox.held_codes(ctx.tx).get(code, 0) < 0:\n",
        "a peer fills no archive with what came too early",
        (T + "test_attack_peer.py::test_only_so_much_waits_for_a_notice",),
    ),
    Mutant(
        "negatives-seen",
        RECEPTION,
        "        _see(ctx, negative)\n",
        "        pass\n",
        "a revocation in a view applies on sight",
        (T + "test_reception.py::test_negatives_that_a_peer_shows_count_at_once",),
    ),
    Mutant(
        "quarantined",
        "node/refusing.py",
        "    inbox.quarantine(ctx.tx, replace(item, code=error.code))\n",
        "",
        "what cannot be verified is kept aside",
        (
            T + "test_reception.py::test_a_hub_that_swaps_ciphertexts_is_refused_by_name_of_the_envelope",
            T + "test_reception.py::test_what_names_no_envelope_is_set_aside_and_answered_to_nobody",
            T + "test_attack_peer.py::test_only_so_much_is_kept_of_what_is_refused",
        ),
    ),
    Mutant(
        "held-desk",
        RECEPTION,
        '    return {desk if desk in known else "" for member, _slash, desk in named if member == me} or {""}\n',
        '    return {desk if desk in known else "" for _member, _slash, desk in named} or {""}\n',
        "another member's desk is none of ours",
        (
            T + "test_reception.py",
            T + "test_api.py::test_what_is_for_no_desk_that_exists_is_shown_to_the_first",
        ),
    ),
    # -- numbers
    Mutant(
        "number-taken",
        NUMBERING,
        "    if before.name != name:\n        return Outcome.TAKEN\n",
        "",
        "a number used for another message is told as taken",
        (
            T + "test_reception.py::test_known_number_another_message",
            T + "test_reception.py::test_a_number_that_is_taken_goes_again_once",
        ),
    ),
    Mutant(
        "message-dedupe",
        NUMBERING,
        "        if name not in remembered and not twice:\n",
        "        if not twice:\n",
        "a message is delivered once, under whatever number it comes",
        (T + "test_reception.py::test_unknown_number_message_held",),
    ),
    Mutant(
        "void-for-ever",
        NUMBERING,
        "    if memory.is_void:\n        return Outcome.VOID\n",
        "",
        "what was voided is not delivered later",
        (T + "test_reception.py::test_unknown_number_message_voided_elsewhere",),
    ),
    Mutant(
        "void-remembered",
        NUMBERING,
        "            inbox.remember_void(ctx.tx, peer.id, message_id)\n",
        "            pass\n",
        "a void that comes first is remembered",
        (T + "test_reception.py::test_unknown_number_message_voided_elsewhere",),
    ),
    Mutant(
        "void-after-delivered",
        NUMBERING,
        "    return Outcome.VOID if memory is None or memory.is_void else Outcome.DELIVERED\n",
        "    return Outcome.VOID\n",
        "what is held is delivered, whatever a void says",
        (T + "test_reception.py::test_a_void_of_what_is_held_tells_the_truth",),
    ),
    Mutant(
        "same-id-other-content",
        NUMBERING,
        "    same = memory.digest in {None, header.content_digest}\n",
        "    same = memory is not None\n",
        "a receipt signs for the content that is held",
        (T + "test_reception.py::test_unknown_number_message_held_with_another_content",),
    ),
    Mutant(
        "gap-marked",
        NUMBERING,
        "    return Mark.GAP_BEFORE if seq == link.first_seq > series.highest + 1 else Mark.NONE\n",
        "    return Mark.NONE\n",
        "a gap is marked",
        (T + "test_reception.py::test_gaps_are_marked_and_so_is_what_comes_late",),
    ),
    Mutant(
        "late-marked",
        NUMBERING,
        "    if seq <= series.highest:\n        return Mark.LATE\n",
        "",
        "what comes late is marked",
        (T + "test_reception.py::test_gaps_are_marked_and_so_is_what_comes_late",),
    ),
    # -- receipts
    Mutant(
        "receipt-of-its-link",
        RECEIPTING,
        "        if named != (ref.first_seq, ref.count, ref.manifest_digest):\n            continue\n",
        "",
        "a receipt closes the link that it names",
        (T + "test_reception.py::test_a_receipt_that_names_nothing_of_ours_changes_nothing",),
    ),
    Mutant(
        "delivered-beats-void",
        RECEIPTING,
        "        if before is LinkState.DELIVERED:\n            after = before",
        "        if before is LinkState.DELIVERED and False:\n            after = before",
        "delivered beats void",
        (
            T + "test_reception.py::test_delivered_once_is_delivered_for_ever",
            T + "test_reception.py::test_a_void_answered_after_the_message_was_delivered_changes_nothing",
        ),
    ),
    Mutant(
        "handed-over-by-its-recipient",
        RECEIPTING,
        "    carried = [link for link, _place in links.of_message(ctx.tx, message.id) if link.peer == source.peer.id]\n",
        "    carried = [link for link, _place in links.of_message(ctx.tx, message.id)]\n",
        "a message is taken in hand by whom it went to",
        (T + "test_courier.py::test_a_stranger_takes_nothing_in_hand",),
    ),
    Mutant(
        "reseal-of-ones-own",
        RECEIPTING,
        "    if link is None or link.peer != peer.id or link.state",
        "    if link is None or link.state",
        "a member asks for its own envelopes again alone",
        (T + "test_courier.py::test_a_stranger_complains_in_vain",),
    ),
    Mutant(
        "reseal-limit",
        RECEIPTING,
        "    if reseals >= RESEALS_A_DAY:\n",
        "    if reseals >= 100 * RESEALS_A_DAY:\n",
        "a link is sealed again three times a day",
        (T + "test_courier.py::test_it_is_sealed_again_three_times_a_day_and_then_it_waits",),
    ),
    Mutant(
        "receipt-once",
        RECEPTION,
        "    subject = hashlib.sha256(link.raw).digest()\n",
        "    subject = hashlib.sha256(link.raw + repr(taken.inlink).encode()).digest()\n",
        "a link that comes again before its receipt went is receipted once",
        (
            T + "test_reception.py::test_a_receipt_of_two_kinds_of_link_is_owed_once_for_each",
            T + "test_machine.py",
        ),
    ),
)
