"""Traces of the whole hub, as a collector gets them: an alert's way, and nothing of what did not hit."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from otlp_receiver import Receiver, Span
from running_hub import RunningHub
from spellings import found_in
from town import BY_URL, CAMERA, PERSON, TERMINAL, UNAUTHORISED, UNIT, VEHICLE, Patrol, Town

from alerthub import kafka
from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.api.v1.observation_pb2 import DirectCall
from alerthub.domain.resources import RuleKind
from alerthub.settings import KafkaSettings

BATCHES = {"send observations", "process observations"}
ATTRIBUTES = {
    "messaging.system": {"kafka"},
    "messaging.destination.name": {"observations"},
    "alerthub.rule_kind": {kind.value for kind in RuleKind},
}
"""All that a span may say in words."""
NUMBERS = {"messaging.batch.message_count"}

WAY = [
    ("device", "observed"),
    ("gateway", "packed"),
    ("correlator", "correlated"),
    ("dispatch", "opened"),
    ("dispatch", "confirmed"),
    ("dispatch", "unit_assigned"),
    ("push", "pushed"),
    ("terminal", "received"),
    ("terminal", "accepted"),
    ("dispatch", "accepted"),
]
"""Each follows the one before."""
RECEIPT = ("dispatch", "delivered")


async def test_a_person_alert_is_one_trace_from_the_device_to_the_terminal(
    town: Town, patrol: Patrol, collector: Receiver
) -> None:
    # given a wanted person's vehicle that was read, confirmed, shown to a patrol and accepted by it
    plate, entry_id = await town.list_plate(PERSON)
    await town.read(plate)
    await town.confirm(await town.awaiting(entry_id))
    shown = await patrol.shows_entry(entry_id)
    await patrol.client.accept(shown.alert_id, shown.push.assignment_id)

    # when the collector has what each service told of it
    def whole(receiver: Receiver) -> bool:
        return {*WAY, RECEIPT} <= {(each.service, each.name) for each in receiver.spans(shown.alert_id)}

    await asyncio.to_thread(collector.wait, whole)

    # then the alert's id is the trace's, and the way is whole
    trace = {(each.service, each.name): each for each in collector.spans(shown.alert_id)}
    way = [trace[hop] for hop in WAY]
    assert way[0].parent_id == ""
    assert [each.parent_id for each in way[1:]] == [each.span_id for each in way[:-1]]
    # and nothing ends before it begins, nor begins before what it follows
    assert [each.name for each in way if each.until_ns < each.from_ns] == []
    assert sorted(way, key=lambda each: each.from_ns) == way
    # and what dispatch did with the receipt follows it
    assert trace[RECEIPT].parent_id == trace["terminal", "received"].span_id


async def test_a_batch_s_processing_follows_its_sending(town: Town, collector: Receiver) -> None:
    await town.read(town.new_plate())

    def both(receiver: Receiver) -> bool:
        return {each.name for each in receiver.spans()} >= BATCHES

    await asyncio.to_thread(collector.wait, both)

    spans = collector.spans()
    sent = {(each.trace_id, each.span_id) for each in spans if each.name == "send observations"}
    processed = [each for each in spans if each.name == "process observations"]
    # What the gateway tells can come after what the correlator tells.
    assert any((each.trace_id, each.parent_id) in sent for each in processed)


async def test_what_matched_nothing_has_no_span_of_its_own_s5(
    town: Town, patrol: Patrol, hub: RunningHub, collector: Receiver
) -> None:
    # given reads of plates that nobody looks for, and one of a plate that is listed
    for _ in range(3):
        await town.read(town.new_plate())
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    alert_id = (await patrol.shows_entry(entry_id)).alert_id
    await asyncio.to_thread(collector.wait, lambda receiver: len(receiver.spans(alert_id)) > 3)

    # when all is looked at that the collector ever got
    others = {each.trace_id for each in collector.spans() if each.name not in BATCHES}

    # then whatever is no batch is of something that fired
    assert alert_id in others
    assert others <= await _fired(hub)


async def test_no_span_names_anything_or_anybody_s5(
    town: Town, patrol: Patrol, hub: RunningHub, collector: Receiver
) -> None:
    # given a hit of each kind of camera that has been traced until it was on a screen
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    shown = await patrol.shows_entry(entry_id)
    await town.read(plate, BY_URL)
    await town.read(plate, UNAUTHORISED)
    await asyncio.to_thread(collector.wait, lambda receiver: len(receiver.spans(shown.alert_id)) > 3)

    # when everything is searched that was ever exported
    exported = collector.exported()
    spans = collector.spans()

    # then no plate is in it however it is spelled, and no token
    assert found_in(exported, hub.plates) == set()
    tokens = await _tokens(hub)
    assert tokens
    assert [token for token in tokens for said in (token, token.hex().encode()) if said in exported] == []
    # and no device, unit, terminal, person or entry
    names = (CAMERA, UNIT, TERMINAL, entry_id, town.operator.name, town.officer_account.name)
    assert [name for name in names if name.encode() in exported] == []
    # and spans and resources say what they may
    assert [each for each in spans if _says_more(each)] == []
    assert {key for key, _ in collector.resources()} == {
        "service.name",
        "service.namespace",
        "service.instance.id",
    }


def _says_more(span: Span) -> bool:
    words = [(key, value) for key, value in span.attributes if isinstance(value, str)]
    numbers = {key for key, value in span.attributes if isinstance(value, int)}
    return any(value not in ATTRIBUTES.get(key, ()) for key, value in words) or not numbers <= NUMBERS


async def _records(hub: RunningHub, topic: str) -> list[bytes]:
    settings = KafkaSettings(
        bootstrap=hub.folder.read_hub()["kafka"]["bootstrap"],
        username="dispatch",
        password_file=hub.folder.kafka_password_file("dispatch"),
    )
    consumer = kafka.consumer(settings, topic, group_id=None, client_id="test")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
        found: list[bytes] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [record.value for record in records if record.value]
        return found
    finally:
        await consumer.stop()


async def _fired(hub: RunningHub) -> set[str]:
    raised = {AlertRaised.FromString(each).raised_id.hex() for each in await _records(hub, "alerts")}
    return raised | {DirectCall.FromString(each).call_id.hex() for each in await _records(hub, "calls")}


async def _tokens(hub: RunningHub) -> set[bytes]:
    """Of everything that fired."""
    return {
        token
        for each in await _records(hub, "alerts")
        for identifier in AlertRaised.FromString(each).observation.identifiers
        for token in identifier.tokens
        if token
    }
