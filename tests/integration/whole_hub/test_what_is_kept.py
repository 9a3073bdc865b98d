"""What the hub keeps, and what it says of itself: no identifier, no token, nothing that nobody declared."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
from aiokafka import TopicPartition
from running_hub import RunningHub
from town import VEHICLE, Patrol, Town

from alerthub import kafka
from alerthub.api.v1.watchlist_pb2 import PublishedEntry
from alerthub.settings import KafkaSettings
from alerthub.topics import TOPICS

ALLOWED_COLUMNS = Path(__file__).with_name("allowed_columns.txt")


def _kafka_as(hub: RunningHub, principal: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=hub.folder.read_hub()["kafka"]["bootstrap"],
        username=principal,
        password_file=hub.folder.kafka_password_file(principal),
    )


def _metrics(hub: RunningHub) -> bytes:
    ports = [int(each["operations_port"]) for each in hub.folder.read_hub()["services"]]
    return b"".join(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).content for port in ports)


async def _tokens_of(hub: RunningHub, entry_id: str) -> set[bytes]:
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
                if record.key == entry_id.encode() and record.value:
                    found |= {each.token for each in PublishedEntry.FromString(record.value).tokens}
        return found
    finally:
        await consumer.stop()


async def _shown(town: Town, patrol: Patrol) -> tuple[str, set[bytes]]:
    """A plate that was listed, read and shown on the terminal, and the tokens of its entry."""
    plate, entry_id = await town.list_plate(VEHICLE)
    await town.read(plate)
    await patrol.shows_entry(entry_id)
    tokens = await _tokens_of(town.hub, entry_id)
    assert tokens
    return plate, tokens


async def test_no_metric_holds_a_plate_or_a_token_s5(town: Town, patrol: Patrol) -> None:
    plate, tokens = await _shown(town, patrol)

    said = await asyncio.to_thread(_metrics, town.hub)

    needles = {plate.encode(), quote(plate).encode(), *(token.hex().encode() for token in tokens)}
    assert [needle for needle in needles if needle in said] == []


async def test_no_log_holds_a_token_s5(town: Town, patrol: Patrol) -> None:
    _, tokens = await _shown(town, patrol)

    spelled = {each for token in tokens for each in (token, token.hex().encode(), base64.b64encode(token))}
    logs = await asyncio.to_thread(lambda: [path.read_bytes() for path in town.hub.folder.logs.glob("*.log")])
    assert logs
    assert [needle for needle in spelled for log in logs if needle in log] == []


def test_kafka_holds_no_topic_that_is_not_in_the_table(hub: RunningHub) -> None:
    with kafka.administrator(_kafka_as(hub, "admin")) as admin:
        present = set(admin.list_topics(timeout=10).topics)

    assert {name for name in present if not name.startswith("__")} == set(TOPICS)


def test_every_column_is_on_the_list_that_a_person_reads(hub: RunningHub) -> None:
    """Refusal 1, for tables: none has a place for a body's features, and none takes free-form content."""

    async def columns(role: str) -> list[str]:
        at = hub.folder.read_hub()["postgres"]
        connection = await asyncpg.connect(
            host=at["host"],
            port=at["port"],
            user=role,
            database="alerthub",
            password=hub.folder.postgres_password_file(role).read_text(encoding="utf-8").strip(),
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
