"""Mutants of `node.nudging`: who is called when, what counts as opened, and that nothing leaves in the open."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

T: Final = "tests/node/test_nudging.py"
OPENS: Final = (f"{T}::test_who_opens_it_for_the_desk_and_who_does_not",)
CALLED: Final = (f"{T}::test_somebody_is_called_until_it_is_opened",)
FAILS: Final = (f"{T}::test_what_fails_is_tried_again_told_to_the_operator_and_escalated",)

NUDGING: Final = (
    Mutant(
        "nudge-auditor",
        "node/desks.py",
        "return not isinstance(caller, Colleague) or",
        "return True or",
        "what an auditor reads still waits for somebody",
        OPENS,
    ),
    Mutant(
        "nudge-answered",
        "node/service.py",
        "            urgent.opened(ctx.tx, found.id, self.walls.sees(AtDesk(desk)))\n",
        "",
        "what a desk answers is opened",
        OPENS,
    ),
    Mutant(
        "nudge-quiet",
        "node/nudging/nudger.py",
        "        if quiet:",
        "        if False:",
        "once all is opened nobody is called, and the next begins anew",
        CALLED,
    ),
    Mutant(
        "nudge-remembered",
        "node/tables/urgent.py",
        "sent_at = ?, count = count + 1",
        "sent_at = NULL, count = count + ?",
        "a restart does not call again",
        CALLED,
    ),
    Mutant(
        "nudge-escalation-own",
        "node/tables/urgent.py",
        "WHERE place = ? AND told_at <= ?",
        "WHERE place = ? AND ? > 0",
        "escalation is told only of what duty was told of",
        CALLED,
    ),
    Mutant(
        "nudge-emergency",
        "node/reception.py",
        "how is Urgency.EMERGENCY for",
        "how is Urgency.URGENT for",
        "an emergency is known as one",
        CALLED,
    ),
    Mutant(
        "nudge-flood",
        "node/nudging/plan.py",
        "min(again, max(fresh, last))",
        "min(again, fresh)",
        "nobody is called twice within five minutes",
        (f"{T}::test_what_comes_while_others_wait_goes_with_the_next_call_or_after_a_gap",),
    ),
    Mutant(
        "nudge-status",
        "node/nudging/channels.py",
        "status is None or status // 100 != _SUCCESS",
        "status is None",
        "a call that was refused did not go through",
        FAILS,
    ),
    Mutant(
        "nudge-alarm",
        "node/nudging/nudger.py",
        "if attempts + 1 >= _ALARM_AFTER:",
        "if False:",
        "calls that fail are an alarm",
        FAILS,
    ),
    Mutant(
        "nudge-name",
        "node/nudging/words.py",
        "            check_name(name)\n",
        "            pass\n",
        "no name breaks out of a mail's header",
        (f"{T}::test_no_name_breaks_out_of_a_header",),
    ),
    Mutant(
        "mail-in-the-open",
        "node/nudging/mail.py",
        "            server.starttls(context=self._context())",
        '            server.ehlo()\n            if server.has_extn("starttls"):\n'
        "                server.starttls(context=self._context())",
        "mail goes over TLS or not at all",
        (f"{T}::test_nothing_leaves_in_the_open",),
    ),
    Mutant(
        "mail-cut",
        "node/nudging/mail.py",
        "            line.cut()\n            raise",
        "            raise",
        "a server that says nothing is left",
        (f"{T}::test_a_server_that_says_nothing_is_left",),
    ),
)
