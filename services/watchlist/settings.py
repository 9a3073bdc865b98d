"""Settings of the watchlist service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from alerthub.domain.matching import HOUR_MS, Timing
from alerthub.domain.watchlist import OpeningCap
from alerthub.settings import ServiceSettings

MINUTE_MS = 60_000


class WatchlistSettings(ServiceSettings):
    """The environment gives them, as for every service."""

    service: str = "watchlist"
    keys_folder: Path = Path("keys")
    """The key provider's folder. Outside PostgreSQL and every backup: a key in a backup outlives its
    destruction."""
    observations_retention_minutes: int = Field(default=60, ge=1, le=24 * 60)
    """How long reads may wait in Kafka: as long may sealed text be opened. More than 24 h is refused."""
    epoch_rotation_minutes: int = Field(default=12 * 60, ge=10, le=23 * 60 + 30)
    """How long one key blinds. Shorter forgets sooner and publishes all entries again more often."""
    gateway_live_seconds: int = Field(default=10, ge=2, le=60)
    """A gateway that has not reported for so long takes no reads any more, and is not waited for."""
    gateway_patience_seconds: int = Field(default=60, ge=2, le=600)
    """How long a new mask or epoch waits for a live gateway that lags before that one must become unready."""
    opens_per_person: int = Field(default=60, ge=1, le=10_000)
    """Different alerts of one entry or rule that a person opens within the window before a second person is
    needed."""
    opens_window_minutes: int = Field(default=8 * 60, ge=1, le=24 * 60)
    """A shift: curiosity shows within one, work does not reach the cap."""
    alert_keys_days: int = Field(default=30, ge=1, le=365)
    """After so long an alert's own key is destroyed, and with it what was sealed under it, wherever it
    lies."""

    def timing(self) -> Timing:
        """The times of C12."""
        return Timing(
            rotation_ms=self.epoch_rotation_minutes * MINUTE_MS,
            retention_ms=self.observations_retention_minutes * MINUTE_MS,
            live_ms=self.gateway_live_seconds * 1000,
            patience_ms=self.gateway_patience_seconds * 1000,
        )

    def opening_cap(self) -> OpeningCap:
        """The cap of C13."""
        return OpeningCap(alerts=self.opens_per_person, window_ms=self.opens_window_minutes * MINUTE_MS)


RECIPIENT_CHANGES_AFTER_MS = HOUR_MS
"""Each key pair to which data keys are wrapped is the newest for an hour."""
RECIPIENT_VALID_MS = RECIPIENT_CHANGES_AFTER_MS + 15 * MINUTE_MS
"""Gateways go on for a quarter of an hour while this service is away."""
