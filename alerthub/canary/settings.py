"""Settings of the canary. Times in seconds as their names say."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from alerthub.settings import ServiceSettings


class CanarySettings(ServiceSettings):
    """Beside what every service has."""

    service: str = "canary"
    set_up_folder: Path = Path("/var/lib/alerthub/canary")
    """What two persons made with `alerthub canary`. While it is not there, nothing is sent and the log says
    what is missing."""
    gateway_instances: str = ""
    """A name (host:port) whose addresses are those of all gateways. Empty: that of the gateways' own address,
    which is enough where it is not one address that stands for all."""
    every_seconds: float = Field(default=30.0, ge=1, le=300)
    """Between two reads through one gateway: three of them may be missing before somebody is woken, and one a
    second would be a fifth of a city's alerts."""
    read_seconds: float = Field(default=10.0, gt=0, le=60)
    """How long a gateway may take over a read: longer than its own wait for Kafka."""
