"""The health service's stub with its calls, which the types of grpcio-health-checking leave out."""

from __future__ import annotations

from typing import Protocol, cast

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


class HealthStub(Protocol):
    Check: grpc.aio.UnaryUnaryMultiCallable[HealthCheckRequest, HealthCheckResponse]
    Watch: grpc.aio.UnaryStreamMultiCallable[HealthCheckRequest, HealthCheckResponse]


def health_stub(channel: grpc.aio.Channel) -> HealthStub:
    return cast(HealthStub, health_pb2_grpc.HealthStub(channel))
