"""Follows a streaming topic from a short while ago: what was said lately, then each record as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka.errors import KafkaError

from alerthub import kafka
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger

log = logger(__name__)

_RETRY_SECONDS = 0.5


async def follow(
    settings: KafkaSettings,
    topic: str,
    *,
    client_id: str,
    since_ms: Callable[[], int],
    take: Callable[[bytes], None],
    waiting_event: str,
) -> None:
    """Hands every record's value to `take`, first those since `since_ms()` (milliseconds since 1970).

    Never returns. While the broker is away that is logged under `waiting_event`; afterwards it begins again
    at `since_ms()`, so `take` must bear a record that it has seen.
    """
    while True:
        consumer = kafka.consumer(settings, topic, group_id=None, client_id=client_id)
        try:
            await consumer.start()
            partitions = list(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms()))
            for partition, start in starts.items():
                consumer.seek(partition, ends[partition] if start is None else start.offset)
            async for record in consumer:
                take(record.value or b"")
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning(waiting_event, error_type=type(error).__name__)
        finally:
            await consumer.stop()
        await asyncio.sleep(_RETRY_SECONDS)
