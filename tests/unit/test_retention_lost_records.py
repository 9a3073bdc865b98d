"""The alert that tells the office of records which Kafka deleted before they were read (C15)."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition

from alerthub import lost_records
from alerthub.api.v1 import common_pb2, registry_pb2
from alerthub.api.v1.alert_pb2 import AlertRaised
from alerthub.grpc_validation import violations_of
from alerthub.settings import KafkaSettings
from services.correlator.checkpoint import Checkpoint
from services.dispatch.consumer import RaisedConsumer, _Assigned, decode_alert


def loss(**changed: Any) -> AlertRaised:
    told: dict[str, Any] = {
        "topic": "observations",
        "partition": 3,
        "committed": 10,
        "start": 17,
        "time_ms": 1_000,
    }
    return lost_records.raised(**told | changed)


def test_the_alert_says_how_many_records_were_lost_and_where() -> None:
    text = loss().officer_text
    assert "7 records of observations, partition 3" in text.english
    assert "observations 分区 3 的 7 条" in text.chinese


def test_the_alert_is_critical_and_somebody_at_the_office_looks_first() -> None:
    raised = loss()
    assert raised.severity == common_pb2.SEVERITY_CRITICAL
    assert raised.policy == common_pb2.DISPATCH_POLICY_CONFIRM_FIRST


def test_whoever_tells_of_the_same_loss_tells_it_by_the_same_id() -> None:
    assert loss(time_ms=1_000).raised_id == loss(time_ms=2_000).raised_id


def test_another_loss_is_another_id_and_joins_while_the_alert_is_open() -> None:
    losses = [loss(), loss(start=18), loss(committed=9)]
    assert len({each.raised_id for each in losses}) == 3
    assert len({each.fold_key for each in losses}) == 1


def test_each_partition_and_topic_has_an_alert_of_its_own() -> None:
    losses = [loss(), loss(partition=4), loss(topic="calls")]
    assert len({each.fold_key for each in losses}) == 3


def test_dispatch_takes_it_as_any_other() -> None:
    assert decode_alert(loss().SerializeToString()) == loss()


def test_the_alert_names_nobody_and_no_place() -> None:
    raised = loss()
    assert raised.WhichOneof("match") is None
    assert not raised.observation.identifiers
    assert not raised.observation.device_id
    assert not raised.observation.HasField("position")


def _refused(resource: registry_pb2.Resource) -> set[str]:
    request = registry_pb2.ApplyResourcesRequest(command_id="c" * 36, resources=[resource])
    return {violation.field for violation in violations_of(request)}


def test_no_unit_can_be_of_the_kind_so_none_is_ever_sent() -> None:
    unit = registry_pb2.Unit(unit_id="car-1", unit_kind=lost_records.UNIT_KIND)
    assert "resources[0].unit.unit_kind" in _refused(registry_pb2.Resource(unit=unit))


def test_no_rule_of_the_registry_can_have_its_id() -> None:
    rule = registry_pb2.Rule(rule_id=lost_records.RULE_ID)
    assert "resources[0].rule.rule_id" in _refused(registry_pb2.Resource(rule=rule))


class _Broker:
    """A topic whose log begins at 17 and whose group stands at 10; what happens is written down."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 17)

    async def committed(self, _: TopicPartition) -> int:
        return 10

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Any]]:
        raised = AlertRaised(raised_id=b"1" * 16, rule_id="r1", fold_key="rule:r1:1")
        return {TopicPartition("calls", 3): [_Record(raised.SerializeToString())]}

    async def commit(self, _: dict[TopicPartition, int]) -> None:
        self.happened.append("commit")

    async def take(self, batch: list[AlertRaised], _: object = None) -> tuple[()]:
        """As the intake does."""
        self.happened += [raised.rule_id for raised in batch]
        return ()


class _Record:
    partition, offset, headers = 3, 17, ()

    def __init__(self, value: bytes) -> None:
        self.value = value


async def test_dispatch_raises_what_it_lost_before_it_commits_anything() -> None:
    broker: Any = _Broker()
    consumer = RaisedConsumer(
        KafkaSettings(),
        "calls",
        client_id="test",
        decode=decode_alert,
        intake=broker,
        producer=broker,
        batch_records=10,
        on_sealing=lambda _: None,
    )

    await _Assigned(broker, consumer._lost).on_partitions_assigned([TopicPartition("calls", 3)])
    for _ in range(2):
        await consumer._pass(broker)

    assert broker.happened == [lost_records.RULE_ID, "r1", "commit", "r1", "commit"]


class _Event:
    acknowledged = False

    def ack(self) -> None:
        self.acknowledged = True


async def test_the_correlator_acknowledges_nothing_before_the_broker_has_what_tells_of_a_loss() -> None:
    # given a loss that was told and a batch that was applied after it
    checkpoint = Checkpoint(
        capture=list, send=lambda _: asyncio.sleep(0), keep=lambda _: None, generation=lambda: 1
    )
    told = asyncio.get_running_loop().create_future()
    event = _Event()
    checkpoint.wait_for(told)
    checkpoint.note(event)

    # when the broker does not take it
    running = asyncio.create_task(checkpoint.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not event.acknowledged

    # then the batch is acknowledged only once it has
    told.set_result(None)
    assert await running
    assert event.acknowledged
