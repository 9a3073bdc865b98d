"""Kafka's clients refuse to be used without a password, or in the clear off the loopback (S1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from alerthub import kafka
from alerthub.domain.errors import Refuse
from alerthub.settings import KafkaSettings

CLIENTS: list[Callable[[KafkaSettings], Any]] = [
    lambda settings: kafka.producer(settings, client_id="test"),
    lambda settings: kafka.consumer(settings, "alerts", group_id=None),
    kafka.administrator,
]
NAMES = ["producer", "consumer", "administrator"]


@pytest.fixture
def settings(tmp_path: Path) -> KafkaSettings:
    password_file = tmp_path / "password"
    password_file.write_text("secret\n", encoding="utf-8")
    return KafkaSettings(bootstrap="127.0.0.1:9092", username="gateway", password_file=password_file)


@pytest.mark.parametrize("client", CLIENTS, ids=NAMES)
@pytest.mark.parametrize(
    "bootstrap",
    ["10.0.0.5:9092", "kafka:9092", "127.0.0.1:9092,kafka:9092", "[2001:db8::1]:9092", "localhost.evil:9092"],
)
async def test_an_address_off_the_loopback_without_tls_is_refused(
    client: Callable[[KafkaSettings], Any], bootstrap: str, settings: KafkaSettings
) -> None:
    with pytest.raises(Refuse) as refused:
        client(settings.model_copy(update={"bootstrap": bootstrap}))
    assert refused.value.field == "kafka.ca_file"


@pytest.mark.parametrize("client", CLIENTS, ids=NAMES)
@pytest.mark.parametrize("field", ["username", "password_file"])
async def test_a_client_without_credentials_is_refused(
    client: Callable[[KafkaSettings], Any], field: str, settings: KafkaSettings
) -> None:
    empty = {"username": "", "password_file": None}[field]
    with pytest.raises(Refuse) as refused:
        client(settings.model_copy(update={field: empty}))
    assert refused.value.field == f"kafka.{field}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_the_loopback_is_known_under_each_of_its_names(host: str) -> None:
    assert kafka.is_loopback(host)


async def test_a_consumer_waits_for_no_broker_that_says_no_goodbye(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: AIOKafkaClient) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaClient, "close", never)
    monkeypatch.setattr(kafka, "_GOODBYE_SECONDS", 0.01)
    async with asyncio.timeout(20):
        await kafka.consumer(settings, "alerts", group_id=None).stop()
