"""What the page is told of the map. Places are degrees of WGS 84; there is no history."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from services.console.models import Answer, LocalizedText, Position
from services.console.vocabulary import AlertStatus, AuthenticationClass, Severity


class DeviceState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class MapDevice(Answer):
    device_id: str
    name: str
    state: DeviceState
    watched: bool
    """What it sends is being evaluated now."""
    district: str
    jurisdiction: str
    position: Position
    authentication_class: AuthenticationClass


class ZoneKind(StrEnum):
    NO_PARKING = "no_parking"
    RESTRICTED = "restricted"
    CHECKPOINT = "checkpoint"
    AREA = "area"


class Polygon(Answer):
    """GeoJSON (RFC 7946): longitude first, one closed outer ring."""

    type: Literal["Polygon"] = "Polygon"
    coordinates: list[list[tuple[float, float]]]


class ZoneProperties(Answer):
    zone_id: str
    kind: ZoneKind
    name: LocalizedText
    jurisdiction: str


class ZoneFeature(Answer):
    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Polygon
    properties: ZoneProperties


class ZoneCollection(Answer):
    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[ZoneFeature]


class MapUnit(Answer):
    unit_id: str
    unit_kind: str
    position: Position
    position_age_ms: int | None
    """None: unknown or older than 120 s, so `position` is its station."""
    on_shift: bool
    alerts_in_hand: int
    reachable: bool


class MapAlert(Answer):
    alert_id: str
    status: AlertStatus
    severity: Severity
    position: Position


class MovingView(Answer):
    """What changes from moment to moment. There is no history."""

    server_time_ms: int
    units: list[MapUnit]
    alerts: list[MapAlert]


class PlacesView(Answer):
    """What has a place and does not move."""

    devices: list[MapDevice]
    zones: ZoneCollection


class MapView(PlacesView, MovingView):
    pass
