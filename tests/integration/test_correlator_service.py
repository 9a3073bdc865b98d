"""The correlator on real Kafka: batches in, alerts out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import TopicPartition
from correlator_city import PARTITIONS, City, Kafka, alerts_of, batch_of, now_ms, token_of
from correlator_in_process import Settings, committed, correlator

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2
from alerthub.domain import correlation
from alerthub.domain.rules import dwell
from alerthub.kafka import administrator
from services.correlator.progress import StalledError
from services.correlator.service import Service


@pytest.fixture
async def kafka(kafka_settings: Settings) -> AsyncIterator[Kafka]:
    async with Kafka(kafka_settings) as running:
        yield running


@pytest.fixture
async def city(kafka: Kafka, unique: Callable[[str], str]) -> City:
    city = City(unique("district"))
    await kafka.publish_city(city)
    return city


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - parts of a running service have no common event
            await asyncio.sleep(0.05)


async def ready(service: Service) -> None:
    await until(lambda: service.working.open and service.replicas.closed_because() is None)


def of(city: City) -> Callable[[list[tuple[bytes, bytes]]], list[alert_pb2.AlertRaised]]:
    """The alerts of the city among records: other tests' correlators may have left some."""
    return lambda records: [
        one for one in alerts_of(records) if one.rule_id in {city.hit_rule, city.dwell_rule}
    ]


async def test_one_batch_with_a_listed_plate_gives_one_alert(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)

        # when a batch holds the listed plate and another one
        await kafka.observe(city.partition, batch_of([city.read("a", plate=city.plate), city.read("b")]))

        # then one alert is raised, with what its entry, its rule and its device say
        records = await alerts.until(lambda found: bool(of(city)(found)))
        [alert] = of(city)(records)
        assert f"entry:{city.entry}".encode() in [key for key, _ in records]
        assert alert.watchlist.entry_id == city.entry
        assert alert.severity == common_pb2.SEVERITY_MAJOR
        assert alert.policy == common_pb2.DISPATCH_POLICY_SEND_AT_ONCE
        assert alert.jurisdiction == f"jurisdiction-{city.name}"
        assert [key.data_key_id for key in alert.data_keys] == [b"key-1"]


async def test_a_batch_that_cannot_be_decoded_is_put_aside_and_the_next_one_is_applied(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    async with (
        correlator(kafka_settings) as service,
        kafka.reader("admin", "dead-letter") as letters,
        kafka.reader("dispatch", "alerts") as alerts,
    ):
        await ready(service)

        # when something that is no batch lies between the batches
        poison = b"\xff\xffno batch"
        offset = await kafka.observe(city.partition, poison)
        after = await kafka.observe(city.partition, batch_of([city.read("a", plate=city.plate)]))

        # then a letter says where and why, with a hash and nothing of the content
        [(_, value)] = await letters.until(lambda found: len(found) >= 1)
        letter = observation_pb2.DeadLetter.FromString(value)
        assert (letter.source_partition, letter.source_offset) == (city.partition, offset)
        assert letter.payload_sha256 == hashlib.sha256(poison).digest()
        assert poison not in value
        # and both are acknowledged
        assert of(city)(await alerts.until(lambda found: bool(of(city)(found))))
        await committed(service, city.partition, after)


async def test_a_rule_that_raises_is_suspended_and_everything_else_goes_on(
    kafka_settings: Settings, kafka: Kafka, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dwell, "evaluate", broken)
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)

        # when a rule with an error in it meets a batch that another rule fires on
        batch = [city.standing("s", track="t", at_ms=now_ms()), city.read("a", plate=city.plate)]
        offset = await kafka.observe(city.partition, batch_of(batch))

        # then the other rule fires, the batch is acknowledged, and the rule is suspended
        [alert] = of(city)(await alerts.until(lambda found: bool(of(city)(found))))
        assert alert.rule_id == city.hit_rule
        await committed(service, city.partition, offset)
        assert (city.dwell_rule, 1) in service.reference.suspended


async def test_an_error_outside_of_rules_ends_the_process_without_an_acknowledgement(
    kafka_settings: Settings, kafka: Kafka, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with correlator(kafka_settings) as service:
        await ready(service)
        await committed(service, city.partition, await kafka.observe(city.partition, batch_of([])))

        # when applying a batch fails for another reason than a rule (faust would acknowledge it: issue 606)
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(correlation, "evaluate", broken)
        offset = await kafka.observe(city.partition, batch_of([city.read("a")]))

        # then the service fails, and the batch is there for whoever starts next
        async with asyncio.timeout(20):
            assert isinstance(await service.failed(), ZeroDivisionError)
        position = (await service.positions.read([city.partition]))[city.partition]
        assert position.committed is not None
        assert position.committed <= offset


async def test_a_withdrawal_holds_at_once(kafka_settings: Settings, kafka: Kafka, city: City) -> None:
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)

        # given an entry that is withdrawn
        await kafka.publish("watchlist", city.entry.encode(), city.entry_value(2, withdrawn=True))
        await until(
            lambda: all(
                token_of(city.plate) not in listed
                for _, listed in service.reference.entries.lookups(["exact", "confusable"])
            )
        )

        # when its plate is read, in a batch that was received before the withdrawal
        batch = batch_of([city.read("a", plate=city.plate)], received_ms=now_ms() - 10_000)
        await committed(service, city.partition, await kafka.observe(city.partition, batch))

        # then nothing is raised
        assert of(city)(await alerts.all_now()) == []


