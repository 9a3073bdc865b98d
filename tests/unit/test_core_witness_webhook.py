"""Signed heads go to a witness over HTTPS, and nowhere else (C16, S4). The witness is a real HTTPS server."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from core_authority import Authority
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from alerthub.domain.errors import Refuse, Retry
from alerthub.domain.webhooks import WebhookTarget, is_public, pinned_address, webhook_target
from alerthub.settings import ServiceSettings
from alerthub.witness_webhook import WitnessWebhook, from_settings

FAILURES = "alerthub_audit_witness_failures_total"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://witness.example/heads", WebhookTarget("witness.example", 443, "/heads")),
        ("https://witness.example:8443?key=1", WebhookTarget("witness.example", 8443, "/?key=1")),
        ("https://[2001:4860::1]/", WebhookTarget("2001:4860::1", 443, "/")),
    ],
)
def test_an_https_address_is_a_target(url: str, target: WebhookTarget) -> None:
    assert webhook_target(url, field="url") == target


@pytest.mark.parametrize(
    "url",
    [
        "http://witness.example/heads",
        "ftp://witness.example",
        "file:///etc/passwd",
        "witness.example",
        "",
        "https://",
        "https://user:secret@witness.example/",
        "https://witness.example/#part",
        "https://witness.example:99999/",
        "https://witness.example/a b",
        "https://witness.example/a\r\nHost: other",
        "https://wıtness.example/",
        "https://witness.example/" + "a" * 2_000,
    ],
)
def test_s4_nothing_else_is_a_target_and_it_is_not_repeated(url: str) -> None:
    with pytest.raises(Refuse) as refused:
        webhook_target(url, field="ALERTHUB_WITNESS_URL")
    assert refused.value.field == "ALERTHUB_WITNESS_URL"
    assert "secret" not in str(refused.value)


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        assert webhook_target(text, field="url").host
    except Refuse:
        return


PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
    "fe80::1%eth0",
    "no address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_s4_a_private_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(network="10.0.0.0/8").map(str))
def test_s4_no_way_to_write_a_private_address_is_public(address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert not is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)))


def test_a_public_host_is_held_by_its_first_address() -> None:
    assert pinned_address(["8.8.8.8", "2001:4860:4860::8888"], field="url") == "8.8.8.8"


@pytest.mark.parametrize("found", [[], ["10.0.0.1"], ["8.8.8.8", "10.0.0.1"]])
def test_s4_a_host_that_leads_inside_by_any_of_its_addresses_is_refused(found: list[str]) -> None:
    with pytest.raises(Refuse):
        pinned_address(found, field="url")


@dataclass
class Witness:
    """An HTTPS server that notes what comes, and answers what it is told to."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readline()).decode():
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = (await reader.readexactly(int(headers["content-length"]))).decode()
                self.requests.append((line.split()[1], headers, body))
                self.came.set()
                answer = self.answers.pop(0) if self.answers else "204 No Content"
                writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def bodies(self, count: int) -> list[str]:
        """The bodies once so many have come."""
        async with asyncio.timeout(5):
            while len(self.requests) < count:
                self.came.clear()
                await self.came.wait()
        return [body for _, _, body in self.requests]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def witness(authority: Authority) -> AsyncIterator[Witness]:
    tls = authority.issue(file_name="witness")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    made = Witness()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@dataclass
class Names:
    """A resolver that counts, and answers another address each time it is asked again."""

    asked: int = 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return ["127.0.0.1" if self.asked == 1 else "127.0.0.2"]


def held(found: Sequence[str], *, field: str) -> str:
    """Holds the loopback, where the test's witness is: that it is refused otherwise is tested apart."""
    return found[0]


Started = Callable[..., WitnessWebhook]


