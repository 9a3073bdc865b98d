"""The embedded broker's settings."""

from __future__ import annotations

from pydantic import Field

from alerthub.settings import ServiceSettings


class BrokerSettings(ServiceSettings):
    """Settings of the broker's process."""

    service: str = "mqtt"
    mqtt_port: int = Field(default=8883, ge=0, le=65535)
    """TLS, for devices and gateways. 0: any free port."""
    maximum_connections: int = Field(default=4_096, ge=1)
    """As many as a gateway has over HTTPS."""
    maximum_packet_bytes: int = Field(default=4 * 1024 * 1024 + 64 * 1024, ge=1_024)
    """What the gateway takes of one event, and the topic."""
    packet_seconds: float = Field(default=10.0, gt=0)
    """How long a client may take over its CONNECT, or over one packet that has begun."""
    device_window: int = Field(default=32, ge=1, le=65_535)
    """Messages of one device that may wait for their acknowledgement before it is read no further."""
    gateway_window: int = Field(default=512, ge=1, le=65_535)
    """Messages that may wait for one gateway's acknowledgement: two batches of it."""
    gateway_window_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    """And so many bytes: eight of the largest events."""
    waiting_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    """What may wait in memory while no gateway has room: a minute of a small city without pictures."""
    failed_logins_per_minute: float = Field(default=10.0, gt=0)
    """For one address and login, as over HTTPS."""
