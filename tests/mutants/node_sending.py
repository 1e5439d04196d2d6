"""Mutants of `node`: what it signs and sends, and whose word it takes."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

ANSWERS = "node/answers.py"
RECOVERY, POSTING, COURIER = "node/recovery.py", "node/posting.py", "node/courier.py"
WITHDRAWAL, GATHERING, UPKEEP = "node/withdrawal.py", "node/gathering.py", "node/upkeep.py"
T: Final = "tests/node/"

SENDING_RULES: Final = (
    # -- the hub's word
    Mutant(
        "hub-answer-signed",
        ANSWERS,
        "        return attestation.verify(ctx.registry, ctx.verified)\n",
        "        return AttestationData.from_bytes(attestation.data)\n",
        "nothing counts that a hub in standing did not sign",
        (T + "test_courier.py::test_an_attestation_that_does_not_prove_itself_counts_for_nothing",),
    ),
    Mutant(
        "hub-answer-its-envelope",
        ANSWERS,
        "data.envelope_id == item.envelope_id:",
        "data.envelope_id:",
        "an answer is about the envelope that it answers",
        (
            T + "test_courier.py::test_an_answer_for_nothing_of_ours_is_passed_over",
            T + "test_courier.py::test_an_attestation_of_a_link_that_is_none_of_ours_is_passed_over",
        ),
    ),
    Mutant(
        "hub-answer-its-session",
        COURIER,
        "            if self._post.answered(item.envelope_id):\n",
        "            if self._post.answered(item.envelope_id) or True:\n",
        "an answer counts in its session",
        (
            T + "test_courier.py::test_what_a_session_did_not_answer_goes_again_byte_for_byte",
            T + "test_courier.py::test_an_answer_for_nothing_of_ours_is_passed_over",
            T + "test_courier.py::test_a_refusal_after_the_receipt_changes_nothing",
        ),
    ),
    Mutant(
        "notice-of-an-older-envelope",
        ANSWERS,
        "    if links.envelope_id(ctx.tx, link.envelope) == data.envelope_id:\n",
        "    if link.envelope:\n",
        "a notice about an earlier envelope changes nothing",
        (T + "test_courier.py::test_a_notice_of_an_earlier_envelope_changes_nothing",),
    ),
    Mutant(
        "conflict-means-rolled-back",
        ANSWERS,
        "        recovery.request(ctx, Cause.ROLLED_BACK)\n",
        "        pass\n",
        "a number that somebody else spent begins a new incarnation",
        (T + "test_courier.py::test_a_submission_spent_by_another_means_rolled_back",),
    ),
    Mutant(
        "older-hub",
        RECOVERY,
        "    if known is not None and hub < known:\n",
        "    if known is not None and hub is None:\n",
        "an older incarnation of the hub is refused",
        (T + "test_courier.py::test_an_older_hub_than_one_met_is_refused",),
    ),
    Mutant(
        "hub-shows-more",
        RECOVERY,
        "    if ahead or cursor > state.cursor(ctx.tx):\n",
        "    if cursor > state.cursor(ctx.tx):\n",
        "a submission that this node forgot begins a new incarnation",
        (
            T + "test_attack_hub.py::test_a_submission_of_an_incarnation_that_was_never_opened_shows_no_rollback",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "hub-shows-further",
        RECOVERY,
        "    if ahead or cursor > state.cursor(ctx.tx):\n",
        "    if ahead:\n",
        "an acknowledgement that this node forgot begins a new incarnation",
        (T + "test_machine.py",),
    ),
    Mutant(
        "hub-changed",
        RECOVERY,
        "            request(ctx, Cause.HUB_CHANGED)\n",
        "            pass\n",
        "a hub that was restored gets everything again",
        (T + "test_machine.py",),
    ),
    # -- recovery
    Mutant(
        "peer-knows-more",
        RECOVERY,
        "    if is_beyond and may_claim(ctx, peer):\n",
        "    if is_beyond and not may_claim(ctx, peer):\n",
        "a number that only the peer remembers begins a new incarnation",
        (T + "test_reception.py::test_a_peer_that_counts_higher_than_we_do_shows_that_we_were_rolled_back",),
    ),
    Mutant(
        "claims-a-day",
        RECOVERY,
        "    if count >= CLAIMS_A_DAY:\n",
        "    if count >= 100 * CLAIMS_A_DAY:\n",
        "no peer has incarnations begun at will",
        (
            T + "test_attack_peer.py::test_a_peer_that_acknowledges_what_was_never_sent_costs_three_incarnations_a_day",
            T + "test_attack_peer.py::test_a_peer_that_calls_every_number_taken_costs_three_incarnations_a_day",
        ),
    ),
    Mutant(
        "notice-sent-again",
        RECOVERY,
        "        if link.state is LinkState.OPEN or link.last_seq > held.get(link.incarnation, 0):\n",
        "        if link.state is LinkState.OPEN:\n",
        "what a restored peer lost goes again",
        (T + "test_reception.py::test_a_restored_reader_gets_back_what_was_delivered_and_what_was_void",),
    ),
    Mutant(
        "receipts-carried-over",
        RECOVERY,
        "            _owe_again(ctx, link)\n",
        "            pass\n",
        "a receipt that no ack released goes again in a new incarnation",
        (
            T + "test_courier.py::test_what_a_desk_answered_survives_a_restore_of_its_node",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "notice-to-everybody",
        RECOVERY,
        "            peers.due_notice(ctx.tx, peer.id)\n",
        "            pass\n",
        "every member hears of a new incarnation",
        (
            T + "test_reception.py::test_a_restored_reader_gets_back_what_was_delivered_and_what_was_void",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "ack-of-this-life",
        RECOVERY,
        "    if ack.incarnation == state.incarnation(ctx.tx):\n",
        "    if ack.incarnation is not None:\n",
        "an ack for an earlier life of ours releases nothing",
        (T + "test_machine.py",),
    ),
    # -- sending
    Mutant(
        "submission-stored",
        POSTING,
        '    state.put(ctx.tx, "counter", counter)\n',
        "",
        "a submission number is spent once",
        (
            T + "test_courier.py::test_one_audience_shares_a_manifest_and_one_run_a_signature",
            T + "test_courier.py::test_a_manifest_holds_256_and_an_envelope_what_fits",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "unanswered-goes-again",
        POSTING,
        '        """A session begins: nothing was submitted in it, so everything unanswered goes again."""\n        self._sent.clear()\n',
        '        """A session begins: nothing was submitted in it, so everything unanswered goes again."""\n',
        "what was unanswered goes again in the next session",
        (T + "test_courier.py::test_what_a_session_did_not_answer_goes_again_byte_for_byte",),
    ),
    Mutant(
        "first-acceptance",
        POSTING,
        "    first = [evidence.attestation(ctx.tx, link.first_attestation)] if link.first_attestation else []\n",
        "    first = []\n",
        "a link that goes again carries its first acceptance",
        (T + "test_reception.py::test_what_goes_again_is_judged_at_its_first_acceptance",),
    ),
    Mutant(
        "sealed-again-at-expiry",
        POSTING,
        "    row = links.keep_envelope(ctx.tx, envelope.core, rows, envelope.core.expires_at)\n",
        "    row = links.keep_envelope(ctx.tx, envelope.core, rows, 1 << 60)\n",
        "an envelope that expired is sealed again by our own clock",
        (
            T + "test_courier.py::test_what_expires_unreceipted_is_voided_and_the_recipient_signs",
            T + "test_machine.py",
        ),
    ),
    Mutant(
        "author-expiry-voids",
        POSTING,
        "        links.begin_void(ctx.tx, link.id, range(link.count), VoidReason.EXPIRED)\n",
        "        pass\n",
        "a message past its own expiry is voided",
        (T + "test_courier.py::test_what_expires_unreceipted_is_voided_and_the_recipient_signs",),
    ),
    Mutant(
        "envelope-expiry-margin",
        POSTING,
        "    latest = ctx.second + lifetime - min(CLOCK_MARGIN_SECONDS, lifetime // 2)\n",
        "    latest = ctx.second + lifetime\n",
        "a hub whose clock is behind takes our envelopes",
        (T + "test_courier.py",),
    ),
    Mutant(
        "numbers-taken",
        "node/linking.py",
        "        peers.take_numbers(ctx.tx, peer.id, current, first + manifest.count)\n",
        "        pass\n",
        "a number is signed once",
        (
            T + "test_courier.py::test_every_link_proves_itself",
            T + "test_courier.py::test_a_recipient_gets_messages_in_the_order_of_acceptance_whatever_their_audience",
        ),
    ),
    Mutant(
        "ack-contiguous",
        "node/linking.py",
        "peers.series(ctx.tx, peer.id, peer.newest).contiguous)",
        "peers.series(ctx.tx, peer.id, peer.newest).highest)",
        "an ack ends before the first gap",
        (T + "test_reception.py::test_the_ack_stops_at_the_first_gap",),
    ),
    Mutant(
        "silent-while-reborn",
        COURIER,
        '        if recovery.pending(ctx.tx) is not None:\n            return "new_incarnation"\n',
        "",
        "nothing is signed between two incarnations",
        (
            T
            + "test_courier.py::test_nothing_is_signed_while_an_incarnation_is_wanted_and_the_statement_stays_the_same",
        ),
    ),
    Mutant(
        "stale-view",
        COURIER,
        "                raise StaleViewError\n",
        "                pass\n",
        "nothing is sent on a view that is too old",
        (T + "test_courier.py::test_nothing_is_sent_on_a_stale_view",),
    ),
    Mutant(
        "own-certificate",
        COURIER,
        "            ctx.registry.certificate_standing(ctx.identity.certificate, ctx.second)\n",
        "",
        "nothing is signed with a certificate that is over",
        (T + "test_courier.py::test_nothing_is_sent_without_standing_or_charter",),
    ),
    Mutant(
        "waiting-expires",
        COURIER,
        "            outbox.no_longer_waiting(ctx.tx, peer, [message])\n",
        "            pass\n",
        "what waits expires in its time",
        (T + "test_courier.py::test_what_waits_past_its_expiry_has_ended",),
    ),
    Mutant(
        "withdrawn-without-answer",
        WITHDRAWAL,
        "            links.begin_void(ctx.tx, link.id, [place], VoidReason.WITHDRAWN)\n",
        "            links.settle_number(ctx.tx, link.id, place, LinkState.VOID, (0, 0))\n",
        "a message is withdrawn when its recipient says so",
        (
            T + "test_courier.py::test_a_withdrawal_while_a_void_is_under_way_is_the_same_withdrawal",
            T + "test_reception.py::test_a_void_answered_after_the_message_was_delivered_changes_nothing",
        ),
    ),
    Mutant(
        "restored-withdraws",
        WITHDRAWAL,
        "        if reason != WITHDRAWN and not restored:\n",
        "        if reason != WITHDRAWN:\n",
        "a restored node asks before it says withdrawn",
        (T + "test_machine.py", T + "test_courier.py"),
    ),
    Mutant(
        "withdraw-too-late",
        WITHDRAWAL,
        "    if not touched:\n        raise TooLateError\n",
        "",
        "what was delivered is not taken back",
        (T + "test_api.py::test_what_waits_is_withdrawn_and_what_is_delivered_is_not",),
    ),
    Mutant(
        "damaged-is-not-sent",
        GATHERING,
        "    if not message.is_intact:\n",
        "    if message.is_intact is None:\n",
        "a content that the disk changed is not signed",
        (T + "test_courier.py::test_a_damaged_message_is_told_and_harms_no_other",),
    ),
    Mutant(
        "order-of-acceptance",
        GATHERING,
        "        return draft is self.drafts[-1] or all(self._latest[target.peer.id] is draft for target in draft.targets)\n",
        "        return True\n",
        "messages go in the order of their acceptance",
        (
            T + "test_courier.py::test_no_recipient_gets_a_later_message_before_an_earlier",
            T + "test_courier.py::test_a_recipient_gets_messages_in_the_order_of_acceptance_whatever_their_audience",
        ),
    ),
    Mutant(
        "receipt-in-time",
        UPKEEP,
        "        if due_at > ctx.now and numbers < FULL_RECEIPT and peer_id not in going:\n",
        "        if due_at + 3_600 > ctx.now and numbers < FULL_RECEIPT and peer_id not in going:\n",
        "a receipt goes within two seconds",
        (T + "test_courier.py::test_a_receipt_waits_two_seconds_for_company_and_an_urgent_one_does_not",),
    ),
    Mutant(
        "receipt-paid-once",
        UPKEEP,
        "            owed.paid(ctx.tx, bodies)\n",
        "            pass\n",
        "a receipt that went is owed no more",
        (
            T + "test_courier.py::test_a_receipt_goes_with_whatever_else_goes_to_the_peer",
            T + "test_courier.py::test_a_full_manifest_is_receipted_at_once",
        ),
    ),
    Mutant(
        "notice-number-one",
        UPKEEP,
        "    if is_first(ctx.registry, ctx.identity.me.member, current):\n        return []\n",
        "    if current:\n        return []\n",
        "a later incarnation begins with its notice",
        (T + "test_reception.py::test_a_restored_reader_gets_back_what_was_delivered_and_what_was_void",),
    ),
)