async def test_without_a_fresh_bookmark_nothing_is_applied(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)

        # given that the watchlist may have withdrawn something that the replica has not seen
        kafka.bookmarks.clear()
        await until(lambda: service.replicas.closed_because() is not None)
        await kafka.observe(city.partition, batch_of([city.read("a", plate=city.plate)]))
        await asyncio.sleep(1)
        assert of(city)(await alerts.all_now()) == []

        # when bookmarks come again
        kafka.bookmarks.set()

        # then the batch is applied
        assert of(city)(await alerts.until(lambda found: bool(of(city)(found))))


async def test_a_second_correlator_takes_over_half_with_the_state(
    kafka_settings: Settings, kafka: Kafka, unique: Callable[[str], str]
) -> None:
    cities = [City(unique("district")) for _ in range(4)]
    for city in cities:
        await kafka.publish_city(city)
    start = now_ms() - 400_000

    async def stand(first: int, last: int) -> None:
        for minute in range(first, last):
            for city in cities:
                name = f"{city.name}-{minute}"
                await kafka.observe(
                    city.partition,
                    batch_of([city.standing(name, track="t", at_ms=start + minute * 60_000)]),
                )

    async with correlator(kafka_settings, "1") as first, kafka.reader("dispatch", "alerts") as alerts:
        await ready(first)
        # given vehicles that stood for three minutes
        await stand(0, 4)

        # when a second correlator joins, and they stand another minute
        async with correlator(kafka_settings, "2") as second:
            await until(lambda: second.working.open and bool(second.working.partitions))
            await until(lambda: first.working.open and len(first.working.partitions) < PARTITIONS)
            assert first.working.partitions.isdisjoint(second.working.partitions)
            await stand(4, 5)

            # then each of them has raised one alert, whoever holds its partition now
            rules = {city.dwell_rule for city in cities}
            records = await alerts.until(
                lambda found: rules <= {one.rule_id for one in alerts_of(found)}, seconds=90
            )
            raised = {one.raised_id for one in alerts_of(records) if one.rule_id in rules}
            assert len(raised) == len(cities)


async def test_a_late_write_of_a_worker_that_lost_its_partition_changes_nothing(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    start = now_ms() - 400_000

    async def stand(minute: int) -> None:
        observation = city.standing(f"{city.name}-{minute}", track="t", at_ms=start + minute * 60_000)
        await kafka.observe(city.partition, batch_of([observation]))

    # given a vehicle that stood for three minutes, and what was written down after the first
    async with correlator(kafka_settings) as service:
        await ready(service)
        await stand(0)
        name = f"{city.partition}/district/{city.name}".encode()
        await until(lambda: any(city.name.encode() in one for one in service.table.records(city.partition)))
        early = next(one for one in service.table.records(city.partition) if city.name.encode() in one)
        for minute in (1, 2, 3):
            await stand(minute)
        await until(lambda: early not in list(service.table.records(city.partition)))

    # when a worker that lost the partition writes the early state after the later one
    await kafka.write_state(city.partition, name, early)

    # then who recovers goes on from the later one
    async with correlator(kafka_settings) as service, kafka.reader("dispatch", "alerts") as alerts:
        await ready(service)
        await stand(4)
        [alert] = of(city)(await alerts.until(lambda found: bool(of(city)(found))))
        assert alert.dwell.first_seen_ms == start


async def test_batches_that_kafka_forgot_are_told(kafka_settings: Settings, kafka: Kafka, city: City) -> None:
    async with correlator(kafka_settings) as service:
        await ready(service)
        await committed(service, city.partition, await kafka.observe(city.partition, batch_of([])))

    # given an outage for longer than the retention of observations
    for _ in range(3):
        end = await kafka.observe(city.partition, batch_of([])) + 1
    with administrator(kafka_settings("admin")) as admin:
        forgotten = admin.delete_records([TopicPartition("observations", city.partition, end)])
        await asyncio.to_thread(next(iter(forgotten.values())).result)

    async with kafka.reader("admin", "dead-letter") as letters, correlator(kafka_settings) as service:
        # then whoever starts tells how many are lost, and goes on
        [(_, value)] = await letters.until(lambda found: len(found) >= 1)
        letter = observation_pb2.DeadLetter.FromString(value)
        assert letter.reason == "Kafka forgot 3 batches before this offset that had not been applied"
        await ready(service)
        await committed(service, city.partition, await kafka.observe(city.partition, batch_of([])))


async def test_a_consumer_that_stops_without_a_word_ends_the_process(
    kafka_settings: Settings, kafka: Kafka, city: City
) -> None:
    async with correlator(kafka_settings, watchdog_seconds=3) as service:
        await ready(service)
        await committed(service, city.partition, await kafka.observe(city.partition, batch_of([])))

        # when nothing is fetched any more, as after some rebalances (faust issues 166, 175, 629)
        service.application.consumer.stop_flow()
        await kafka.observe(city.partition, batch_of([]))

        # then the broker's own figures tell
        async with asyncio.timeout(30):
            assert isinstance(await service.failed(), StalledError)
