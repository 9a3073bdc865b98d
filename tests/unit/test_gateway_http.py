"""HTTP for devices: who may, how much, in which encoding, and what a refusal tells."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from gateway_parts import PLATE, SECRET, START_MS, Gateway, gateway

from alerthub.api.v1 import common_pb2
from alerthub.domain.errors import Refuse
from alerthub.identity import RevocationList
from services.gateway.adapters import TooLarge, UnsupportedContent
from services.gateway.authentication import Authenticator
from services.gateway.http_api import build_app, build_plain_app
from services.gateway.http_body import BodyTimeout, expanded, read_body

EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/camera",
    "type": "alerthub.identifier.read",
    "data": {"plate": PLATE},
}
JSON = {"content-type": "application/cloudevents+json"}


def authenticator(one: Gateway) -> Authenticator:
    return Authenticator(one.devices, RevocationList(), failures_per_minute=10, now_ms=one.clock)


def client(one: Gateway, *, plain: bool = False, address: str = "192.0.2.7") -> httpx.AsyncClient:
    build = build_plain_app if plain else build_app
    app = build(one.settings, one.intake, authenticator(one))
    transport = httpx.ASGITransport(app=app, client=(address, 4000))
    return httpx.AsyncClient(transport=_WithState(transport), base_url="https://gateway")


class _WithState(httpx.AsyncBaseTransport):
    """uvicorn gives each request a state; this transport does not."""

    def __init__(self, inner: httpx.ASGITransport) -> None:
        app = inner.app

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": {}}, receive, send)

        inner.app = with_state
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


async def post(
    one: Gateway, path: str = "/v1/ingest/cloudevents", *, secret: str = SECRET, **options: Any
) -> httpx.Response:
    arguments: dict[str, Any] = {"content": json.dumps(EVENT), "headers": JSON, "auth": ("camera-1", secret)}
    async with client(one) as sender:
        return await sender.post(path, **(arguments | options))


def fields(answer: httpx.Response) -> list[str]:
    """The fields that a problem names; fails where the answer is no problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return [error["field"] for error in problem["errors"]]


async def test_a_read_with_the_right_secret_is_acknowledged(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    answer = await post(one)
    assert (answer.status_code, answer.json()) == (200, {"acknowledged": 1})
    (observation,) = one.broker.observations()
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS


@pytest.mark.parametrize(
    "auth",
    [("camera-1", "wrong"), ("camera-2", SECRET), ("camera-1", ""), ("", SECRET), None],
)
async def test_s3_without_the_right_secret_nothing_is_taken(tmp_path: Path, auth: Any) -> None:
    one = await gateway(tmp_path)
    answer = await post(one, auth=auth)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert one.broker.records == []


async def test_s3_a_device_without_an_issued_secret_has_none_that_fits(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, secret_sha256=b"")
    assert (await post(one, secret="anything")).status_code == 401  # noqa: S106 - it must not fit


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer abc", "Basic " + b64encode(b"no-colon").decode()]
)
async def test_a_header_that_is_no_basic_credential_is_refused(tmp_path: Path, header: str) -> None:
    one = await gateway(tmp_path)
    answer = await post(one, auth=None, headers=JSON | {"authorization": header})
    assert answer.status_code == 401


