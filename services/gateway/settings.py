"""The gateway's own settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from alerthub.evidence import DEFAULT_BOUND_BYTES, HOUR_MS, RETENTION_CAP_MS
from alerthub.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """Settings of one gateway process."""

    service: str = "gateway"
    http_port: int = Field(default=8443, ge=0, le=65535)
    """TLS, for devices. 0: any free port."""
    plain_http_port: int | None = Field(default=None, ge=0, le=65535)
    """Plain HTTP for devices of the class network only, from their registered addresses (S3). Off by
    default: who can write a packet can be such a device."""
    plain_http_host: str = "127.0.0.1"
    maximum_connections: int = Field(default=4_096, ge=1)
    """Open connections of devices: a quarter of a large city's cameras on each of four gateways, 400 MB of
    TLS."""
    maximum_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1_024)
    """As sent and as expanded: two pictures of 2 MiB."""
    body_seconds: float = Field(default=10.0, gt=0)
    """How long a device may take to send a body: a slow radio link sends a picture in it."""
    kafka_wait_seconds: float = Field(default=5.0, gt=0)
    """How long a request waits for the broker's acknowledgement before it is told to come again: cameras
    give up after ten."""
    minimum_linger_ms: float = Field(default=5.0, ge=0)
    maximum_linger_ms: float = Field(default=25.0, ge=0)
    """How long the first observation of a batch waits for others: long enough to pack at high rates, an
    eighth of the 200 ms that an alert may take."""
    maximum_in_flight: int = Field(default=20_000, ge=1)
    """Observations that wait for the broker: ten seconds of the peak, about 20 MB. Beyond it devices are
    told to come again."""
    device_events_per_second: float = Field(default=50.0, gt=0)
    """In the long run, for one device. A plate reader over four lanes reads five a second."""
    device_burst: int = Field(default=512, ge=256)
    """At once: what a device kept during a minute without network. At least one full request of 256
    events."""
    failed_sign_ins_per_minute: float = Field(default=10.0, gt=0)
    """For one address and device: a camera with a wrong password tries again each second, and learns
    nothing."""
    calls_per_second: float = Field(default=1.0, gt=0)
    """Direct calls of one device in the long run; somebody in fear presses a button often."""
    call_burst: int = Field(default=20, ge=1)
    key_synchronisation_seconds: float = Field(default=1.0, gt=0)
    """How often the gateway reports its version to watchlist and asks for its keys (C12)."""
    key_maximum_age_seconds: float = Field(default=10.0, gt=0)
    """A gateway that has not reported for so long may miss a change of masks or epoch, so it takes nothing
    more. Watchlist must count it as live for at least as long."""
    picture_retention_ms: int = Field(default=HOUR_MS, gt=0, le=RETENTION_CAP_MS)
    """As long as observations; a day at most (refusal 2)."""
    picture_bound_bytes: int = Field(default=DEFAULT_BOUND_BYTES, gt=0)
    picture_sweep_seconds: float = Field(default=30.0, gt=0)
    """How often pictures that are over age are deleted."""
    stream_window: int = Field(default=1_024, ge=1)
    """Events of one gRPC stream that may wait for Kafka before the stream is read no further."""

    digest_key_file: Path | None = None
    """What passwords and nonces of HTTP Digest are made with, the same at all gateways and told to nobody
    else. Absent: no HTTP Digest. Another key changes every device's Digest password."""
    mqtt_username: str = ""
    """For brokers that do not know the gateway by its certificate, which it always shows."""
    mqtt_password_file: Path | None = None
    mqtt_ca_file: Path | None = None
    """The authority of the broker's certificate; absent: the hub's own."""
    mqtt_window: int = Field(default=512, ge=1)
    """Messages that may wait for Kafka at once: two batches. Beyond it the broker keeps them."""

    @property
    def gateway_id(self) -> str:
        """This process's name in batches and towards watchlist."""
        return f"{self.service}-{self.instance}"
