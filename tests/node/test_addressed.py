"""Which of our desks a message is for: those that its author named as ours, and nobody else's of the same name."""

from __future__ import annotations

import pytest

from node import desks
from node.tables import finding
from node.tables.finding import FOREVER
from protocol.messages.content import to_json
from tests.node.lab import Lab
from tests.support.letters import content

DESK = "antidrogas"
ADDRESSED = {
    "our desk": ([f"co-fgn/{DESK}@aiamp"], [DESK]),
    "another member's desk of that name": ([f"br-mpf/{DESK}@aiamp", "co-fgn@aiamp"], [""]),
    "both": ([f"br-mpf/{DESK}@aiamp", f"co-fgn/{DESK}@aiamp"], [DESK]),
    "a desk that is none": (["co-fgn/mesa@aiamp"], [""]),
    "a network": (["#rfai@aiamp"], [""]),
    "a network and our desk": (["#rfai@aiamp", f"co-fgn/{DESK}@aiamp"], ["", DESK]),
    "another network and our desk": (["#recopol@aiamp", f"co-fgn/{DESK}@aiamp"], [DESK]),
    "us and our desk": (["co-fgn@aiamp", f"co-fgn/{DESK}@aiamp"], ["", DESK]),
}


@pytest.mark.parametrize(("to", "expected"), ADDRESSED.values(), ids=ADDRESSED)
def test_a_message_is_shown_where_its_author_addressed_it(to: list[str], expected: list[str]) -> None:
    lab = Lab("ar-mpf", "br-mpf", "co-fgn")
    lab.log(lab.world.roster("rfai", ["ar-mpf", "co-fgn"]))
    lab.log(lab.world.roster("recopol", ["ar-mpf", "br-mpf"]))
    sender, reader = lab["ar-mpf"], lab["co-fgn"]
    reader.store.run(lambda tx: desks.add(tx, DESK, lab.second))
    sender.write("k", "uno", "br-mpf", "co-fgn", document=to_json(content("uno", "ar-mpf", to=tuple(to))))
    lab.settle()
    assert reader.texts == ["uno"]

    def shown(desk: str) -> bool:
        return bool(reader.store.run(lambda tx: finding.arrivals(tx, 0, FOREVER, 9, (desk,))))

    assert [desk for desk in ("", DESK, "mesa") if shown(desk)] == expected
