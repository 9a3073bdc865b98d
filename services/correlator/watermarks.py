"""Up to when what gateways received has been evaluated (C11): what the office's "watching" stands on."""

from __future__ import annotations

from collections.abc import Mapping

from alerthub.api.v1.observation_pb2 import GatewayHeard, PartitionWatermark, Watermarks
from services.correlator.state import Working

WATERMARK_SECONDS = 1.0
"""As often as each gateway writes an empty batch to each partition."""
_FORGOTTEN_AFTER_MS = 3_600_000
"""A gateway that was not heard for an hour is no longer one of ours."""


def of(
    working: Working, heard: dict[str, int], *, instance: str, partition_count: int, now_ms: int
) -> Watermarks:
    """What to tell now. Forgets gateways that were not heard for an hour."""
    for gateway_id in _forgotten(heard, now_ms):
        del heard[gateway_id]
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


def _forgotten(heard: Mapping[str, int], now_ms: int) -> list[str]:
    return [each for each, at_ms in heard.items() if now_ms - at_ms > _FORGOTTEN_AFTER_MS]
