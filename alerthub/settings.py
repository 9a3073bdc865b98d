"""Settings that every service has. A setting is a field with a unit, a default and the reason for it.

The environment gives them: `ALERTHUB_KAFKA__BOOTSTRAP`, `ALERTHUB_TLS__CERTIFICATE_FILE` and so on, in the
embedded hub from the supervisor, in containers from compose or the chart. Secrets are always files, never
values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseModel):
    """How to reach Kafka. SASL/SCRAM always (S1); TLS as well wherever the traffic leaves the loopback."""

    bootstrap: str = "127.0.0.1:9092"
    username: str = ""
    """The SCRAM user, which is the service's principal in the one table of permissions."""
    password_file: Path | None = None
    ca_file: Path | None = None
    """Given: SASL_SSL with this authority. Absent: SASL_PLAINTEXT, refused off the loopback."""

    def password(self) -> str:
        if self.password_file is None:
            return ""
        return self.password_file.read_text(encoding="utf-8").strip()


class PostgresSettings(BaseModel):
    """How to reach PostgreSQL: a role and a schema per service, both named after the service.

    `host` is an address or a socket folder (starts with /)."""

    host: str = "127.0.0.1"
    port: int = 5432
    database: str = "alerthub"
    role: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    pool_size: int = Field(default=8, ge=1, le=64)
    """Connections: enough for a service's concurrent requests, few enough for PostgreSQL's hundred."""

    def password(self) -> str:
        if self.password_file is None:
            return ""
        return self.password_file.read_text(encoding="utf-8").strip()


class TlsSettings(BaseModel):
    """The service's certificate (its identity) and the hub's authority."""

    certificate_file: Path = Path("pki/service.pem")
    key_file: Path = Path("pki/service.key")
    ca_file: Path = Path("pki/ca.pem")


class TraceSettings(BaseModel):
    """Where spans go: an OTLP receiver over gRPC (a collector, Jaeger, Tempo)."""

    collector: str = ""
    """host:port. Empty: there are no traces, and they cost nothing."""
    ca_file: Path | None = None
    """The authority of the collector's certificate (PEM). None: the well-known ones."""
    plain: bool = False
    """Without TLS: refused unless the collector is on the loopback."""
    batch_ratio: float = Field(default=0.01, ge=0, le=1)
    """The share of batches that have a span: some a second in a city at its peak. Alerts all have their
    trace."""
    queue_spans: int = Field(default=2_048, ge=1, le=65_536)
    """Spans that wait to be sent, some 2 MB; one more is dropped and counted."""


class Addresses(BaseModel):
    """Where the other services listen: host:port. `*_person` is for persons (TLS and a signed token)."""

    registry: str = "127.0.0.1:7101"
    registry_person: str = "127.0.0.1:7102"
    watchlist: str = "127.0.0.1:7111"
    watchlist_person: str = "127.0.0.1:7112"
    dispatch: str = "127.0.0.1:7121"
    dispatch_person: str = "127.0.0.1:7122"
    push: str = "127.0.0.1:7131"
    gateway: str = "127.0.0.1:7141"
    """The gateways' gRPC door, for edge servers. The canary's reads go through it."""
    mqtt: str = ""
    """The MQTT broker, always with TLS. Empty: there is none."""


class ServiceSettings(BaseSettings):
    """The settings of every service; a service's own `settings.py` inherits from it and adds its own."""

    model_config = SettingsConfigDict(env_prefix="ALERTHUB_", env_nested_delimiter="__", extra="ignore")

    service: str = ""
    """The service's name: its principal, its role, its schema."""
    instance: str = "1"
    """Tells processes of one service apart in logs, client ids and group membership. Not an identity."""
    listen_host: str = "127.0.0.1"
    """Loopback by default: whoever listens elsewhere says so."""
    grpc_port: int = 0
    """mTLS, for services and terminals. 0: the service has no such listener."""
    grpc_person_port: int = 0
    """TLS and a signed token, for persons. 0: the service has no such listener."""
    operations_port: int = 0
    """Plain HTTP for /metrics, /live and /ready, on `listen_host` only."""
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    tls: TlsSettings = TlsSettings()
    addresses: Addresses = Addresses()
    token_verification_key_file: Path = Path("pki/token.pub")
    """Ed25519 public key (PEM) of the registry's token signer."""
    evidence_url: str = "file:///tmp/alerthub-evidence"
    """The picture store: file:///folder or s3://bucket (obstore)."""
    witness_file: Path | None = None
    """Where signed heads of the audit log go, outside the database (C16)."""
    witness_url: str = ""
    """Where they go as well: an HTTPS address outside private networks. Empty: nowhere."""
    witness_ca_file: Path | None = None
    """The authority of that address's certificate (PEM). None: the system's."""
    traces: TraceSettings = TraceSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
