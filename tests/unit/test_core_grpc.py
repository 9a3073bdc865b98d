"""Around every RPC: who may call, what is valid, what errors tell (S2, S5). A real server and real TLS on the
loopback.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from core_authority import Authority
from core_grpc_hub import (
    Hub,
    hub_fixture,  # noqa: F401 - pytest finds it by its name
    list_resources,
    refusal,
)
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from health_stub import health_stub

from alerthub.api.v1 import (
    access_pb2,
    registry_pb2,
    registry_pb2_grpc,
)
from alerthub.api.v1.access_pb2 import ROLE_OPERATOR, ROLE_REGISTRY_EDITOR
from alerthub.domain.errors import (
    AlertHubError,
    Conflict,
    DeadLetter,
    NotAllowed,
    NotFound,
    Refuse,
    Retry,
    TooOften,
)
from alerthub.domain.texts import LocalizedText
from alerthub.grpc_errors import error_of, field_violations
from alerthub.identity import CallerKind, NotAuthenticatedError

CANARY = "冀RA8HK52"
WORDS = LocalizedText("该警情已办结", "an open alert: this one is closed")
CHINESE_LETTERS = re.compile("[\u4e00-\u9fff]")


async def test_a_person_with_the_role_is_let_in(hub: Hub) -> None:
    await list_resources(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert [(caller.kind, caller.name) for caller in hub.registry.callers] == [(CallerKind.PERSON, "li.wei")]


async def test_a_person_without_the_role_is_told_who_may(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(access_pb2.ROLE_OFFICER)))
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "ROLE_OPERATOR" in str(refused.details())
    assert not hub.registry.callers


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-account", "li.wei"), ("x-roles", "ROLE_OPERATOR")),
        (("authorization", "Basic bGkud2VpOng="),),
        (("authorization", "Bearer nonsense"),),
        (("authorization", "Bearer"),),
    ],
    ids=["nothing", "claims in metadata", "basic", "nonsense", "empty"],
)
async def test_a_person_is_known_by_a_signed_token_only(hub: Hub, metadata: Any) -> None:
    refused = await refusal(hub.as_person(), metadata=metadata)
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not hub.registry.callers


async def test_two_tokens_are_none(hub: Hub) -> None:
    token = ("authorization", f"Bearer {hub.token(ROLE_OPERATOR)}")
    refused = await refusal(hub.as_person(), metadata=(token, token))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_for_another_audience_is_refused(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR, audience="dispatch")))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_does_not_count_on_the_listener_for_certificates(hub: Hub) -> None:
    channel = hub.as_certificate("spiffe://alerthub/service/push")
    token = (("authorization", f"Bearer {hub.token(ROLE_OPERATOR)}"),)
    refused = await refusal(channel, metadata=token)
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_listener_for_certificates_wants_one(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR), on_mutual_port=True))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert not hub.registry.callers


async def test_a_certificate_of_another_authority_is_refused(hub: Hub, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger")
    refused = await refusal(hub.as_certificate("spiffe://alerthub/service/push", authority=stranger))
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert not hub.registry.callers


async def test_a_certificate_with_two_identities_is_refused(hub: Hub) -> None:
    refused = await refusal(
        hub.as_certificate("spiffe://alerthub/terminal/T1", "spiffe://alerthub/service/push")
    )
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_anyone_may_sign_in_even_with_an_old_token(hub: Hub) -> None:
    old = hub.token(ROLE_OPERATOR, at_ms=time.time_ns() // 1_000_000 - 3_600_000)
    stub = registry_pb2_grpc.SessionServiceStub(hub.as_person(old))
    request = registry_pb2.SignInRequest(account="a", password="b", audience="registry")  # noqa: S106
    assert (await stub.SignIn(request, timeout=5)).token == "anonymous"  # noqa: S105


async def test_an_invalid_request_names_the_field_and_never_the_value(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)), kind=CANARY * 5)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in field_violations(refused)] == ["kind"]
    assert CANARY not in repr(refused)
    assert not hub.registry.callers


@pytest.mark.parametrize(
    ("raised", "code", "back"),
    [
        (Refuse("plate", "a plate"), grpc.StatusCode.INVALID_ARGUMENT, Refuse),
        (NotFound("entry", "an entry"), grpc.StatusCode.NOT_FOUND, NotFound),
        (NotAllowed("approver", "another person"), grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
        (Conflict("entry", "active"), grpc.StatusCode.FAILED_PRECONDITION, Conflict),
        (Retry("Kafka does not answer"), grpc.StatusCode.UNAVAILABLE, Retry),
        (TooOften("too many", after_seconds=9), grpc.StatusCode.RESOURCE_EXHAUSTED, TooOften),
        (DeadLetter("not an event"), grpc.StatusCode.INVALID_ARGUMENT, Refuse),
    ],
)
async def test_an_error_keeps_its_meaning_over_the_wire(
    hub: Hub, raised: AlertHubError, code: grpc.StatusCode, back: type[AlertHubError]
) -> None:
    hub.registry.raises = raised
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert refused.code() is code
    found = error_of(refused)
    assert type(found) is back
    if isinstance(raised, Refuse) and isinstance(found, Refuse):
        assert (found.field, found.expected) == (raised.field, raised.expected)


@pytest.mark.parametrize(
    "raised",
    [
        Refuse("alert_id", WORDS),
        NotFound("alert_id", WORDS),
        NotAllowed("role", WORDS),
        Conflict("alert_id", WORDS),
        Retry(WORDS),
        TooOften(WORDS),
        NotAuthenticatedError(WORDS),
    ],
)
async def test_chinese_travels_beside_the_english_of_status_and_details(
    hub: Hub, raised: AlertHubError
) -> None:
    hub.registry.raises = raised
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert not CHINESE_LETTERS.search(str(refused.details()))
    assert not any(CHINESE_LETTERS.search(each.expected) for each in field_violations(refused))
    assert error_of(refused).words == WORDS


@pytest.mark.parametrize(
    ("raised", "seconds"),
    [
        (TooOften("too many", after_seconds=41.5), 41.5),
        (Retry("Kafka does not answer", after_seconds=7), 7),
        (TooOften("too many", after_seconds=1e9), 3_600),
    ],
)
async def test_the_wait_that_is_advised_travels_too(hub: Hub, raised: Retry, seconds: float) -> None:
    hub.registry.raises = raised
    told = error_of(await refusal(hub.as_person(hub.token(ROLE_OPERATOR))))
    assert isinstance(told, Retry)
    assert told.after_seconds == seconds


async def test_what_is_said_in_english_alone_comes_without_chinese(hub: Hub) -> None:
    hub.registry.raises = Conflict("entry", "active")
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert error_of(refused).words == LocalizedText(english="active")


async def test_a_server_that_is_not_there_is_told_in_chinese_too() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        refused = await refusal(channel)
    assert error_of(refused).words.chinese == "服务没有应答"


async def test_who_may_is_told_in_chinese_too(hub: Hub) -> None:
    refused = await refusal(hub.as_person(hub.token(access_pb2.ROLE_OFFICER)))
    assert "接警员" in error_of(refused).words.chinese


async def test_an_unexpected_error_tells_nothing(hub: Hub) -> None:
    hub.registry.raises = ValueError(CANARY)
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)))
    assert refused.code() is grpc.StatusCode.INTERNAL
    assert CANARY not in repr(refused)


async def test_a_call_without_a_deadline_gets_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerthub.grpc_interceptor.DEFAULT_DEADLINE_SECONDS", 0.05)
    hub.registry.waits_seconds = 30
    refused = await refusal(hub.as_person(hub.token(ROLE_OPERATOR)), timeout=None)
    assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_above_the_limit_is_refused_whatever_the_client_is(hub: Hub) -> None:
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials((hub.authority.folder / "ca.pem").read_bytes()),
        grpc.access_token_call_credentials(hub.token(ROLE_OPERATOR)),
    )
    address = f"127.0.0.1:{hub.server.person_port}"
    async with grpc.aio.secure_channel(address, credentials) as channel:
        refused = await refusal(channel, kind="x" * (4 * 1024 * 1024 + 1))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_is_for_anyone_and_follows_the_service(hub: Hub) -> None:
    stub = health_stub(hub.as_person())
    request = health_pb2.HealthCheckRequest(service="alerthub.api.v1.RegistryService")
    assert (await stub.Check(request, timeout=5)).status == health_pb2.HealthCheckResponse.SERVING
    await hub.server.set_serving(False)
    assert (await stub.Check(request, timeout=5)).status == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("with_token", [True, False])
async def test_reflection_is_for_persons_who_signed_in(hub: Hub, with_token: bool) -> None:
    channel = hub.as_person(hub.token(ROLE_REGISTRY_EDITOR) if with_token else "")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # it takes aio's too
    call = stub.ServerReflectionInfo(  # type: ignore[operator]  # its types leave it open
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
    )
    if not with_token:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        return
    names = {service.name for service in (await call.read()).list_services_response.service}
    assert "alerthub.api.v1.RegistryService" in names
