"""Up to when what gateways received has been evaluated (C11): what the office's "watching" stands on."""

from __future__ import annotations

from alerthub.api.v1.observation_pb2 import GatewayHeard, PartitionWatermark, Watermarks
from alerthub.domain.watching import forget_gateways
from services.correlator.state import Working

WATERMARK_SECONDS = 1.0
"""As often as each gateway writes an empty batch to each partition."""


def of(
    working: Working, heard: dict[str, int], *, instance: str, partition_count: int, now_ms: int
) -> Watermarks:
    """What to tell now. Forgets gateways that were not heard for an hour."""
    forget_gateways(heard, now_ms=now_ms)
    return Watermarks(
        instance=instance,
        time_ms=now_ms,
        partition_count=partition_count,
        partitions=[
            PartitionWatermark(partition=each, received_time_ms=working.state(each).received_ms)
            for each in sorted(working.partitions)
        ],
        gateways=[GatewayHeard(gateway_id=each, received_time_ms=heard[each]) for each in sorted(heard)],
    )
