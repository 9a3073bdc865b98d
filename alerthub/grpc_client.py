"""gRPC channels to the hub's services: as a service (certificate) or for a person (signed token)."""

from __future__ import annotations

import json
from pathlib import Path

import grpc

from alerthub.grpc_renewed_channel import RenewedChannel
from alerthub.settings import ServiceSettings, TlsSettings

_RETRY_WHEN_UNAVAILABLE = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                # A server that has just restarted is tried again by the channel; commands carry ids, so a
                # repeat changes nothing.
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 45_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 1),
    ("grpc.service_config", _RETRY_WHEN_UNAVAILABLE),
)


def service_channel(settings: ServiceSettings, address: str) -> grpc.aio.Channel:
    """A channel as this service, by its certificate, to `address` (host:port, an mTLS listener)."""
    return certificate_channel(settings.tls, address)


def certificate_channel(tls: TlsSettings, address: str) -> RenewedChannel:
    """A channel by certificate: of a service, a terminal or a device. Follows the certificate's files."""
    return RenewedChannel(
        tls, lambda credentials: grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
    )


def person_channel(ca_file: Path, address: str, token: str = "") -> grpc.aio.Channel:
    """A channel for a person to `address` (a person listener). Without a token: for signing in, enrolling."""
    credentials = grpc.ssl_channel_credentials(root_certificates=ca_file.read_bytes())
    if token:
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(token)
        )
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
