"""Settings of dispatch. Times in milliseconds or seconds as their names say."""

from __future__ import annotations

from pydantic import Field

from alerthub.domain.deadlines import DeadlineTimes
from alerthub.settings import ServiceSettings


class DispatchSettings(ServiceSettings):
    """Beside what every service has."""

    service: str = "dispatch"
    confirmation_deadline_ms: int = Field(default=120_000, ge=1_000, le=3_600_000)
    """Two minutes: comparing one picture takes seconds; after it the supervisor should know that nobody
    looks."""
    delivery_deadline_ms: int = Field(default=15_000, ge=500, le=600_000)
    """Three missed heartbeats: a terminal that is silent for longer has lost the hub."""
    acknowledgement_deadline_ms: int = Field(default=60_000, ge=500, le=3_600_000)
    """Time to stop, read the card and touch the screen, and not longer, since the vehicle drives on."""
    outage_grace_ms: int = Field(default=20_000, ge=0, le=600_000)
    """After an outage, how long overdue deadlines wait for receipts that are queued on terminals: they
    reconnect within ten seconds."""
    batch_records: int = Field(default=200, ge=1, le=2_000)
    """Raised alerts in one transaction: enough to catch up with an outage, few enough to stay under 100
    ms."""
    sealing_timeout_seconds: float = Field(default=3.0, gt=0, le=30)
    """One attempt to seal evidence at watchlist; it takes milliseconds, or watchlist is away."""
    sealing_gives_up_after_seconds: int = Field(default=3_600, ge=10, le=86_400)
    """After the retention of observations the keys are destroyed, and no attempt can succeed."""
    precision_floor: float = Field(default=0.3, ge=0, le=1)
    """A rule, source or device that is right less often than this costs more trust than it gives (refusal
    9). In force until two persons change it (S6, docs/adr/0013)."""
    raised_kept_days: int = Field(default=30, ge=8, le=365)
    """Raised ids outlive the seven days of the topic `alerts` by far, so that no replay raises anything
    twice."""
    evidence_kept_days: int = Field(default=30, ge=1, le=365)
    """From an alert's end: sealed text, pictures and tokens. Watchlist destroys the alert's key after as
    long."""

    def deadline_times(self) -> DeadlineTimes:
        return DeadlineTimes(
            confirmation_ms=self.confirmation_deadline_ms,
            delivery_ms=self.delivery_deadline_ms,
            acknowledgement_ms=self.acknowledgement_deadline_ms,
        )
