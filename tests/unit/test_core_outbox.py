"""What the outbox decides without a database."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from alerthub.outbox import Message, send_in_order
from alerthub.republisher import difference


class RecordingProducer:
    """Acknowledges everything, and remembers the order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes]] = []

    async def send(self, topic: str, value: bytes | None, *, key: bytes, **_: object) -> object:
        self.sent.append((topic, value, key))
        return _acknowledged()


async def _acknowledged() -> None:
    return None


async def test_each_keys_versions_are_sent_in_order_whatever_the_rows_are() -> None:
    producer = RecordingProducer()
    await send_in_order(
        producer,
        [Message("zones", "a", 2, b"2"), Message("zones", "b", 1, b"1"), Message("zones", "a", 1, b"1")],
    )
    assert [value for _, value, key in producer.sent if key == b"a"] == [b"1", b"2"]


class SlowProducer:
    """Acknowledges when it is told to."""

    def __init__(self) -> None:
        self.acknowledgement: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(self, topic: str, value: bytes | None, *, key: bytes, **_: object) -> object:
        return self.acknowledgement


async def test_sending_ends_only_with_the_brokers_acknowledgement() -> None:
    producer = SlowProducer()
    sending = asyncio.create_task(send_in_order(producer, [Message("zones", "a", 1, b"1")]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sending.done(), "a row would be deleted that the broker does not have"
    producer.acknowledgement.set_result(None)
    await sending


async def test_what_the_broker_refuses_is_told() -> None:
    producer = SlowProducer()
    producer.acknowledgement.set_exception(KafkaConnectionError())
    with pytest.raises(KafkaConnectionError):
        await send_in_order(producer, [Message("zones", "a", 1, b"1")])


VERSIONS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 5))


@given(VERSIONS, VERSIONS)
def test_topic_and_database_differ_where_their_versions_do(
    topic: dict[str, int], database: dict[str, int]
) -> None:
    found = difference(topic, database)
    assert set(found.behind) == {key for key in database if database[key] > topic.get(key, 0)}
    assert set(found.ahead) == {key for key in topic if topic[key] > database.get(key, 0)}
