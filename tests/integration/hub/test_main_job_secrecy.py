"""What the hub keeps and says of identifiers: nothing that can be read, anywhere below its data folder."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from aiokafka import TopicPartition
from hub_driver import Hub, random_plates

from alerthub import kafka
from alerthub.api.v1.watchlist_pb2 import PublishedEntry
from alerthub.replica import BOOKMARK_KEY
from alerthub.settings import KafkaSettings
from alerthub.topics import TOPICS

ALLOWED_COLUMNS = Path(__file__).with_name("allowed_columns.txt")


def _kafka_as(hub: Hub, principal: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=hub.facts.folder.read_hub()["kafka"]["bootstrap"],
        username=principal,
        password_file=hub.facts.folder.kafka_password_file(principal),
    )


def _spellings(identifier: str) -> set[bytes]:
    """How an identifier could have been written: as it is, escaped for a URL or JSON, encoded."""
    raw = identifier.encode()
    return {
        raw,
        identifier.encode("gb18030"),
        identifier.encode("utf-16-le"),
        quote(identifier).encode(),
        quote(identifier).lower().encode(),
        json.dumps(identifier)[1:-1].encode(),
        base64.b64encode(raw),
        raw.hex().encode(),
        identifier[1:].encode(),
    }


def _files_with(needles: set[bytes], folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(needle in content for needle in needles):
                yield str(path.relative_to(folder))


def _metrics(hub: Hub) -> bytes:
    ports = [int(each["operations_port"]) for each in hub.facts.folder.read_hub()["services"]]
    return b"".join(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).content for port in ports)


def _tokens_of(hub: Hub, entry_id: str) -> set[bytes]:
    async def read() -> set[bytes]:
        consumer = kafka.consumer(_kafka_as(hub, "correlator"), group_id=None, client_id="test")
        await consumer.start()
        try:
            partition = TopicPartition("watchlist", 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            found: set[bytes] = set()
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(timeout_ms=500)).get(partition, []):
                    if record.key == entry_id.encode() and record.key != BOOKMARK_KEY and record.value:
                        found |= {each.token for each in PublishedEntry.FromString(record.value).tokens}
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


@pytest.fixture
def listed(hub: Hub) -> tuple[str, str]:
    """A plate that was listed, read and shown on the terminal, and its entry."""
    plate = random_plates(1)[0]
    entry = hub.list_plates([plate])[plate]
    hub.read(plate)
    hub.wait_until_shown([entry])
    return plate, entry


def test_no_file_of_the_hub_holds_a_listed_plate(hub: Hub, listed: tuple[str, str]) -> None:
    # given a plate that went all the way, when Kafka's segments, PostgreSQL's files, pictures, logs and
    # everything else below the data folder are searched
    found = list(_files_with(_spellings(listed[0]), hub.folder))

    assert found == []


def test_no_file_of_the_hub_holds_a_plate_that_matched_nothing(hub: Hub, listed: tuple[str, str]) -> None:
    plate = random_plates(1)[0]
    hub.read(plate)

    assert list(_files_with(_spellings(plate), hub.folder)) == []


def test_no_metric_holds_a_plate_or_a_token(hub: Hub, listed: tuple[str, str]) -> None:
    plate, entry = listed
    tokens = _tokens_of(hub, entry)
    said = _metrics(hub)

    assert tokens
    needles = _spellings(plate) | {token.hex().encode() for token in tokens}
    assert [needle for needle in needles if needle in said] == []


def test_no_log_holds_a_token(hub: Hub, listed: tuple[str, str]) -> None:
    tokens = _tokens_of(hub, listed[1])

    needles = {
        spelled for token in tokens for spelled in (token, token.hex().encode(), base64.b64encode(token))
    }
    assert needles
    assert list(_files_with(needles, hub.folder / "logs")) == []


def test_kafka_holds_no_topic_that_is_not_in_the_table(hub: Hub) -> None:
    present = set(kafka.administrator(_kafka_as(hub, "admin")).list_topics(timeout=10).topics)

    assert {name for name in present if not name.startswith("__")} == set(TOPICS)


def test_every_column_is_on_the_list_that_a_person_reads(hub: Hub) -> None:
    """Refusal 1, for tables: none has a place for a body's features, and none takes free-form content."""

    async def columns(role: str) -> list[str]:
        at = hub.facts.folder.read_hub()["postgres"]
        connection = await asyncpg.connect(
            host=at["host"],
            port=at["port"],
            user=role,
            database="alerthub",
            password=hub.facts.folder.postgres_password_file(role).read_text(encoding="utf-8").strip(),
        )
        try:
            rows = await connection.fetch(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = $1 ORDER BY 1, 2",
                role,
            )
        finally:
            await connection.close()
        return [f"{role}.{row[0]}.{row[1]}: {row[2]}" for row in rows]

    present = {line for role in ("registry", "watchlist", "dispatch") for line in asyncio.run(columns(role))}

    allowed = set(ALLOWED_COLUMNS.read_text(encoding="utf-8").split("\n")) - {""}
    assert sorted(present - allowed) == []
    assert sorted(allowed - present) == []
    assert [line for line in present if line.endswith((": json", ": jsonb", ": hstore"))] == []
