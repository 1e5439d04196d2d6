"""The wall between desks, for a person who speaks for several: what is not theirs is unknown to them, asked or not."""

from __future__ import annotations

import pytest

from node.desks import Colleague
from node.paging import Page
from protocol.errors import UnknownDeskError
from protocol.messages.content import Author
from tests.fuzz.asking import DESK, NodeScene
from tests.fuzz.wire import Faults

PAGE = Page(0, None, 10)


@pytest.mark.parametrize("box", ["inbox", "outbox"])
async def test_nobody_asks_for_a_desk_that_is_not_theirs(box: str) -> None:
    service = NodeScene().service(Faults())
    ask = getattr(service, box)
    own = Colleague(("mesa",), Author(name="Ana", role="clerk", login_method="passkey"))
    assert (await ask(PAGE, own, "mesa"))["items"] == []
    for desk in (DESK, "ninguna"):
        with pytest.raises(UnknownDeskError):
            await ask(PAGE, own, desk)
