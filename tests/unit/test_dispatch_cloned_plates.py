"""An alert of a cloned plate at dispatch: whose it is, and what is told of both places."""

from __future__ import annotations

import pytest

from alerthub.api.v1 import alert_pb2, common_pb2, observation_pb2
from alerthub.domain.errors import DeadLetter
from services.dispatch.intake import check_raised
from services.dispatch.wire import sighting_message

TOKEN = bytes(range(16))


def raised(fold_key: str) -> alert_pb2.AlertRaised:
    return alert_pb2.AlertRaised(
        raised_id=bytes(16),
        rule_id="cloned",
        fold_key=fold_key,
        observation=observation_pb2.Observation(
            device_id="camera-1", identifiers=[observation_pb2.BlindedIdentifier(tokens=[TOKEN])]
        ),
        cloned_plate=alert_pb2.ClonedPlateMatch(
            other_device_id="camera-2", other_position=common_pb2.Position(latitude=38.3), speed_kmh=900
        ),
    )


def test_its_fold_key_is_of_the_plate_that_was_read() -> None:
    check_raised(raised(f"rule:cloned:{TOKEN.hex()}"))
    for other in (f"rule:another:{TOKEN.hex()}", f"rule:cloned:{bytes(16).hex()}"):
        with pytest.raises(DeadLetter, match="fold key"):
            check_raised(raised(other))


def test_its_sighting_names_both_places_and_no_token() -> None:
    told = sighting_message(raised(f"rule:cloned:{TOKEN.hex()}"), 1)

    assert (told.device_id, told.cloned_plate.other_device_id) == ("camera-1", "camera-2")
    assert told.cloned_plate.speed_kmh == 900
    assert TOKEN not in told.SerializeToString()
