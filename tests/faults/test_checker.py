"""The checker notices what it is there for: each fault planted alone in journals that were sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import checker
from tests.faults.checker import Account, Proof, Verdict
from tests.faults.journal import Acked, Asked, Handed, Journal, Line, TakenBack, Told, read

AR, BR, CO = "ar-mpf", "br-mpf", "co-fgn"
Accounts = dict[str, Account]


def id_of(member: str, key: str) -> str:
    return f"msg_{member}_{key}"


def sent(number: int) -> str:
    return id_of(AR, str(number))


def accounts() -> Accounts:
    """Four messages from AR: three to BR, of which one goes to CO too, and one that was taken back."""
    to: dict[int, tuple[str, ...]] = {1: (BR,), 2: (BR, CO), 3: (BR,), 4: (BR,)}
    asked: list[Line] = []
    for number, members in to.items():
        asked += [Asked(str(number), members), Acked(str(number), sent(number))]
    asked.append(TakenBack(sent(4)))
    proofs = {(sent(number), member): Proof("delivered") for number, members in to.items() for member in members}
    proofs[sent(4), BR] = Proof("withdrawn")
    return {
        AR: Account(AR, asked, [], proofs),
        BR: recipient(BR, 1, 2, 3),
        CO: recipient(CO, 2),
    }


def recipient(member: str, *numbers: int) -> Account:
    lines: list[Line] = []
    for number in numbers:
        lines += [Told(sent(number), f"{number}-0"), Handed(sent(number), AR, None)]
    return Account(member, [], lines, {}, tuple(sent(number) for number in numbers))


def judged(story: Accounts) -> Verdict:
    return checker.check(story.values(), id_of)


def test_a_sound_story_passes_and_is_counted() -> None:
    verdict = judged(accounts())
    assert verdict.is_sound, str(verdict)
    assert (verdict.acknowledged, verdict.deliveries, verdict.closed, verdict.late) == (4, 4, 1, 0)


def test_what_is_marked_late_may_be_out_of_order() -> None:
    story = accounts()
    lines = story[BR].recipient
    first = lines.pop(1)
    assert isinstance(first, Handed)
    lines.append(Handed(first.id, first.sender, "late"))
    verdict = judged(story)
    assert verdict.is_sound, str(verdict)
    assert verdict.late == 1


def test_another_archive_may_hand_over_everything_again() -> None:
    story = accounts()
    story[BR].recipient.extend(
        line for number in (1, 2, 3) for line in (Told(sent(number), "1-0", 1), Handed(sent(number), AR, None, 1))
    )
    assert judged(story).is_sound


def test_who_submits_again_after_a_restore_changes_no_order() -> None:
    story = accounts()
    story[AR].sender.extend([Asked("5", (BR,), 1), Acked("5", sent(5), 1), Acked("1", sent(1), 1)])
    story[AR].proofs[sent(5), BR] = Proof("delivered")  # type: ignore[index]
    story[BR].recipient.append(Handed(sent(5), AR, None))
    story[BR] = replace(story[BR], kept=(*story[BR].kept, sent(5)))
    assert judged(story).is_sound


def test_what_was_taken_back_forgotten_and_asked_again_may_come_after_what_followed_it() -> None:
    story = accounts()
    story[AR].sender.extend([Acked("4", sent(4), 1)])
    story[AR].sender.extend([Asked("5", (BR,)), Acked("5", sent(5))])
    story[AR].proofs.update({(sent(4), BR): Proof("delivered"), (sent(5), BR): Proof("delivered")})  # type: ignore[attr-defined]
    story[BR] = recipient(BR, 1, 2, 3, 5, 4)
    assert judged(story).is_sound, str(judged(story))


def test_an_archive_that_died_may_have_handed_over_what_its_successor_never_had() -> None:
    story = accounts()
    lines = [*recipient(BR, 1, 2, 3, 4).recipient]
    lines += [Handed(each.id, AR, None, 1) for each in recipient(BR, 1, 2, 3).recipient if isinstance(each, Handed)]
    story[BR] = replace(story[BR], recipient=lines)
    assert judged(story).is_sound, str(judged(story))


# -- planted -------------------------------------------------------------------------------------------
def _hand(member: str, *numbers: int) -> Callable[[Accounts], None]:
    def plant(story: Accounts) -> None:
        story[member] = recipient(member, *numbers)

    return plant


def _prove(number: int, proof: Proof | None) -> Callable[[Accounts], None]:
    def plant(story: Accounts) -> None:
        proofs = dict(story[AR].proofs)
        proofs.pop((sent(number), BR))
        if proof is not None:
            proofs[sent(number), BR] = proof
        story[AR] = replace(story[AR], proofs=proofs)

    return plant


def _add(member: str, *lines: Line) -> Callable[[Accounts], None]:
    return lambda story: story[member].recipient.extend(lines)


def _keep(*numbers: int) -> Callable[[Accounts], None]:
    def plant(story: Accounts) -> None:
        story[BR] = replace(story[BR], kept=tuple(sent(number) for number in numbers))

    return plant


def _swap_acked(story: Accounts) -> None:
    story[AR].sender[1] = Acked("1", sent(2))


PLANTED: dict[str, tuple[str, Callable[[Accounts], None]]] = {
    "never arrived, receipted": ("lost", _hand(CO)),
    "never arrived, no receipt": ("lost", lambda story: (_prove(3, None)(story), _hand(BR, 1, 2)(story))[0]),
    "still under way": ("lost", _prove(3, Proof("open"))),
    "closed though nobody asked": ("lost", _prove(3, Proof("withdrawn"))),
    "gone from the archive": ("lost", _keep(1, 2)),
    "told of, never handed over": ("lost", _add(CO, Told(sent(1), "9-0"))),
    "handed over twice": ("duplicated", _add(BR, Handed(sent(3), AR, None))),
    "handed over twice, marked": ("duplicated", _add(BR, Handed(sent(3), AR, "late"))),
    "told of twice": ("duplicated", _add(BR, Told(sent(3), "9-0"))),
    "twice in the archive": ("duplicated", _keep(1, 2, 3, 3)),
    "out of order": ("disorder", _hand(BR, 2, 1, 3)),
    "no receipt": ("unverifiable", _prove(3, None)),
    "a receipt that does not verify": ("unverifiable", _prove(3, Proof("delivered", "bad_signature"))),
    "at somebody else's": ("strange", _hand(CO, 2, 3)),
    "of another sender": ("strange", _add(BR, Handed(sent(9), CO, None))),
    "taken back and read": ("strange", _hand(BR, 1, 2, 3, 4)),
    "another id for the key": ("strange", _swap_acked),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_noticed_and_named(planted: str) -> None:
    kind, plant = PLANTED[planted]
    story = accounts()
    plant(story)
    verdict = judged(story)
    assert not verdict.is_sound
    assert getattr(verdict, kind), str(verdict)


def test_a_journal_is_read_as_it_was_written_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "j" / "ar.jsonl"
    lines: list[Line] = [Asked("1", (BR,)), Acked("1", sent(1)), Handed("x", BR, "late", 2)]
    for line in lines:
        journal = Journal(path)
        journal.add(line)
        journal.close()
    assert read(path) == lines
