"""A receiver of traces that forgets them: what a service's telling costs, without a collector's work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


class Forgetful(TraceServiceServicer):
    """Counts spans."""

    def __init__(self) -> None:
        self.count = 0

    def Export(  # noqa: N802
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.count += sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        return ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[tuple[str, Forgetful]]:
    """Its address on the loopback, and itself."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    receiver = Forgetful()
    add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]  # generated untyped
    server.start()
    try:
        yield f"127.0.0.1:{port}", receiver
    finally:
        server.stop(0).wait()
