"""Records that Kafka deleted before they were read: the office is told how many, and nobody is sent (C15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import TopicPartition as Position
from confluent_kafka import TopicPartition
from correlator_city import City, Kafka, alerts_of, batch_of
from correlator_in_process import Settings, committed, correlator
from dispatch_support import (
    OPERATOR,
    Hub,
    Start,
    command,
    eventually,
    now_ms,
    start_dispatch_fixture,  # noqa: F401 - pytest finds it by its name
    unit,
)

from alerthub import kafka as kafka_clients
from alerthub import lost_records
from alerthub.api.v1 import alert_pb2


async def delete_before(kafka_settings: Settings, topic: str, partition: int, offset: int) -> None:
    """What an outage for longer than the retention does."""
    with kafka_clients.administrator(kafka_settings("admin")) as admin:
        [deleted] = admin.delete_records([TopicPartition(topic, partition, offset)]).values()
        await asyncio.to_thread(deleted.result, 30)


async def test_batches_that_kafka_forgot_are_told_to_the_office(
    kafka_settings: Settings, fresh_topics: None, unique: Callable[[str], str]
) -> None:
    async with Kafka(kafka_settings) as kafka:
        city = City(unique("district"))
        await kafka.publish_city(city)
        async with correlator(kafka_settings) as service:
            offset = await kafka.observe(city.partition, batch_of([]))
            await committed(service, city.partition, offset)

        # given an outage for longer than the retention of observations
        for _ in range(3):
            start = await kafka.observe(city.partition, batch_of([])) + 1
        await delete_before(kafka_settings, "observations", city.partition, start)

        # when the correlator begins again, and once more after that
        async with kafka.reader("dispatch", "alerts") as alerts:
            for _ in range(2):
                async with correlator(kafka_settings) as service:
                    offset = await kafka.observe(city.partition, batch_of([]))
                    await committed(service, city.partition, offset)

            # then one alert says how many are lost, and the correlator has gone on
            expected = lost_records.raised(
                topic="observations", partition=city.partition, committed=start - 3, start=start, time_ms=1
            )

            def of_this_partition(records: list[tuple[bytes, bytes]]) -> list[alert_pb2.AlertRaised]:
                # Tests before this one left lost records in other partitions.
                return [each for each in alerts_of(records) if each.fold_key == expected.fold_key]

            records = await alerts.until(lambda found: bool(of_this_partition(found)))
            lost = of_this_partition([*records, *await alerts.all_now()])
        assert [each.raised_id for each in lost] == [expected.raised_id]
        assert "deleted 3 records" in lost[0].officer_text.english


async def lost_alert(hub: Hub, raised: alert_pb2.AlertRaised) -> alert_pb2.Alert:
    """The alert as an operator sees it in the list of what waits."""
    office = hub.as_person("li", OPERATOR)

    async def listed() -> alert_pb2.Alert | None:
        answer = await office.ListAlerts(
            alert_pb2.ListAlertsRequest(statuses=[alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION])
        )
        return next((each for each in answer.alerts if each.alert_id == raised.raised_id.hex()), None)

    found = await eventually(listed)
    assert found is not None
    return found


async def test_the_office_sees_a_loss_and_no_unit_is_sent_even_when_somebody_confirms_it(
    start_dispatch: Start, unique: Callable[[str], str]
) -> None:
    # given a unit on shift that is near enough for anything
    async with start_dispatch() as hub:
        await hub.units(unit(unique("car")))

        # when the correlator tells of a loss
        raised = lost_records.raised(
            topic="observations", partition=3, committed=10, start=17, time_ms=now_ms()
        )
        await hub.raise_alert(raised)

        # then the office sees it, with the number
        alert = await lost_alert(hub, raised)
        assert "deleted 7 records of observations, partition 3" in alert.officer_text.english
        assert not alert.names_person

        # and who confirms it has it with the supervisor, not with a unit
        confirmed = await hub.as_person("li", OPERATOR).ConfirmAlert(
            alert_pb2.ConfirmAlertRequest(command_id=command(), alert_id=alert.alert_id)
        )
        assert confirmed.alert.status == alert_pb2.ALERT_STATUS_ESCALATED
        assert not confirmed.alert.assignments


async def test_a_loss_that_was_looked_at_is_ended_with_its_reason(start_dispatch: Start) -> None:
    async with start_dispatch() as hub:
        raised = lost_records.raised(
            topic="observations", partition=3, committed=10, start=17, time_ms=now_ms()
        )
        await hub.raise_alert(raised)
        alert = await lost_alert(hub, raised)

        ended = await hub.as_person("li", OPERATOR).RejectAlert(
            alert_pb2.RejectAlertRequest(
                command_id=command(), alert_id=alert.alert_id, reason="Kafka was down for two hours"
            )
        )

        assert ended.alert.status == alert_pb2.ALERT_STATUS_REJECTED


async def test_calls_that_kafka_deleted_before_dispatch_read_them_are_told_to_the_office(
    start_dispatch: Start, kafka_settings: Settings
) -> None:
    # given a group that stands before records that are gone
    producer = kafka_clients.producer(kafka_settings("admin"), client_id="test")
    await producer.start()
    try:
        sent = [await producer.send_and_wait("calls", b"lost", partition=0) for _ in range(4)]
    finally:
        await producer.stop()
    group = kafka_clients.consumer(kafka_settings("dispatch"), group_id="dispatch-calls")
    await group.start()
    try:
        group.assign([Position("calls", 0)])
        await group.commit({Position("calls", 0): sent[0].offset})
    finally:
        await group.stop()
    start = sent[-1].offset + 1
    await delete_before(kafka_settings, "calls", 0, start)

    # when dispatch begins, then the office is told of four
    raised = lost_records.raised(
        topic="calls", partition=0, committed=sent[0].offset, start=start, time_ms=now_ms()
    )
    async with start_dispatch() as hub:
        alert = await lost_alert(hub, raised)
    assert "deleted 4 records of calls" in alert.officer_text.english
