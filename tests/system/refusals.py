"""What every refusal has: a stable code, one sentence that says what is wrong and what to do, and its status."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from node.problems import error_of
from tests.system.forked import Done
from tests.system.house import Answer

REFUSED: Final = 1
# What an operator of a hub is told names the hub's command.
THE_HUBS_OWN: Final = {"not_running": ("No hub answers for this home; start it with `valija-hub serve`.",)}


def sentence_of(code: str) -> str:
    """The sentence that belongs to a code; fails for a code that is none of ours."""
    error = error_of(code, "")
    assert error.code == code, f"{code} is no code of SPEC section 13"
    return str(error)


def check_sentence(code: str, said: str) -> None:
    """It is the sentence of this code, with a detail in brackets at most, on one line."""
    assert "\n" not in said
    known = [sentence_of(code), *(THE_HUBS_OWN.get(code, ()))]
    assert any(said == each or (said.startswith(f"{each} (") and said.endswith(")")) for each in known), said


def check_command(done: Done, code: str) -> str:
    """The command was refused so; gives what it said."""
    assert (done.status, done.stderr) == (REFUSED, ""), done
    assert done.told.keys() == {"error"}, done
    assert done.told["error"]["code"] == code, done
    said = str(done.told["error"]["message"])
    check_sentence(code, said)
    return said


def check_answer(answer: Answer, status: int, code: str) -> Any:
    """The daemon refused with this HTTP status and code; gives the problem."""
    assert (answer.status, answer.kind) == (status, "application/problem+json"), answer
    assert answer.body["code"] == code, answer
    assert answer.body["status"] == status
    check_sentence(code, answer.body["title"])
    return answer.body


def contents(*folders: Path) -> dict[str, str]:
    """What every file below holds, but for locks and sockets, which say nothing."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
