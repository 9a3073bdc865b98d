"""What devices publish by MQTT and what agents and platforms hand on: more cases of the contract."""

from __future__ import annotations

import dataclasses

from adapter_cases import Case, Sent, fixture, multipart

from alerthub.domain.device_events import CallKind, Direction, ObservationKind

FRIGATE_ID = "2022538150.250123-k3v9qa"


def _event(name: str, adapter: str, sent: Sent, kind: ObservationKind, **changes: object) -> Case:
    """A case that reads no identifier."""
    plain = Case(
        name,
        adapter,
        sent,
        kind=kind,
        identifier=None,
        confidence=0,
        direction=Direction.UNSPECIFIED,
        lane=0,
        colour="",
        plate_colour="",
        chinese="北门",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def _read(name: str, adapter: str, sent: Sent, **changes: object) -> Case:
    """A case that reads the plate, and nothing else of a vehicle."""
    read = Case(name, adapter, sent, direction=Direction.UNSPECIFIED, lane=0, colour="", plate_colour="")
    return dataclasses.replace(read, **changes)  # type: ignore[arg-type]


def published(name: str, *topic: str) -> Sent:
    """A fixture as a device publishes it below `LOGIN/ADAPTER/`."""
    return Sent("application/json", fixture(name), topic=topic)


def in_gb(name: str, charset: str) -> bytes:
    """An XML fixture in GB 2312 or GB 18030, as it declares."""
    return fixture(name).decode().replace('"GB2312"', f'"{charset}"').encode("gb18030")


EVENT_CASES = [
    _event(
        "axis scenario by MQTT",
        "axis",
        published("axis_scenario.json", "event"),
        ObservationKind.PRESENCE,
        track="object-815",
    ),
    _event(
        "axis metadata stream",
        "axis",
        Sent("application/xml", fixture("axis_stream.xml")),
        ObservationKind.LINE_CROSSED,
    ),
    _event(
        "onvif pulled notification",
        "onvif",
        Sent("application/soap+xml; charset=utf-8", fixture("onvif_pull.xml")),
        ObservationKind.LINE_CROSSED,
        track="object-815",
    ),
    _read(
        "onvif frame in XML",
        "onvif",
        Sent("text/xml", fixture("onvif_frame.xml")),
        make="Geely",
        track="object-815",
    ),
    _read(
        "onvif-mj frame by MQTT",
        "onvif-mj",
        published("onvif_frame.json", "VideoAnalytics", "north"),
        make="Geely",
        track="object-815",
    ),
    _event(
        "onvif-ej line by MQTT",
        "onvif-ej",
        published("onvif_event.json", "RuleEngine", "LineDetector", "Crossed", "&1", "1"),
        ObservationKind.LINE_CROSSED,
        track="object-815",
    ),
    _read(
        "frigate tracked object",
        "frigate",
        published("frigate_event.json", "events"),
        event_id=f"{FRIGATE_ID}#plate#2022538150250",
        track=FRIGATE_ID,
    ),
    _read(
        "frigate plate",
        "frigate",
        published("frigate_plate.json", "tracked_object_update"),
        event_id=f"{FRIGATE_ID}#lpr#2022538150250",
        track=FRIGATE_ID,
    ),
    _event(
        "frigate review",
        "frigate",
        published("frigate_review.json", "reviews"),
        ObservationKind.PRESENCE,
        event_id=f"review#{FRIGATE_ID}",
    ),
    _event(
        "zigbee2mqtt button",
        "zigbee2mqtt",
        published("zigbee_button.json", "0x00124b0000000001"),
        ObservationKind.PRESENCE,
        call=CallKind.PANIC,
    ),
    _event(
        "gb28181 alarm in GB 2312",
        "gb28181",
        Sent("Application/MANSCDP+xml", in_gb("gb28181_alarm.xml", "GB2312")),
        ObservationKind.PRESENCE,
        event_id="Alarm#13000000001320000001#17#2022538150000",
    ),
    _event(
        "gb28181 alarm in GB 18030",
        "gb28181",
        Sent("application/xml", in_gb("gb28181_alarm.xml", "GB18030")),
        ObservationKind.PRESENCE,
        event_id="Alarm#13000000001320000001#17#2022538150000",
    ),
    _event(
        "hikvision-events alert stream",
        "hikvision-events",
        multipart(
            ("event", "application/xml", fixture("hikvision_intrusion.xml")), media_type="multipart/mixed"
        ),
        ObservationKind.PRESENCE,
    ),
    _event(
        "dahua event manager line",
        "dahua",
        Sent("text/plain; charset=utf-8", fixture("dahua_event.txt")),
        ObservationKind.LINE_CROSSED,
        event_id="CrossLineDetection#start#2022566950#4713#1",
    ),
]
