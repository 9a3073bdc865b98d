"""What a device is told of a payload gone wrong: 200 for what is on Kafka, a refusal that names the field for
the rest, and never anything else."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from adapter_cases import CASES
from adapter_cases_events import EVENT_CASES
from adapter_mutations import with_one_field_wrong
from hypothesis import given, settings
from hypothesis import strategies as st

# The gateway in memory is the unit tests'.
sys.path.append(str(Path(__file__).parents[1] / "unit"))

from aiokafka.errors import KafkaTimeoutError
from gateway_parts import SECRET, Gateway, gateway
from test_gateway_http import client

REFUSALS = frozenset({413, 415, 422})


def wrong_payloads(count: int) -> list[tuple[str, dict[str, str], bytes]]:
    """Adapter, headers and body of payloads with a field wrong, `count` of each case."""
    chosen: list[tuple[str, dict[str, str], bytes]] = []

    @settings(max_examples=count, database=None)
    @given(chance=st.randoms(use_true_random=True))
    def choose(chance: random.Random) -> None:
        for case in (*CASES, *EVENT_CASES):
            sent = with_one_field_wrong(case.sent, chance)
            chosen.append((case.adapter, {"content-type": sent.content_type}, sent.body))

    choose()
    return chosen


def on_kafka(one: Gateway) -> int:
    return len(one.broker.observations()) + len(one.broker.calls())


@pytest.fixture
async def one(tmp_path: Path) -> Gateway:
    return await gateway(tmp_path, call_burst=10**6, device_burst=10**9, device_events_per_second=10**6)


async def test_a_success_is_on_kafka_and_a_refusal_is_not(one: Gateway) -> None:
    async with client(one) as sender:
        for adapter, headers, body in wrong_payloads(6):
            one.broker.records.clear()
            answer = await sender.post(
                f"/v1/ingest/{adapter}", content=body, headers=headers, auth=("camera-1", SECRET)
            )
            if answer.status_code == 200:
                # Events of one request that are the same one share its fate.
                assert (on_kafka(one) > 0) == (answer.json()["acknowledged"] > 0)
                assert on_kafka(one) <= answer.json()["acknowledged"]
            else:
                assert answer.status_code in REFUSALS, answer.text
                assert answer.json()["errors"][0]["field"]
                assert on_kafka(one) == 0


async def test_while_kafka_takes_nothing_there_is_no_success(one: Gateway) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise KafkaTimeoutError

    one.broker.send = fails  # type: ignore[assignment,method-assign]
    async with client(one) as sender:
        for adapter, headers, body in wrong_payloads(2):
            answer = await sender.post(
                f"/v1/ingest/{adapter}", content=body, headers=headers, auth=("camera-1", SECRET)
            )
            told_nothing = answer.status_code == 200 and answer.json()["acknowledged"] == 0
            assert answer.status_code in REFUSALS | {503} or told_nothing
