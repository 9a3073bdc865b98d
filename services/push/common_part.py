"""The part of an alert that all terminals get alike, serialised once a version (C17).

It holds no identifier: what is opened for an officer is in the message of that officer's terminal alone.
Protobuf joins what is concatenated, embedded messages too, as if the parts had been read singly and merged
(protobuf.dev/programming-guides/encoding, "Last One Wins"). So a terminal reads one HubMessage from both.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from alerthub.api.v1 import alert_pb2, patrol_pb2
from services.push.cards import common_alert

REMEMBERED_PARTS = 1_024
"""Of some 4 KiB each: all terminals are told of a version within moments."""


@dataclass(frozen=True, slots=True)
class CommonPart:
    """`encoded` is a HubMessage with the common alert and nothing else. `newest_read_ms`: 0 where it has no
    sighting."""

    encoded: bytes
    newest_read_ms: int


def common_part(alert: alert_pb2.Alert, *, shown: bool) -> CommonPart:
    """Serialises what is common of this alert, for those who have it now or for those who had it."""
    common = common_alert(alert, shown=shown)
    message = patrol_pb2.HubMessage(alert=patrol_pb2.AlertPush(alert=common))
    newest = max((each.received_time_ms for each in common.sightings), default=0)
    return CommonPart(message.SerializeToString(), newest)


class CommonParts:
    """The parts that were made last, for the streams of one instance. An alert's version never changes."""

    def __init__(self, remembered: int = REMEMBERED_PARTS) -> None:
        self._remembered = remembered
        self._parts: OrderedDict[tuple[str, int, bool], CommonPart] = OrderedDict()

    def of(self, alert: alert_pb2.Alert, *, shown: bool) -> CommonPart:
        """The common part of this alert in this version; made where nobody has asked for it yet."""
        key = (alert.alert_id, alert.version, shown)
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = common_part(alert, shown=shown)
            if len(self._parts) > self._remembered:
                self._parts.popitem(last=False)
        return part