async def test_s3_failed_attempts_are_limited_for_one_address_and_device(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    async with client(one) as sender:
        statuses = [
            (await sender.post("/v1/ingest/cloudevents", auth=("camera-1", "wrong"))).status_code
            for _ in range(12)
        ]
    assert statuses == [401] * 10 + [429] * 2


async def test_s3_identity_comes_from_the_credential_and_never_from_the_body(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register("camera-2")
    body = EVENT | {"device_id": "camera-2", "data": {"plate": PLATE, "device_id": "camera-2"}}
    await post(one, content=json.dumps(body))
    assert [each.device_id for each in one.broker.observations()] == ["camera-1"]


async def test_s3_a_url_token_is_taken_from_a_device_of_that_class_only(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    path = f"/v1/ingest/cloudevents/token/camera-1/{SECRET}"
    assert (await post(one, path, auth=None)).status_code == 403
    one.register(version=2, authentication_class=common_pb2.AUTHENTICATION_CLASS_URL_TOKEN)
    assert (await post(one, path, auth=None)).status_code == 200
    (observation,) = one.broker.observations()
    assert observation.authentication_class == common_pb2.AUTHENTICATION_CLASS_URL_TOKEN


async def test_s3_no_log_shows_a_secret_or_a_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    one = await gateway(tmp_path)
    with structlog.testing.capture_logs() as logs:
        await post(one, f"/v1/ingest/cloudevents/token/camera-1/{SECRET}", auth=None)
        await post(one, f"/v1/ingest/none/token/camera-1/{SECRET}", auth=None)
        await post(one, secret="secret-canary-wrong")  # noqa: S106 - it must not fit
    shown = str(logs) + caplog.text + capsys.readouterr().err
    # httpx, the sender, logs its own requests; the gateway runs in another process.
    shown = "\n".join(line for line in shown.splitlines() if "HTTP Request" not in line)
    assert len(logs) >= 2
    assert SECRET not in shown
    assert "secret-canary" not in shown


async def test_an_unknown_adapter_names_those_that_there_are(tmp_path: Path) -> None:
    answer = await post(await gateway(tmp_path), "/v1/ingest/other")
    assert (answer.status_code, fields(answer)) == (415, ["adapter"])
    assert "hikvision-anpr" in answer.json()["detail"]


async def test_bad_input_names_the_field_and_repeats_nothing(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    answer = await post(one, content=json.dumps(EVENT | {"data": {"plate": PLATE, "lane": "two"}}))
    assert (answer.status_code, fields(answer)) == (422, ["data.lane"])
    assert PLATE not in answer.text
    assert one.broker.records == []


async def test_another_content_type_is_415(tmp_path: Path) -> None:
    answer = await post(await gateway(tmp_path), headers={"content-type": "text/csv"})
    assert (answer.status_code, fields(answer)) == (415, ["content-type"])


async def test_s4_ten_megabytes_are_413(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    answer = await post(one, content=b"x" * 10_000_000)
    assert (answer.status_code, fields(answer)) == (413, ["body"])


async def test_s4_a_body_of_unstated_length_is_bounded_too(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1_000_000

    answer = await post(await gateway(tmp_path), content=chunks())
    assert answer.status_code == 413


async def test_a_compressed_body_is_taken(tmp_path: Path) -> None:
    body = gzip.compress(json.dumps(EVENT).encode())
    answer = await post(await gateway(tmp_path), content=body, headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 200


async def test_s4_a_body_that_grows_beyond_the_bound_is_413(tmp_path: Path) -> None:
    bomb = gzip.compress(b"[" * 100_000_000)
    answer = await post(await gateway(tmp_path), content=bomb, headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 413


async def test_without_keys_it_is_503_with_a_time_to_come_again(tmp_path: Path) -> None:
    answer = await post(await gateway(tmp_path, keys=False))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_the_brokers_acknowledgement_it_is_503(tmp_path: Path) -> None:
    one = await gateway(tmp_path, kafka_wait_seconds=0.05)
    one.broker.holds = True
    answer = await post(one)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_a_suspended_device_is_403(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, status=2)
    assert (await post(one)).status_code == 403


async def test_over_the_rate_is_429_with_a_time_to_come_again(tmp_path: Path) -> None:
    one = await gateway(tmp_path, device_events_per_second=1, device_burst=256)
    batch = [EVENT | {"id": str(number)} for number in range(200)]
    headers = {"content-type": "application/cloudevents-batch+json"}
    assert (await post(one, content=json.dumps(batch), headers=headers)).status_code == 200
    answer = await post(one, content=json.dumps(batch), headers=headers)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_another_path_or_method_is_a_problem(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    async with client(one) as sender:
        for answer in (await sender.get("/v1/ingest/cloudevents"), await sender.post("/v1/other")):
            assert answer.status_code in (404, 405)
            assert fields(answer) == []


async def test_s3_the_plain_listener_takes_network_only_devices_from_their_addresses(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    network_only = common_pb2.AUTHENTICATION_CLASS_NETWORK_ONLY
    one.register("old", authentication_class=network_only, addresses=["192.0.2.7"], secret_sha256=b"")
    one.register(version=2, addresses=["192.0.2.7"])
    path = "/v1/ingest/cloudevents/network/old"
    async with client(one, plain=True, address="192.0.2.7") as sender:
        assert (await sender.post(path, content=json.dumps(EVENT), headers=JSON)).status_code == 200
        # No secret is read where others could read it too.
        usual = await sender.post("/v1/ingest/cloudevents", auth=("camera-1", SECRET))
        assert usual.status_code == 404
        other = await sender.post(
            "/v1/ingest/cloudevents/network/camera-1", content=json.dumps(EVENT), headers=JSON
        )
        assert other.status_code == 401
    async with client(one, plain=True, address="192.0.2.8") as sender:
        assert (await sender.post(path, content=json.dumps(EVENT), headers=JSON)).status_code == 401
    (observation,) = one.broker.observations()
    assert observation.authentication_class == network_only


async def test_a_change_of_secret_counts_at_once(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, secret_sha256=b"x" * 32, active_from_ms=START_MS + 60_000)
    assert (await post(one)).status_code == 401


class TestBody:
    """Bodies on their own."""

    @pytest.mark.timeout(10)
    async def test_a_body_that_never_ends_is_given_up(self) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        with pytest.raises(BodyTimeout):
            await read_body(receive, {}, maximum_bytes=10, seconds=0.01)

    def test_a_stated_length_over_the_bound_is_refused_without_reading(self) -> None:
        async def receive() -> dict[str, Any]:
            raise AssertionError("it must not be read")

        with pytest.raises(TooLarge):
            asyncio.run(read_body(receive, {"content-length": "11"}, maximum_bytes=10, seconds=1))

    def test_a_cut_off_stream_is_refused(self) -> None:
        with pytest.raises(Refuse, match="whole gzip"):
            expanded(gzip.compress(b"x" * 1000)[:-4], "gzip", maximum_bytes=2000)

    def test_zlib_is_expanded(self) -> None:
        assert expanded(zlib.compress(b"x"), "deflate", maximum_bytes=10) == b"x"

    def test_what_is_no_stream_is_refused(self) -> None:
        with pytest.raises(Refuse, match="content encoding"):
            expanded(b"plain", "gzip", maximum_bytes=10)

    def test_another_encoding_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedContent):
            expanded(b"x", "br", maximum_bytes=10)
