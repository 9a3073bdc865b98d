"""Which partition a district's observations go to."""

from __future__ import annotations

import zlib


def partition_of(district: str, partitions: int) -> int:
    """The partition of `district` among `partitions`: CRC-32 (ISO 3309) of its UTF-8 name, modulo their
    number.

    Fixed for the life of a topic: a district is never parted from the state that its rules keep. Raises
    ValueError unless there is at least one partition.
    """
    if partitions < 1:
        raise ValueError("a topic has at least one partition")
    return zlib.crc32(district.encode("utf-8")) % partitions
