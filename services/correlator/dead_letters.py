"""What becomes of a batch that cannot be decoded: a reason and a hash for a week, never its content.

No copy of the payload is made: it stays in `observations`, at the offset that the letter names, for as long
as every observation does. Sealing a copy would need the watchlist service's public key of the hour, which
only gateways are given.
"""

from __future__ import annotations

import hashlib

from alerthub.api.v1.observation_pb2 import DeadLetter


def letter(*, topic: str, partition: int, offset: int, payload: bytes, reason: str, time_ms: int) -> bytes:
    """The value of `dead-letter`. `reason` holds nothing of the payload."""
    return DeadLetter(
        source_topic=topic,
        source_partition=partition,
        source_offset=offset,
        reason=reason,
        payload_sha256=hashlib.sha256(payload).digest(),
        time_ms=time_ms,
    ).SerializeToString()
