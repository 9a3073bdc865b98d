"""An alert's life on real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from alerthub.api.v1 import alert_pb2, common_pb2, delivery_pb2, patrol_pb2, watchlist_pb2
from tests.integration.dispatch_support import (
    OPERATOR,
    OTHER_TOKEN,
    SUPERVISOR,
    TOKEN,
    Hub,
    command,
    eventually,
    running,
    unit,
    watchlist_hit,
)

DISPATCHING = alert_pb2.ALERT_STATUS_DISPATCHING
AWAITING = alert_pb2.ALERT_STATUS_AWAITING_CONFIRMATION


@pytest.fixture
def settings_changed() -> dict[str, object]:
    return {}


@pytest.fixture
async def hub(
    fresh_topics: None,
    fresh_schemas: None,
    tmp_path: Path,
    service_environment: Callable[..., dict[str, str]],
    kafka_settings: Any,
    tls_settings: Any,
    token_signing_key_file: Path,
    free_port: Callable[[], int],
    settings_changed: dict[str, object],
) -> AsyncIterator[Hub]:
    async with running(
        folder=tmp_path,
        environment=service_environment,
        kafka_settings=kafka_settings,
        tls_settings=tls_settings,
        signing_key_file=token_signing_key_file,
        ports=(free_port(), free_port()),
        **settings_changed,
    ) as hub:
        yield hub


async def test_a_vehicle_alert_goes_to_the_nearest_unit_on_shift(hub: Hub, unique: Callable[[str], str]) -> None:
    # given a near unit, a far one, one of another kind and one off shift
    near, far, other, off = (unique(name) for name in ("near", "far", "other", "off"))
    await hub.units(
        unit(near), unit(far, latitude=38.5), unit(other, kind="tow", latitude=38.04), unit(off, on_shift=False)
    )
    raised = watchlist_hit(unique("entry"))

    # when a rule fires
    await hub.raise_alert(raised)

    # then the near one is asked, and the card says why
    alert = await hub.alert(raised.raised_id.hex(), lambda each: each.status == DISPATCHING)
    assert [each.unit_id for each in alert.assignments] == [near]
    assert any("km away" in reason for reason in alert.assignments[0].reasons)