@pytest.fixture
async def started(witness: Witness, authority: Authority) -> AsyncIterator[Started]:
    running: list[WitnessWebhook] = []

    def make(host: str = "localhost", *, names: Names | None = None) -> WitnessWebhook:
        made = WitnessWebhook(
            f"https://{host}:{witness.port}/heads?of=city",
            ca_file=authority.folder / "ca.pem",
            resolve=(names or Names()).resolve,
            pin=held,
            retry_seconds=0.01,
        )
        running.append(made)
        return made

    yield make
    for each in running:
        await each.stop()


def failures() -> float:
    return REGISTRY.get_sample_value(FAILURES) or 0.0


async def test_c16_heads_arrive_in_order_at_the_address_that_was_approved(
    witness: Witness, started: Started
) -> None:
    webhook = started()
    await webhook.start()
    webhook.put('{"head": 1}')
    webhook.put('{"head": 2}')
    assert await witness.bodies(2) == ['{"head": 1}\n', '{"head": 2}\n']
    path, headers, _ = witness.requests[0]
    assert (path, headers["host"]) == ("/heads?of=city", f"localhost:{witness.port}")


@pytest.mark.parametrize(
    "answer", ["500 Internal Server Error", "307 Temporary Redirect\r\nlocation: /elsewhere"]
)
async def test_s4_what_was_not_taken_is_counted_and_sent_again_and_no_redirect_is_followed(
    witness: Witness, started: Started, answer: str
) -> None:
    witness.answers = [answer]
    before = failures()
    webhook = started()
    await webhook.start()
    webhook.put("first")
    webhook.put("second")
    assert await witness.bodies(3) == ["first\n", "first\n", "second\n"]
    assert {path for path, _, _ in witness.requests} == {"/heads?of=city"}
    assert failures() == before + 1


async def test_s4_the_name_is_resolved_once_and_its_address_held(witness: Witness, started: Started) -> None:
    names = Names()
    witness.answers = ["500 Internal Server Error"]
    webhook = started(names=names)
    await webhook.start()
    webhook.put("first")
    await witness.bodies(2)
    webhook.put("second")
    assert (await witness.bodies(3))[-1] == "second\n"
    assert names.asked == 1


async def test_s4_a_witness_with_the_certificate_of_another_name_gets_nothing(
    witness: Witness, started: Started
) -> None:
    before = failures()
    webhook = started("witness.example")
    await webhook.start()
    webhook.put("first")
    async with asyncio.timeout(5):
        while True:
            if failures() > before:
                break
            await asyncio.sleep(0.01)
    assert witness.requests == []


async def test_s4_a_proxy_of_the_environment_is_not_used(
    witness: Witness, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    webhook = started()
    await webhook.start()
    webhook.put("first")
    assert await witness.bodies(1) == ["first\n"]


async def test_s4_a_service_does_not_start_with_a_witness_inside(authority: Authority) -> None:
    names = Names()
    webhook = WitnessWebhook(
        "https://inside.example/", ca_file=authority.folder / "ca.pem", resolve=names.resolve
    )
    with pytest.raises(Refuse, match="ALERTHUB_WITNESS_URL"):
        await webhook.start()


async def test_a_name_that_does_not_resolve_yet_is_asked_for_again_whatever_went_wrong(
    witness: Witness, authority: Authority
) -> None:
    answers: list[Exception | list[str]] = [
        Retry("no answer"),
        LookupError("nobody foresaw this"),
        ["127.0.0.1"],
    ]

    async def resolve(host: str, port: int) -> Sequence[str]:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    webhook = WitnessWebhook(
        f"https://localhost:{witness.port}/",
        ca_file=authority.folder / "ca.pem",
        resolve=resolve,
        pin=held,
        retry_seconds=0.01,
    )
    await webhook.start()
    webhook.put("first")
    assert await witness.bodies(1) == ["first\n"]
    await webhook.stop()


def test_without_an_address_there_is_no_webhook(tmp_path: Path) -> None:
    assert from_settings(ServiceSettings()) is None
    with pytest.raises(Refuse):
        from_settings(ServiceSettings(witness_url="http://witness.example"))
