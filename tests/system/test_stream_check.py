"""The check of a stream notices what it is there for: one lost, one doubled, one too many, one out of order, one unsigned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.system.stream import Accepted, Stream

AR, BR = "ar-mpf", "br-mpf"
TEXTS = ("uno", "dos", "tres")


def sent(number: int) -> Any:
    return {"id": f"msg_{number}", "deliveries": [{"state": "delivered"}]}


def arrived(number: int, mark: str | None = None) -> Any:
    return {
        "id": f"msg_{number}",
        "sender": {"member": AR},
        "content": {"body": {"text": TEXTS[number]}},
        "mark": mark,
    }


@dataclass
class FakeApi:
    """Lists as a node would give them."""

    outgoing: list[Any]
    incoming: list[Any]
    signer: str = BR

    def outbox(self) -> list[Any]:
        return self.outgoing

    def inbox(self) -> list[Any]:
        return self.incoming

    def message(self, _message_id: str) -> Any:
        return {"deliveries": [{"recipient": {"member": BR}, "receipt": {"signed_by": self.signer}}]}


def stream() -> tuple[Stream, FakeApi, FakeApi]:
    """Three messages that were accepted, and two nodes that hold them as they should."""
    ar, br = FakeApi([sent(n) for n in range(3)], []), FakeApi([], [arrived(n) for n in range(3)])
    apis = {AR: ar, BR: br}
    house: Any = SimpleNamespace(api=apis.get, association=SimpleNamespace(homes=apis))
    made = Stream(house, {AR: [BR]}, pause=0)
    made.journal += [Accepted(f"msg_{n}", AR, (BR,), text) for n, text in enumerate(TEXTS)]
    return made, ar, br


def test_what_is_as_it_should_be_passes() -> None:
    stream()[0].check(seconds=1)


def test_what_is_marked_late_may_be_out_of_order() -> None:
    made, _ar, br = stream()
    br.incoming = [arrived(1), arrived(2), arrived(0, "late")]
    made.check(seconds=1)


FAULTS: dict[str, Callable[[FakeApi, FakeApi], object]] = {
    "lost": lambda _ar, br: br.incoming.pop(),
    "doubled": lambda _ar, br: br.incoming.append(arrived(1)),
    "other content": lambda _ar, br: br.incoming[0]["content"]["body"].update(text="otro"),
    "another sender": lambda _ar, br: br.incoming[0]["sender"].update(member=BR),
    "out of order": lambda _ar, br: br.incoming.reverse(),
    "at somebody else's": lambda ar, _br: ar.incoming.append(arrived(0)),
    "unsigned": lambda ar, _br: ar.outgoing[2]["deliveries"].append({"state": "relayed"}),
    "signed by another": lambda ar, _br: setattr(ar, "signer", AR),
    "forgotten by its sender": lambda ar, _br: ar.outgoing.pop(),
    "never accepted": lambda ar, _br: ar.outgoing.append(sent(3)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault: str) -> None:
    made, ar, br = stream()
    FAULTS[fault](ar, br)
    with pytest.raises(AssertionError):
        made.check(seconds=0.05)
