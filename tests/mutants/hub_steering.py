"""Mutants of what operators may do at the hub, of who they are, and of the journal that tells it."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

RELAY, DOORS, ACTS, STEERING = "hub/relay.py", "hub/board/doors.py", "hub/board/acts.py", "hub/steering.py"
B: Final = "tests/hub/test_board.py::"

STEERED: Final = (
    Mutant(
        "suspended-waits",
        RELAY,
        "        if self._relay.rules.get(member, _NO_RULE).is_suspended:\n            return []\n",
        "",
        "nothing of a suspended mailbox is handed out",
        (B + "test_suspended_delivery_waits_and_resumed_goes_on",),
    ),
    Mutant(
        "resumed-delivers",
        STEERING,
        "        await self._core.writer.run(lambda round_: round_.read(member))\n",
        "",
        "who is connected gets what waited as soon as delivery is resumed",
        (B + "test_suspended_delivery_waits_and_resumed_goes_on",),
    ),
    Mutant(
        "decided-outlives-restart",
        "hub/core.py",
        "            self._relay.rules = tx.rules()\n",
        "",
        "what operators decided outlives a restart",
        (B + "test_a_quota_refuses_and_survives_a_restart",),
    ),
    Mutant(
        "decided-is-kept",
        STEERING,
        "            tx.put_rule(member, after)\n",
        "",
        "what operators decided is durable",
        (B + "test_a_quota_refuses_and_survives_a_restart",),
    ),
    Mutant(
        "quota-in-place",
        RELAY,
        "        messages = limits.mailbox_messages if rule.max_messages is None else rule.max_messages\n",
        "        messages = limits.mailbox_messages\n",
        "an operator's limit stands in place of the charter's",
        ("tests/hub/test_quota.py::test_an_operators_limits_stand_in_place_of_the_charters",),
    ),
    Mutant(
        "at-the-door-when-shut",
        "hub/hall.py",
        "        if self.is_draining:\n            # It was at the door when that was shut.\n            session.end(DrainingError())\n",
        "",
        "who was at the door when it was shut is not let in",
        ("tests/hub/test_sessions.py::test_who_is_at_the_door_when_it_is_shut",),
    ),
    Mutant(
        "viewers-look",
        ACTS,
        "    if not visitor.may_act:\n",
        "    if visitor is None:\n",
        "who may only look changes nothing",
        (B + "test_a_viewer_looks_and_does_not_act",),
    ),
    Mutant(
        "typed-to-confirm",
        ACTS,
        '    if form.get("confirm", "").strip() != wanted:\n',
        '    if not form.get("confirm"):\n',
        "an act is confirmed by typing what it is about",
        (B + "test_what_is_typed_wrong_changes_nothing",),
    ),
    Mutant(
        "form-of-this-session",
        ACTS,
        '    visitor.check_token(form.get("token", ""))\n    if not visitor.may_act:\n',
        "    if not visitor.may_act:\n",
        "a form carries the token of its session",
        (B + "test_a_form_carries_the_token_of_its_session",),
    ),
    Mutant(
        "own-pages-only",
        "keys/guard.py",
        "        if request.method not in _SAFE and not _is_own(request, origin):\n",
        "        if request.method not in _SAFE and request is None:\n",
        "no page of another site acts",
        (B + "test_no_other_site_acts",),
    ),
    Mutant(
        "a-code-once",
        "hub/operators.py",
        " or kept.totp_step >= step:\n",
        ":\n",
        "a time code opens the door once",
        (B + "test_password_and_code_open_the_door_once",),
    ),
    Mutant(
        "guessing-slowed",
        DOORS,
        "        if seconds := self._throttle.wait_seconds(names, now):\n",
        "        if (seconds := self._throttle.wait_seconds(names, now)) < 0:\n",
        "guessing is slowed",
        (B + "test_guessing_is_slowed",),
    ),
    Mutant(
        "removed-is-out",
        DOORS,
        "        if not is_same or not self._lasts(visitor):\n",
        "        if not self._lasts(visitor):\n",
        "an operator who is removed is out at once",
        (B + "test_who_is_removed_is_out_at_once",),
    ),
    Mutant(
        "idle-session-ends",
        DOORS,
        " and now < visitor.seen_at + self._idle\n",
        "\n",
        "an idle session ends, whatever its page does by itself",
        (B + "test_sessions_end",),
    ),
    Mutant(
        "journal-is-chained",
        STEERING,
        "    head = chain(tx.journal_head(), entry)\n",
        "    head = chain(bytes(32), entry)\n",
        "each entry of the journal is bound to the one before it",
        (B + "test_the_doctor_sees_a_journal_that_was_changed",),
    ),
    Mutant(
        "act-is-told",
        STEERING,
        "            return after, note(tx, Entry(at, by, act.value, member, _difference(act, before, after)))\n",
        "            return after, bytes(32)\n",
        "every act is an entry of the journal",
        (B + "test_suspended_delivery_waits_and_resumed_goes_on",),
    ),
)
