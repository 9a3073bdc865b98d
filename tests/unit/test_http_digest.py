"""HTTP Digest for devices: the standard's arithmetic, and nonces bounded in time and in number (S3)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import typer
from gateway_parts import SECRET, START_MS, Gateway, gateway
from hypothesis import given
from hypothesis import strategies as st
from test_gateway_http import EVENT, JSON, _WithState
from typer.testing import CliRunner

from alerthub.api.v1 import common_pb2
from alerthub.cli import identities
from alerthub.domain import http_digest
from alerthub.identity import RevocationList
from services.gateway.authentication import Authenticator
from services.gateway.http_api import build_app

KEY = b"k" * 48
PATH = "/v1/ingest/cloudevents/digest"
SECRET_SHA256 = hashlib.sha256(SECRET.encode()).digest()
PASSWORD = http_digest.password_of(KEY, "camera-1", SECRET_SHA256)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_response_is_that_of_the_standards_example(algorithm: str, response: str) -> None:
    # RFC 7616, section 3.9.1.
    answer = http_digest.Answer(
        "Mufasa",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "/dir/index.html",
        response,
        algorithm,
        1,
        "00000001",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    found = http_digest.expected_response(
        answer, "Circle of Life", method="GET", realm="http-auth@example.org"
    )
    assert found == response


def test_the_password_belongs_to_one_device_one_secret_and_one_key() -> None:
    others = {
        http_digest.password_of(KEY, "camera-2", SECRET_SHA256),
        http_digest.password_of(KEY, "camera-1", b"x" * 32),
        http_digest.password_of(b"j" * 48, "camera-1", SECRET_SHA256),
        PASSWORD,
    }
    assert (len(others), {len(one) for one in others}) == (4, {http_digest.PASSWORD_CHARACTERS})


@given(st.one_of(st.text(max_size=300), st.text(max_size=200).map(lambda rest: f"Digest {rest}")))
def test_any_header_is_an_answer_or_none(header: str) -> None:
    found = http_digest.answer_of(header)
    assert found is None or found.count >= 0


@given(st.text(max_size=80))
def test_any_text_is_no_nonce(text: str) -> None:
    assert not http_digest.is_fresh(KEY, text, now_ms=START_MS)


def test_a_nonce_lasts_five_minutes_and_is_known_to_all_gateways_of_one_key() -> None:
    nonce = http_digest.nonce_of(KEY, now_ms=START_MS, random=b"12345678")
    assert http_digest.is_fresh(KEY, nonce, now_ms=START_MS + http_digest.NONCE_LIFE_MS - 1)
    assert not http_digest.is_fresh(KEY, nonce, now_ms=START_MS + http_digest.NONCE_LIFE_MS)
    assert not http_digest.is_fresh(KEY, nonce, now_ms=START_MS - 1)
    assert not http_digest.is_fresh(b"j" * 48, nonce, now_ms=START_MS)


@asynccontextmanager
async def serving(folder: Path, *, key: bytes = KEY) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    one = await gateway(folder)
    authenticator = Authenticator(
        one.devices, RevocationList(), failures_per_minute=10, now_ms=one.clock, digest_key=key
    )
    transport = httpx.ASGITransport(app=build_app(one.settings, one.intake, authenticator))
    async with httpx.AsyncClient(transport=_WithState(transport), base_url="https://gateway") as client:
        yield one, client


async def post(client: httpx.AsyncClient, **options: object) -> httpx.Response:
    arguments = {"content": json.dumps(EVENT), "headers": JSON, **options}
    return await client.post(PATH, **arguments)  # type: ignore[arg-type]


def answered(challenge: str, *, count: str = "00000001", password: str = PASSWORD, **changed: str) -> str:
    """The header with which a device answers."""
    nonce = changed.pop("nonce", "") or challenge.partition('nonce="')[2].partition('"')[0]
    said = {"username": "camera-1", "uri": PATH, "algorithm": "MD5", **changed}
    response = http_digest.expected_response(
        http_digest.Answer(said["username"], nonce, said["uri"], "", said["algorithm"], 1, count, "c"),
        password,
        method="POST",
    )
    return (
        f'Digest username="{said["username"]}", realm="alerthub", nonce="{nonce}", uri="{said["uri"]}",'
        f' qop=auth, nc={count}, cnonce="c", algorithm={said["algorithm"]}, response="{response}"'
    )


async def challenge_of(client: httpx.AsyncClient) -> str:
    return (await post(client)).headers.get_list("www-authenticate")[-1]


async def test_a_client_of_the_standard_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as (one, client):
        auth = httpx.DigestAuth("camera-1", PASSWORD)
        answers = [await post(client, auth=auth), await post(client, auth=auth)]
    assert [answer.status_code for answer in answers] == [200, 200]
    observed = one.broker.observations()[0]
    assert (observed.device_id, observed.authentication_class) == (
        "camera-1",
        common_pb2.AUTHENTICATION_CLASS_PASSWORD_OVER_TLS,
    )


async def test_both_algorithms_are_offered_the_stronger_first_and_basic_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        offered = (await post(client)).headers.get_list("www-authenticate")
        assert ["SHA-256" in offered[0], "MD5" in offered[1], len(offered)] == [True, True, 2]
        assert all(one.startswith("Digest ") and 'qop="auth"' in one for one in offered)
        plain = await client.post("/v1/ingest/cloudevents", content="{}", headers=JSON)
        assert plain.headers.get_list("www-authenticate") == ['Basic realm="alerthub", charset="UTF-8"']


async def test_s3_neither_the_secret_nor_what_is_stored_of_it_is_the_password(tmp_path: Path) -> None:
    async with serving(tmp_path) as (one, client):
        for password in (SECRET, SECRET_SHA256.hex(), ""):
            header = answered(await challenge_of(client), password=password)
            assert (await post(client, headers={**JSON, "authorization": header})).status_code == 401
        assert (await post(client, auth=("camera-1", SECRET))).status_code == 401
        assert one.broker.observations() == []


async def test_s3_an_answer_counts_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        challenge = await challenge_of(client)
        statuses, stale = [], []
        for count in ("00000001", "00000001", "00000002", "00000001", "00000009"):
            header = answered(challenge, count=count)
            answer = await post(client, headers={**JSON, "authorization": header})
            statuses.append(answer.status_code)
            stale.append("stale=true" in answer.headers.get("www-authenticate", ""))
    assert statuses == [200, 401, 200, 401, 200]
    assert stale == [False, True, False, True, False]


async def test_s3_a_nonce_is_bounded_in_time_and_in_number(tmp_path: Path) -> None:
    async with serving(tmp_path) as (one, client):
        challenge = await challenge_of(client)
        last = answered(challenge, count=f"{http_digest.NONCE_USES:08x}")
        beyond = answered(challenge, count=f"{http_digest.NONCE_USES + 1:08x}")
        assert (await post(client, headers={**JSON, "authorization": beyond})).status_code == 401
        assert (await post(client, headers={**JSON, "authorization": last})).status_code == 200
        old = answered(await challenge_of(client))
        one.clock.ms += http_digest.NONCE_LIFE_MS
        answer = await post(client, headers={**JSON, "authorization": old})
    assert (answer.status_code, "stale=true" in answer.headers["www-authenticate"]) == (401, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"uri": "/v1/ingest/dahua/digest"},
        {"uri": PATH + "?x"},
        {"username": "camera-2"},
        {"username": ""},
        {"algorithm": "MD5-sess"},
        {"nonce": "AAAA"},
        {"nonce": http_digest.nonce_of(b"j" * 48, now_ms=START_MS, random=b"12345678")},
    ],
)
async def test_s3_an_answer_to_something_else_is_none(tmp_path: Path, changed: dict[str, str]) -> None:
    async with serving(tmp_path) as (one, client):
        challenge = await challenge_of(client)
        try:
            header = answered(challenge, **changed)
        except KeyError:
            header = answered(challenge).replace("algorithm=MD5", f"algorithm={changed['algorithm']}")
        assert (await post(client, headers={**JSON, "authorization": header})).status_code == 401
        assert one.broker.observations() == []


async def test_s3_wrong_answers_are_limited(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        statuses = []
        for _attempt in range(12):
            header = answered(await challenge_of(client), password="wrong")  # noqa: S106 - it is
            statuses.append((await post(client, headers={**JSON, "authorization": header})).status_code)
    assert statuses == [401] * 10 + [429] * 2


async def test_a_changed_secret_changes_the_password_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as (one, client):
        one.register(version=2, secret_sha256=b"x" * 32)
        header = answered(await challenge_of(client))
        assert (await post(client, headers={**JSON, "authorization": header})).status_code == 401
        header = answered(
            await challenge_of(client), password=http_digest.password_of(KEY, "camera-1", b"x" * 32)
        )
        assert (await post(client, headers={**JSON, "authorization": header})).status_code == 200


async def test_without_a_key_there_is_no_digest(tmp_path: Path) -> None:
    async with serving(tmp_path, key=b"") as (_, client):
        assert (await post(client)).status_code == 404


async def test_repeats_with_one_nonce_at_once_are_taken_in_their_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, client):
        challenge = await challenge_of(client)
        headers = [answered(challenge, count=f"{number:08x}") for number in range(1, 6)]
        answers = await asyncio.gather(
            *(post(client, headers={**JSON, "authorization": header}) for header in headers)
        )
    assert {answer.status_code for answer in answers} == {200}


def test_the_command_writes_the_password_that_the_gateway_expects(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "camera-1.secret").write_text(f"{SECRET}\n")
    (tmp_path / "key").write_bytes(KEY + b"\n")
    app = typer.Typer()
    identities.register(app)
    arguments = ["devices", "digest-password", "camera-1", "--key-file", str(tmp_path / "key")]
    result = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path)])
    written = tmp_path / "devices" / "camera-1.digest"
    assert (result.exit_code, written.read_text().strip()) == (0, PASSWORD)
    assert written.stat().st_mode & 0o077 == 0
    assert PASSWORD not in result.output
