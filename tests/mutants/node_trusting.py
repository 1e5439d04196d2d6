"""Mutants of `node`: the registry and calendars that it trusts, the keys that it destroys, and its desks."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

ANSWERS = "node/answers.py"
MIRROR, REACH, ENGINE, CALENDARS = "node/mirror.py", "node/reach.py", "node/engine.py", "node/calendars.py"
T: Final = "tests/node/"

NODE_TRUST: Final = (
    # -- trust
    Mutant(
        "smaller-checkpoint",
        MIRROR,
        "            forked = self.registry.root_at(checkpoint.size) != checkpoint.root\n",
        "            forked = False\n",
        "a smaller checkpoint with another root is a fork",
        (T + "test_mirror.py::test_another_tree_signed_by_the_log_is_kept_as_evidence",),
    ),
    Mutant(
        "forked-checkpoint",
        MIRROR,
        "            forked = self._root_with(leaves, checkpoint.size) != checkpoint.root\n",
        "            forked = not self._root_with(leaves, checkpoint.size)\n",
        "a mirror grows by what the log signed",
        (T + "test_mirror.py::test_another_tree_signed_by_the_log_is_kept_as_evidence",),
    ),
    Mutant(
        "mirrored-statement",
        MIRROR,
        "            if statement_hash(statement) != parsed.hash:\n",
        "            if not parsed.hash:\n",
        "a mirrored statement is the one that its leaf names",
        (T + "test_mirror.py::test_leaves_that_are_not_the_checkpoints_are_refused",),
    ),
    Mutant(
        "log-successor",
        MIRROR,
        "            _check_successor(_stored(tx), leaves, self.registry.association, successor)\n",
        "            pass\n",
        "another log follows by a charter in force alone",
        (T + "test_mirror.py::test_a_new_log_that_no_charter_in_force_names_counts_for_nothing",),
    ),
    Mutant(
        "older-checkpoint",
        MIRROR,
        "        return is_early or at > newest.cosignature.timestamp\n",
        "        return True\n",
        "an older signature does not replace a newer one",
        (T + "test_mirror.py::test_a_newer_signature_of_the_same_tree_makes_the_view_fresh",),
    ),
    Mutant(
        "smaller-replaces",
        MIRROR,
        "        if checkpoint.size == self.registry.size + len(added.entries) and self._is_newer(signed, added, now):\n",
        "        if self._is_newer(signed, added, now):\n",
        "a smaller checkpoint replaces nothing",
        (T + "test_mirror.py::test_an_older_checkpoint_changes_nothing",),
    ),
    Mutant(
        "view-from-the-future",
        MIRROR,
        '        return age if age >= -CLOCK_REFUSE_SECONDS else float("inf")\n',
        "        return age\n",
        "a view signed for the future is no fresh one",
        (T + "test_attack_hub.py::test_a_checkpoint_ahead_of_its_time_makes_no_old_view_fresh",),
    ),
    Mutant(
        "suspended-recipient",
        REACH,
        "        except RecipientSuspendedError as error:\n            return error.code\n",
        "        except RecipientSuspendedError:\n            pass\n",
        "nothing is sealed to a member that is suspended",
        (T + "test_courier.py::test_who_is_suspended_meanwhile_waits",),
    ),
    Mutant(
        "revoked-prekeys",
        REACH,
        "        except StandingError:\n            return None\n        return calendar\n",
        "        except StandingError:\n            return calendar\n        return calendar\n",
        "nothing is sealed to prekeys that a revoked certificate vouches for",
        (T + "test_calendars.py", T + "test_courier.py"),
    ),
    Mutant(
        "calendar-of-its-member",
        CALENDARS,
        "    if certificate.role is not Role.NODE or certificate.party != party or party.member != member:\n",
        "    if certificate.role is not Role.NODE:\n",
        "a calendar is its member's own",
        (T + "test_calendars.py",),
    ),
    Mutant(
        "calendar-verified",
        CALENDARS,
        "    calendar = signed.verify(certificate.key)\n",
        "    calendar = signed.claimed\n",
        "a calendar that the hub shows is signed",
        (T + "test_calendars.py",),
    ),
    Mutant(
        "calendar-follows",
        CALENDARS,
        "                check_successor(held, calendar, same_incarnation=_is_same_life(ctx, held))\n",
        "                pass\n",
        "the hub shows no older calendar",
        (T + "test_calendars.py",),
    ),
    Mutant(
        "held-needs-its-key",
        ENGINE,
        "        if self._hub_ahead is None or inbox.held_codes(ctx.tx):\n            return\n",
        "        if self._hub_ahead is None:\n            return\n",
        "a prekey lives while anything held needs it",
        (
            T + "test_uplink.py::test_prekeys_die_by_both_clocks_alone",
            T + "test_reception.py::test_a_held_envelope_whose_key_dies_is_sealed_again",
        ),
    ),
    Mutant(
        "two-clocks",
        ENGINE,
        "        if self._hub_ahead is None:\n            return  # the local clock alone may destroy nothing\n",
        "",
        "a prekey is destroyed by two clocks",
        (T + "test_uplink.py::test_prekeys_die_by_both_clocks_alone",),
    ),
    Mutant(
        "given-charter",
        ENGINE,
        "        if self.mirror.registry.index_of(self._anchor.signed.id) is None:\n",
        "        if self._anchor.signed.id is None:\n",
        "the hub's log holds the charter that was given by hand",
        (T + "test_uplink.py::test_a_hub_of_another_association_is_none",),
    ),
    # -- desks
    Mutant(
        "revoked-token",
        "node/desks.py",
        "            if token.revoked_at is None\n",
        "",
        "a token that was revoked opens nothing",
        (T + "test_desks.py",),
    ),
    Mutant(
        "expired-token",
        "node/desks.py",
        "        if token.expires_at is not None and now >= token.expires_at:\n",
        "        if token.expires_at is not None and now < 0:\n",
        "a token ends when it says",
        (T + "test_desks.py::test_a_token_is_good_until_its_last_second",),
    ),
    Mutant(
        "desk-wall-inbox",
        "node/service.py",
        '        return (*own, "") if own is not None and self.writer.desk in own else own\n',
        "        return None if own else own\n",
        "a desk sees its own mail alone",
        (T + "test_api.py::test_the_token_of_another_desk_sees_nothing",),
    ),
    Mutant(
        "desk-wall-outbox",
        "node/service.py",
        "own.desk in (desks_of(caller) or (own.desk,))",
        "own.desk is not None",
        "a desk sees what it sent itself alone",
        (T + "test_api.py::test_the_token_of_another_desk_sees_nothing",),
    ),
    Mutant(
        "desk-wall-asked",
        "node/service.py",
        "        if own is not None and desk not in own:\n            raise UnknownDeskError(desk)\n",
        "",
        "nobody asks for a desk that is not theirs",
        (T + "test_web_doors.py", T + "test_people.py"),
    ),
    Mutant(
        "operators-acts",
        "node/service.py",
        '            raise UnauthorizedError("this is the operator\'s, over the Unix socket")\n',
        "            return\n",
        "a desk's token does nothing of the operator's",
        (T + "test_api.py::test_desks_and_tokens_are_the_operators",),
    ),
    Mutant(
        "another-site",
        "node/api.py",
        "    if is_bent or (origin is not None and urlsplit(origin).netloc != request.host):\n",
        "    if is_bent:\n",
        "a page of another site asks nothing",
        (T + "test_attack_desk.py::test_a_page_of_another_site_is_refused_whatever_it_knows",),
    ),
    Mutant(
        "handling-code",
        "node/handling.py",
        "    if beyond and original.tlp in _BOUND:\n",
        "    if beyond and original.tlp is None:\n",
        "a message that is for its readers goes no further",
        (T + "test_handling.py",),
    ),
)
