"""What the transports refuse behind their first lines: S2, S4 and C1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_parts import gateway

from alerthub import kafka
from alerthub.grpc_access import AccessRule
from alerthub.grpc_interceptor import HubInterceptor
from alerthub.identity import NotAuthenticatedError, RevocationList
from alerthub.settings import KafkaSettings
from services.gateway.authentication import Authenticator
from services.gateway.http_api import build_app


class Context:
    """A call on the listener for certificates, as gRPC gives it."""

    def __init__(self, *certificates: bytes) -> None:
        self._certificates = certificates

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        return {"x509_pem_cert": self._certificates} if self._certificates else {}


@pytest.mark.parametrize("certificates", [(), (b"one", b"another")], ids=["none", "two"])
def test_s2_a_call_without_exactly_one_certificate_is_nobodys(certificates: tuple[bytes, ...]) -> None:
    # given the listener for services and terminals, if the handshake let such a call through
    interceptor = HubInterceptor(verifier=None, revocations=None)
    context: Any = Context(*certificates)

    # when it is asked who calls, even for what anyone may call
    with pytest.raises(NotAuthenticatedError, match="client certificate"):
        interceptor.caller(context, {}, AccessRule("/x", anyone=True))


async def test_s4_an_answer_to_a_device_is_never_taken_for_something_else(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    known = Authenticator(one.devices, RevocationList(), failures_per_minute=10, now_ms=one.clock)
    transport = httpx.ASGITransport(app=build_app(one.settings, one.intake, known))
    async with httpx.AsyncClient(transport=transport, base_url="https://gateway") as sender:
        answer = await sender.get("/v1/nothing")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_c1_a_producer_waits_for_every_replica_and_writes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given the options that reach Kafka's client
    given: dict[str, Any] = {}
    monkeypatch.setattr(kafka, "AIOKafkaProducer", lambda **options: given.update(options))
    password = tmp_path / "password"
    password.write_text("secret", encoding="utf-8")

    # when a service makes a producer
    kafka.producer(KafkaSettings(username="gateway", password_file=password), client_id="gateway-1")

    # then what is acknowledged is on every in-sync replica, once
    assert (given["acks"], given["enable_idempotence"]) == ("all", True)
