"""The client against real nodes: everything it offers, over restarts too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest

from tests.system.house import House
from valija_client import (
    Client,
    DeliveryEvent,
    Draft,
    Event,
    HandoverEvent,
    MessageEvent,
    OtherEvent,
    Patience,
    Problem,
    Received,
    Sent,
)
from valija_client.types import Accepted

AR, CO = "ar-mpf", "co-fgn"
QUICK = Patience(tries=12, first_seconds=0.05, longest_seconds=1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("client"), [AR, CO], {"rfai": [AR, CO]}) as made:
        made.start()
        yield made


def client(house: House, member: str) -> Client:
    return Client(house.daemons.apis[member], house.association.tokens[member], patience=QUICK)


def draft(text: str, key: str | None = None, to: str = CO) -> Draft:
    return Draft(to=(to,), subject=text, body=text, idempotency_key=key)


async def first(events: AsyncGenerator[Event], about: str, kind: type[Event] = MessageEvent) -> Event:
    """The first event of this kind about the message with this id or subject."""
    async with asyncio.timeout(30):
        async for each in events:
            if not isinstance(each, kind) or isinstance(each, OtherEvent):
                continue
            if about in {each.data.id, getattr(each.data, "subject", "")}:
                return each
    raise AssertionError(about)


async def settled(node: Client, message_id: str) -> Sent:
    async with asyncio.timeout(30), aclosing(node.events("0-0")) as events:
        async for each in events:
            if isinstance(each, DeliveryEvent) and each.data.id == message_id:
                shown = await node.message(message_id)
                assert isinstance(shown, Sent)
                if {one.state for one in shown.deliveries} <= {"delivered", "acknowledged"}:
                    return shown
    raise AssertionError


async def test_a_message_is_sent_read_acknowledged_and_receipted(house: House) -> None:
    async with client(house, AR) as ar, client(house, CO) as co, aclosing(co.events("0-0")) as events:
        accepted = await ar.send(draft("Pedido", "pedido-1"))
        assert (accepted.fresh, [each.member for each in accepted.readers]) == (True, [CO])
        assert not (await ar.send(draft("Pedido", "pedido-1"))).fresh
        told = await first(events, accepted.id, MessageEvent)
        assert isinstance(told, MessageEvent)
        assert told.data.subject == "Pedido"
        shown = await co.message(accepted.id)
        assert isinstance(shown, Received)
        assert (shown.content.body.text, shown.content.origin.member, shown.sender.member) == ("Pedido", AR, AR)
        assert (await co.acknowledge(accepted.id, "accepted", "en curso")).action == "accepted"
        assert isinstance(await first(events, accepted.id, HandoverEvent), HandoverEvent)
        await settled(ar, accepted.id)
        (receipt,) = await ar.receipts(accepted.id)
        assert (receipt.recipient, receipt.message) == (CO, accepted.id)
        answer = await co.send(Draft(to=(AR,), subject="Re", thread=accepted.id, in_reply_to=accepted.id))
        assert [each.id for each in await co.thread(answer.id)] == [accepted.id, answer.id]


async def test_many_go_at_once_and_each_has_its_own_fate(house: House) -> None:
    async with client(house, AR) as ar:
        found = await ar.send_many([draft("uno"), draft("dos", to="nobody"), draft("tres")])
        assert [type(each) for each in found] == [Accepted, Problem, Accepted]
        problem = found[1]
        assert isinstance(problem, Problem)
        assert (problem.code, problem.status, problem.pointer) == ("unknown_recipient", 422, "/to/0")


async def test_lists_are_walked_over_their_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valija_client.calls.PAGE", 2)
    monkeypatch.setattr("valija_client.client.BATCH_LINES", 3)
    async with client(house, AR) as ar, client(house, CO) as co:
        sent = [
            each.id
            for each in await ar.send_many([draft(f"lista {n}") for n in range(7)])
            if isinstance(each, Accepted)
        ]
        assert len(sent) == 7
        await settled(ar, sent[-1])
        outbox = [each async for each in ar.outbox()]
        assert [each.id for each in outbox if each.id in sent] == sent
        inbox = [each async for each in co.messages()]
        assert [each.id for each in inbox if each.id in sent] == sent
        behind = [each.id async for each in co.messages(inbox[-3].cursor)]
        assert behind == sent[-2:]
        assert [each async for each in co.messages(inbox[-1].cursor)] == []


async def test_a_refusal_names_the_field(house: House) -> None:
    async with client(house, AR) as ar:
        with pytest.raises(Problem) as caught:
            await ar.send(Draft(to=(CO,), due_at="tomorrow"))
        assert (caught.value.code, caught.value.status, caught.value.pointer) == ("invalid_request", 400, "/due_at")
        with pytest.raises(Problem) as caught:
            await ar.withdraw("msg_" + "a" * 26)
        assert (caught.value.code, caught.value.status) == ("unknown_message", 404)


async def test_who_there_is(house: House) -> None:
    async with client(house, AR) as ar:
        assert [(each.member, each.is_this_node) for each in await ar.members()] == [(AR, True), (CO, False)]
        assert [(each.network, len(each.members)) for each in await ar.networks()] == [("#rfai", 2)]
        assert [each.name for each in await ar.desks()] == ["central"]
        assert (await ar.status()).member == AR


async def test_calls_and_events_go_on_over_a_killed_node(house: House) -> None:
    nodes = house.daemons.nodes
    async with client(house, AR) as ar, client(house, CO) as co, aclosing(co.events("0-0")) as events:
        before = await ar.send(draft("antes"))
        assert (await first(events, before.id)).id
        # The line is cut while the next event is waited for, and nobody tells the reader.
        hearing = asyncio.create_task(first(events, "durante"))
        for member in (AR, CO):
            nodes[member].kill()
        sending = asyncio.create_task(ar.send(draft("durante", "over-a-restart")))
        for member in (AR, CO):
            nodes[member].start()
        accepted, told = await sending, await hearing
        assert isinstance(told, MessageEvent)
        assert (told.data.id, accepted.fresh) == (accepted.id, True)


async def test_webhooks_are_made_looked_at_and_tried(house: House) -> None:
    async with client(house, AR) as ar:
        made = await ar.webhooks.add("https://hooks.example/valija")
        assert made.secret.startswith("whsec_")
        assert [each.name for each in await ar.webhooks.listed()] == [made.name]
        assert (await ar.webhooks.rotate(made.name)).secret != made.secret
        assert (await ar.webhooks.test(made.name)).name == made.name
        # What was sent before is still being receipted, so that notices of it may stand among these.
        notices = [each async for each in ar.webhooks.notices(made.name) if each.type == "webhook.test"]
        assert len(notices) == 1
        assert (await ar.webhooks.redeliver(made.name, notices[0].number)).name == made.name
        assert (await ar.webhooks.disable(made.name)).disabled_at
        assert (await ar.webhooks.enable(made.name)).disabled_at is None
        assert (await ar.webhooks.show(made.name)).url == "https://hooks.example/valija"
        assert (await ar.webhooks.remove(made.name)).name == made.name
        assert await ar.webhooks.listed() == []
        with pytest.raises(Problem) as caught:
            await ar.webhooks.show("whk_0000000000000000")
        assert caught.value.status == 404
