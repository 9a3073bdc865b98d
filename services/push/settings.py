"""Settings of push. Times in seconds or milliseconds as their names say."""

from __future__ import annotations

from pydantic import Field

from alerthub.settings import ServiceSettings


class PushSettings(ServiceSettings):
    """Beside what every service has."""

    service: str = "push"
    heartbeat_seconds: float = Field(default=2.0, ge=0.2, le=5)
    """A terminal distrusts its screen after ten seconds without one, so two may be lost on the radio."""
    queue_messages: int = Field(default=256, ge=8, le=10_000)
    """What a slow terminal may lag behind before it is cut off and resumes: a minute of a city's worst."""
    write_timeout_seconds: float = Field(default=15.0, ge=1, le=120)
    """A terminal that takes nothing for this long has lost the hub, whatever its connection says."""
    evidence_wait_ms: int = Field(default=500, ge=0, le=5_000)
    """How long an alert waits for its evidence to be sealed, which takes milliseconds, or watchlist is
    away."""
    open_timeout_seconds: float = Field(default=1.5, gt=0, le=10)
    """How long an alert waits for its details to be opened; then it goes without them and says so (C17)."""
    report_seconds: float = Field(default=3.0, ge=0.2, le=10)
    """Dispatch takes a terminal for unreachable when it was not named for 15 s."""
    maximum_terminals: int = Field(default=5_000, ge=1, le=100_000)
    """40 KiB a stream: 200 MiB."""
