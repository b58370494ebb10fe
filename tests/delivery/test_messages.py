"""Messages go to the publishers that take them, through queues as packets do; the others count what they pass over."""

from typing import Any

from rawdaq.delivery.fanout import Fanout
from rawdaq.messages.message import Kind, Message
from rawdaq.publisher import OverflowPolicy
from tests.fanouts import LOG, AtOnce, Keeper, RecordKeeper, running
from tests.makers import message, packet

MESSAGES = [message(index) for index in range(3)]


class MessageKeeper(Keeper):
    takes_messages = True


class MessagesAtOnce(AtOnce):
    takes_messages = True


def shown(fanout: Fanout, name: str, *keys: str) -> tuple[Any, ...]:
    return tuple(fanout.status()[name][key] for key in keys)


async def test_messages_go_to_those_who_take_them_and_the_others_count_them_as_passed_over() -> None:
    taking, waveforms, records = MessageKeeper("taking"), Keeper("waveforms"), RecordKeeper("records")
    taking.streams = ["YY.*"]  # says nothing of messages
    async with running(fanout := Fanout([taking, waveforms, records], LOG)):
        assert fanout.put_messages(MESSAGES)
        fanout.put([packet()])
        await fanout.drain(10.0)
    assert taking.kept == MESSAGES
    assert waveforms.kept == [packet()]
    assert all(not isinstance(item, Message) for item in records.kept)
    keys = "passed_over", "dropped", "refused"
    assert shown(fanout, "taking", *keys) == (0, 0, 0)
    assert shown(fanout, "waveforms", *keys) == (3, 0, 0)
    assert shown(fanout, "records", *keys) == (3, 0, 0)


async def test_kinds_select_messages_and_no_packets() -> None:
    keeper = MessageKeeper()
    keeper.kinds = [Kind.LOG, Kind.READOUT]
    readout, log = message(0, "~readout.XX.A.B"), message(1, "~log")
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put([packet()])
        fanout.put_messages([readout, message(), log])
        await fanout.drain(10.0)
    assert keeper.kept == [packet(), readout, log]
    assert shown(fanout, "keeper", "passed_over", "dropped") == (0, 0)


async def test_what_a_subclass_delivers_anew_it_must_say_to_take() -> None:
    class Other(MessageKeeper):
        async def deliver(self, batch: Any) -> None:
            await super().deliver(batch)

    async with running(fanout := Fanout([keeper := Other()], LOG)):
        fanout.put_messages(MESSAGES)
        await fanout.drain(10.0)
    assert (keeper.kept, shown(fanout, "keeper", "passed_over")) == ([], (3,))


async def test_messages_are_delivered_at_once_where_that_can_be() -> None:
    async with running(fanout := Fanout([keeper := MessagesAtOnce()], LOG)):
        await fanout.drain(10.0)
        fanout.put([b"first"])
        await fanout.drain(10.0)
        fanout.put_messages(MESSAGES)
        assert keeper.kept[-3:] == MESSAGES


async def test_a_queue_that_is_full_drops_messages_and_counts_them_by_topic() -> None:
    keeper = MessageKeeper()
    keeper.queue_packets, keeper.overflow = 2, OverflowPolicy.DROP_OLDEST
    keeper.gate.clear()
    fanout = Fanout([keeper], LOG)
    assert fanout.put_messages([*MESSAGES, message(3, "~log")])
    assert shown(fanout, "keeper", "dropped", "dropped_by_stream") == (2, {"~event.XX.DEMO.Triggers": 2})
    assert shown(fanout, "keeper", "waiting", "passed_over") == (2, 0)
    keeper.gate.set()
    async with running(fanout):
        await fanout.drain(10.0)
    assert keeper.kept == [MESSAGES[2], message(3, "~log")]


async def test_a_queue_that_blocks_says_when_there_is_no_room() -> None:
    keeper = MessageKeeper()
    keeper.queue_mb = 0.01
    fanout = Fanout([keeper], LOG)
    assert fanout.put_messages(MESSAGES)
    assert not fanout.put_messages([message(3, payload=bytes(10_000))])
    assert fanout.full == ["keeper"]
    async with running(fanout):
        await fanout.room()
        await fanout.drain(10.0)
    assert len(keeper.kept) == 4


async def test_what_could_not_be_delivered_is_told() -> None:
    keeper = MessageKeeper()
    keeper.gate.clear()
    async with running(fanout := Fanout([keeper], LOG)):
        fanout.put_messages([message(0, payload=b"1234").published(0, "T", 1)])
        lost = await fanout.drain(0.01)
    assert lost is not None
    assert "1 message (" in lost
