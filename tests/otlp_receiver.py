"""An OTLP receiver on a real socket over TLS, of OpenTelemetry's own generated servicer: what a collector
would have been sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from alerthub.embedded.folder import HubFolder
from alerthub.provision import pki


@dataclass(frozen=True)
class Span:
    """A span as it came, with its resource's name."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    from_ns: int
    until_ns: int
    attributes: tuple[tuple[str, str | int], ...]
    links: tuple[tuple[str, str], ...]


class Receiver(TraceServiceServicer):
    """Keeps every request. Without `answers` it takes them and says nothing."""

    def __init__(self, ca_file: Path, port: int) -> None:
        self.ca_file = ca_file
        self.port = port
        self._requests: list[ExportTraceServiceRequest] = []
        self._news = threading.Condition()
        self.answers = threading.Event()
        self.answers.set()

    @property
    def environment(self) -> dict[str, str]:
        """What a hub is told of it."""
        return {
            "ALERTHUB_TRACES__COLLECTOR": f"localhost:{self.port}",
            "ALERTHUB_TRACES__CA_FILE": str(self.ca_file),
            "ALERTHUB_TRACES__BATCH_RATIO": "1",
        }

    def Export(  # noqa: N802
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        with self._news:
            self._requests.append(request)
            self._news.notify_all()
        self.answers.wait()
        return ExportTraceServiceResponse()

    def exported(self) -> bytes:
        """Everything that came, as it was on the wire."""
        with self._news:
            return b"".join(request.SerializeToString() for request in self._requests)

    def resources(self) -> set[tuple[str, str]]:
        """Whatever resources said of themselves."""
        with self._news:
            return {
                (each.key, each.value.string_value)
                for request in self._requests
                for group in request.resource_spans
                for each in group.resource.attributes
            }

    def spans(self, trace_id: str = "") -> list[Span]:
        """The spans of one trace, or all; by their beginning."""
        with self._news:
            found = list(self._read())
        return sorted(
            (each for each in found if trace_id in ("", each.trace_id)), key=lambda each: each.from_ns
        )

    def _read(self) -> Iterator[Span]:
        for request in self._requests:
            for group in request.resource_spans:
                said = {each.key: each.value.string_value for each in group.resource.attributes}
                for scope in group.scope_spans:
                    for each in scope.spans:
                        yield Span(
                            said["service.name"],
                            each.name,
                            each.trace_id.hex(),
                            each.span_id.hex(),
                            each.parent_span_id.hex(),
                            each.start_time_unix_nano,
                            each.end_time_unix_nano,
                            tuple(
                                (one.key, one.value.string_value or one.value.int_value)
                                for one in each.attributes
                            ),
                            tuple((one.trace_id.hex(), one.span_id.hex()) for one in each.links),
                        )

    def wait(self, condition: Callable[[Receiver], bool], seconds: float = 30.0) -> None:
        """Until what came fulfils the condition."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            with self._news:
                left = deadline - time.monotonic()
                if left <= 0:
                    names = sorted({(each.service, each.name) for each in self._read()})
                    raise AssertionError(f"did not come within {seconds:.0f} s; what came: {names}")
                self._news.wait(min(left, 0.5))


@contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    """A receiver with an authority of its own in `folder`."""
    made = HubFolder(folder)
    made.create()
    pki.ensure_pki(made, now=pki.utc_now(), servers=("collector",))
    tls = pki.tls_settings(made, "collector")
    pair = tls.key_file.read_bytes(), tls.certificate_file.read_bytes()
    credentials = grpc.ssl_server_credentials([pair])
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_secure_port("localhost:0", credentials)
    receiver = Receiver(made.ca_file, port)
    add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]  # generated untyped
    server.start()
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.stop(0).wait()
