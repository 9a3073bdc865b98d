"""Settings of the correlator."""

from __future__ import annotations

from pydantic import Field

from alerthub.settings import ServiceSettings
from alerthub.topics import TopicSettings


class CorrelatorSettings(ServiceSettings):
    """What the correlator has beyond every service's settings."""

    service: str = "correlator"
    partitions: int = Field(default=TopicSettings().partitions, ge=1)
    """Of the streaming topics, as they were created: fixed for their life."""
    checkpoint_seconds: float = Field(default=10.0, gt=0, le=60)
    """Between checkpoints: a restart applies as much again, well under a second's work (C3)."""
    revocation_seconds: float = Field(default=15.0, gt=0, le=25)
    """For the checkpoint when partitions are revoked: less than the 30 s that the group waits."""
    session_seconds: float = Field(default=10.0, ge=6, le=60)
    """A worker that does not answer for this long loses its partitions. 6 is Kafka's own least."""
    watchdog_seconds: float = Field(default=60.0, gt=0, le=600)
    """A lag that the broker confirms, without any progress for this long, ends the process: a consumer can
    stop silently after a rebalance."""
    buffer_bytes: int = Field(default=64 * 1_024 * 1_024, ge=1_024 * 1_024)
    """Batches that wait to be applied. Above it partitions are paused (C4); what one fetch brings comes on
    top."""
    observations_retention_seconds: int = Field(default=3_600, ge=60, le=86_400)
    """As long as an observation may wait in Kafka: superseded entries are kept for as long (C5)."""
