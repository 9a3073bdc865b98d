"""Packing: batches by partition, in order, one configuration each, and a watermark a second (C11)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber
from gateway_parts import PARTITIONS, Gateway, configuration, gateway, read
from hypothesis import given
from hypothesis import strategies as st

from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.partitioning import partition_of
from services.gateway.packer import MAXIMUM_OBSERVATIONS, adapted_linger_ms


async def take(one: Gateway, *event_ids: str, device_id: str = "camera-1") -> None:
    taken = [
        await one.intake.take(
            device_id, AuthenticationClass.PASSWORD_OVER_TLS, "grpc", read(event_id), one.intake.moment()
        )
        for event_id in event_ids
    ]
    await one.intake.settled(taken)


async def test_what_comes_within_the_linger_is_one_record(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=20, maximum_linger_ms=20)
    await take(one, *(str(number) for number in range(100)))
    assert [len(batch.observations) for batch in one.broker.batches()] == [100]


async def test_a_batch_is_full_at_256(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=20, maximum_linger_ms=20)
    await take(one, *(str(number) for number in range(MAXIMUM_OBSERVATIONS + 1)))
    assert sorted(len(batch.observations) for batch in one.broker.batches()) == [1, MAXIMUM_OBSERVATIONS]


async def test_districts_are_mixed_and_go_to_their_partitions(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=20, maximum_linger_ms=20)
    districts = [f"District-{number}" for number in range(12)]
    for number, district in enumerate(districts):
        one.register(f"camera-{number + 10}", district=district)
    await asyncio.gather(
        *(take(one, "e", device_id=f"camera-{number + 10}") for number in range(len(districts)))
    )
    assert len(one.broker.records) <= PARTITIONS
    for (_, partition, _), batch in zip(one.broker.records, one.broker.batches(), strict=True):
        assert {partition_of(each.district, PARTITIONS) for each in batch.observations} == {partition}


async def test_a_data_key_travels_once_a_batch(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=20, maximum_linger_ms=20)
    await take(one, *(str(number) for number in range(50)))
    (batch,) = one.broker.batches()
    assert len(batch.data_keys) == 1


async def test_a_batch_has_tokens_of_one_configuration_only(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=20, maximum_linger_ms=20, kafka_wait_seconds=5)
    first = asyncio.create_task(take(one, "1"))
    await asyncio.sleep(0)
    one.watchlist.answer.in_force.CopyFrom(configuration(2))
    await one.keys.synchronise()
    await asyncio.gather(first, take(one, "2"))
    assert [(batch.matching_version, batch.epoch) for batch in one.broker.batches()] == [
        (1, "epoch-1"),
        (2, "epoch-2"),
    ]


async def test_c11_a_watermark_is_an_empty_batch_in_every_partition_behind_what_was_received(
    tmp_path: Path,
) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=10_000, maximum_linger_ms=10_000, kafka_wait_seconds=5)
    taking = asyncio.create_task(take(one, "1"))
    await asyncio.sleep(0)
    one.clock.ms += 1_000
    one.packer.watermark(one.keys.in_force(one.clock()))
    await taking
    partitions = [partition or 0 for _, partition, _ in one.broker.records]
    sizes = [len(batch.observations) for batch in one.broker.batches()]
    assert sorted(partitions) == sorted([*range(PARTITIONS), partition_of("Anci-1", PARTITIONS)])
    own = [
        size
        for partition, size in zip(partitions, sizes, strict=True)
        if partition == partition_of("Anci-1", PARTITIONS)
    ]
    assert own == [1, 0]


async def test_received_times_and_sequences_of_a_partition_never_fall(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    for step in (5, -800, 7):
        one.clock.ms += step
        await take(one, f"e{step}")
    batches = one.broker.batches()
    assert [batch.received_time_ms for batch in batches] == sorted(
        batch.received_time_ms for batch in batches
    )
    assert len({batch.sequence for batch in batches}) == len(batches)


async def test_a_broker_that_is_away_does_not_end_the_process(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.broker.holds = True
    taken = await one.intake.take(
        "camera-1", AuthenticationClass.PASSWORD_OVER_TLS, "grpc", read(), one.intake.moment()
    )
    await one.broker.holds_a_record()
    one.broker.answer(KafkaConnectionError())
    await asyncio.wait({taken.outcome})
    assert one.failures == []


async def test_a_producer_that_can_never_send_again_ends_the_process(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.broker.holds = True
    taken = await one.intake.take(
        "camera-1", AuthenticationClass.PASSWORD_OVER_TLS, "grpc", read(), one.intake.moment()
    )
    await one.broker.holds_a_record()
    one.broker.answer(OutOfOrderSequenceNumber())
    await asyncio.wait({taken.outcome})
    assert [type(error) for error in one.failures] == [OutOfOrderSequenceNumber]


async def test_stopping_sends_what_is_open(tmp_path: Path) -> None:
    one = await gateway(tmp_path, minimum_linger_ms=10_000, maximum_linger_ms=10_000)
    taken = await one.intake.take(
        "camera-1", AuthenticationClass.PASSWORD_OVER_TLS, "grpc", read(), one.intake.moment()
    )
    await one.packer.stop(timeout_seconds=5)
    assert taken.outcome.done()
    assert len(one.broker.observations()) == 1


@pytest.mark.parametrize(("rate", "linger"), [(0, 5), (1_000_000, 25)])
def test_the_linger_is_shortest_when_quiet_and_longest_when_busy(rate: float, linger: float) -> None:
    assert adapted_linger_ms(rate, minimum_ms=5, maximum_ms=25) == linger


@given(st.floats(0, 1e6))
def test_the_linger_stays_between_its_bounds(rate: float) -> None:
    assert 5 <= adapted_linger_ms(rate, minimum_ms=5, maximum_ms=25) <= 25


async def test_a_broker_that_does_not_acknowledge_makes_it_unready_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await gateway(tmp_path)
    one.broker.holds = True
    one.packer.watermark(one.keys.in_force(one.clock()))
    await one.broker.holds_a_record()
    assert one.packer.not_ready_because() is None
    later = asyncio.get_running_loop().time() + 5.1
    monkeypatch.setattr(one.packer._loop, "time", lambda: later)
    assert one.packer.not_ready_because() == "Kafka does not acknowledge"
    monkeypatch.undo()
    one.broker.answer()
    await asyncio.sleep(0)
    assert one.packer.not_ready_because() is None
