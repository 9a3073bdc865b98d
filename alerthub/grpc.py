"""The gRPC server of every service: two listeners, one for certificates and one for persons' tokens (S2).

`settings.grpc_port` asks every caller for a certificate of the hub's authority: services, terminals, devices.
`settings.grpc_person_port` has TLS and takes a signed token. A certificate counts only on the first, a token
only on the second, and neither listener believes anything else that a caller says about itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from alerthub.grpc_access import AccessRule, rpc_access_table
from alerthub.grpc_client import certificate_channel, person_channel, service_channel
from alerthub.grpc_credentials import renewed_credentials
from alerthub.grpc_interceptor import HubInterceptor
from alerthub.identity import RevocationList, TokenVerifier
from alerthub.settings import ServiceSettings
from alerthub.telemetry import logger

__all__ = [
    "GrpcServer",
    "certificate_channel",
    "person_channel",
    "rpc_access_table",
    "serve",
    "service_channel",
]

log = logger(__name__)

MAXIMUM_MESSAGE_BYTES = 4 * 1024 * 1024
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 1024),
    # A terminal that lost its radio is noticed within a minute.
    ("grpc.keepalive_time_ms", 45_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Long-lived connections move to new processes in time; streams resume where they were.
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    # Two processes must never share a port by accident.
    ("grpc.so_reuseport", 0),
)


@dataclass(slots=True)
class GrpcServer:
    """A running server. Ports are those that it listens on; 0: no such listener."""

    grpc_port: int
    person_port: int
    service_names: tuple[str, ...]
    _servers: list[grpc.aio.Server] = field(default_factory=list)
    _health: list[health_aio.HealthServicer] = field(default_factory=list)

    def access_table(self) -> dict[str, AccessRule]:
        """Every RPC that it serves, with who may call it."""
        return rpc_access_table(self.service_names)

    async def set_serving(self, serving: bool) -> None:
        """What the health service says: a load balancer sends nothing while it is False."""
        for health in self._health:
            for name in ("", *self.service_names):
                await health.set(
                    name,
                    health_pb2.HealthCheckResponse.SERVING
                    if serving
                    else health_pb2.HealthCheckResponse.NOT_SERVING,
                )

    async def stop(self, grace_seconds: float = 3.0) -> None:
        """Takes no new calls, lets open ones end for `grace_seconds`, then ends them."""
        for health in self._health:
            await health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(grace_seconds) for server in self._servers))

    async def wait(self) -> None:
        """Returns when the server has ended."""
        await asyncio.gather(*(server.wait_for_termination() for server in self._servers))


async def serve(
    settings: ServiceSettings,
    servicers: Sequence[object],
    *,
    audience: str,
    revocations: RevocationList | None = None,
    hand_validated: Collection[str] = (),
    mutual_port: int | None = None,
    person_port: int | None = None,
) -> GrpcServer:
    """Starts the listeners that the settings name and serves `servicers` (generated Servicer classes) on
    each.

    `audience` is whose tokens persons must bring. `revocations` is asked at each call, and ends open streams.
    `hand_validated` (`/package.Service/Method`) leaves validation to the handler, for the hot path.
    `mutual_port` and `person_port` override the settings; 0 in an override asks for any free port.
    Raises RuntimeError when a port cannot be bound.
    """
    wanted_mutual = settings.grpc_port or None if mutual_port is None else mutual_port
    wanted_person = settings.grpc_person_port or None if person_port is None else person_port
    names = tuple(dict.fromkeys(name for servicer in servicers for name, _ in _registrations(servicer)))
    running = GrpcServer(0, 0, names)
    try:
        if wanted_mutual is not None:
            interceptor = HubInterceptor(
                verifier=None, revocations=revocations, hand_validated=hand_validated
            )
            server = _server(servicers, running, interceptor)
            running.grpc_port = server.add_secure_port(
                f"{settings.listen_host}:{wanted_mutual}",
                renewed_credentials(settings.tls, callers_need_one=True),
            )
            await server.start()
        if wanted_person is not None:
            verifier = TokenVerifier.from_file(settings.token_verification_key_file, audience=audience)
            interceptor = HubInterceptor(
                verifier=verifier, revocations=revocations, hand_validated=hand_validated
            )
            server = _server(servicers, running, interceptor)
            running.person_port = server.add_secure_port(
                f"{settings.listen_host}:{wanted_person}",
                renewed_credentials(settings.tls, callers_need_one=False),
            )
            await server.start()
    except BaseException:
        await running.stop(0)
        raise
    await running.set_serving(True)
    log.info("grpc_listening", port=running.grpc_port, person_port=running.person_port)
    return running


def _server(servicers: Sequence[object], running: GrpcServer, interceptor: HubInterceptor) -> grpc.aio.Server:
    server = grpc.aio.server(interceptors=[interceptor], options=_OPTIONS, maximum_concurrent_rpcs=4096)
    for servicer in servicers:
        for _, register in _registrations(servicer):
            register(servicer, server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (*running.service_names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    running._servers.append(server)
    running._health.append(health)
    return server


def _registrations(servicer: object) -> list[tuple[str, Any]]:
    """Full service name and generated registration function of each Servicer class that `servicer` has."""
    found = []
    for base in type(servicer).__mro__:
        module = sys.modules.get(base.__module__)
        register = getattr(module, f"add_{base.__name__}_to_server", None)
        if register is not None and base.__module__.endswith("_pb2_grpc"):
            messages = sys.modules[base.__module__.removesuffix("_grpc")]
            service = messages.DESCRIPTOR.services_by_name[base.__name__.removesuffix("Servicer")]
            found.append((service.full_name, register))
    if not found:
        raise TypeError(f"{type(servicer).__name__} inherits no generated Servicer")
    return found
